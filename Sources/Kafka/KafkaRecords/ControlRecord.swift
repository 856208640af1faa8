import NIOCore

/// What a record of a control batch is for. Types that are not known are kept, and passed over.
package struct ControlRecordType: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int16

    package init(rawValue: Int16) {
        self.rawValue = rawValue
    }

    package static let abort = Self(rawValue: 0)
    package static let commit = Self(rawValue: 1)
    package static let leaderChange = Self(rawValue: 2)
    package static let snapshotHeader = Self(rawValue: 3)
    package static let snapshotFooter = Self(rawValue: 4)
    package static let kraftVersion = Self(rawValue: 5)
    package static let kraftVoters = Self(rawValue: 6)

    /// The only version of a control record's key.
    private static let keyVersion: Int16 = 0

    /// The key of a control record: its version and its type.
    package var key: ByteBuffer {
        var key = ByteBuffer()
        key.writeMultipleIntegers(Self.keyVersion, rawValue)
        return key
    }

    /// The type that a key names. Later versions of the key are read as far as this one goes.
    package init(key: ByteBuffer?) throws(RecordError) {
        guard let key, let version = key.getInteger(at: key.readerIndex, as: Int16.self),
            let type = key.getInteger(at: key.readerIndex + 2, as: Int16.self)
        else { throw .invalidControlRecord(reason: "the key is shorter than four bytes") }
        guard version >= 0 else {
            throw .invalidControlRecord(reason: "the key has the version \(version)")
        }
        self.init(rawValue: type)
    }
}

extension ControlRecordType: CustomStringConvertible {
    package var description: String {
        switch self {
        case .abort: "abort"
        case .commit: "commit"
        case .leaderChange: "leader change"
        case .snapshotHeader: "snapshot header"
        case .snapshotFooter: "snapshot footer"
        case .kraftVersion: "kraft version"
        case .kraftVoters: "kraft voters"
        default: "type \(rawValue)"
        }
    }
}

/// How a transaction ended: the record that its coordinator has written into every partition of it.
package struct EndTransactionMarker: Equatable, Sendable {
    package var isCommit: Bool
    package var coordinatorEpoch: Int32

    package init(isCommit: Bool, coordinatorEpoch: Int32) {
        self.isCommit = isCommit
        self.coordinatorEpoch = coordinatorEpoch
    }

    /// The marker in a record of a control batch, or nil if the record is something else.
    package init?(_ record: Record) throws(RecordError) {
        let type = try ControlRecordType(key: record.key)
        guard type == .commit || type == .abort else { return nil }
        guard let value = record.value,
            let version = value.getInteger(at: value.readerIndex, as: Int16.self),
            let epoch = value.getInteger(at: value.readerIndex + 2, as: Int32.self)
        else { throw .invalidControlRecord(reason: "the marker is shorter than six bytes") }
        guard version >= 0 else {
            throw .invalidControlRecord(reason: "the marker has the version \(version)")
        }
        self.init(isCommit: type == .commit, coordinatorEpoch: epoch)
    }

    package var type: ControlRecordType { isCommit ? .commit : .abort }

    package var value: ByteBuffer {
        var value = ByteBuffer()
        value.writeMultipleIntegers(0 as Int16, coordinatorEpoch)
        return value
    }
}

extension RecordBatchBuilder {
    /// A builder of a control batch; `append(control:)` its records.
    package static func control(
        baseOffset: Int64 = 0, partitionLeaderEpoch: Int32 = RecordBatchHeader.noLeaderEpoch
    ) -> RecordBatchBuilder {
        var builder = RecordBatchBuilder(baseOffset: baseOffset)
        builder.isControl = true
        builder.partitionLeaderEpoch = partitionLeaderEpoch
        return builder
    }

    /// Appends a control record. The value is the message of that name, encoded without a header.
    package mutating func append(
        control type: ControlRecordType, value: ByteBuffer?, timestamp: Int64
    ) {
        append(key: type.key, value: value, timestamp: timestamp)
    }

    /// The batch that ends a producer's transaction.
    package static func batch(
        ending marker: EndTransactionMarker, producerId: Int64, producerEpoch: Int16,
        baseOffset: Int64 = 0, partitionLeaderEpoch: Int32 = RecordBatchHeader.noLeaderEpoch,
        timestamp: Int64
    ) throws(RecordError) -> ByteBuffer {
        var builder = control(
            baseOffset: baseOffset, partitionLeaderEpoch: partitionLeaderEpoch)
        builder.isTransactional = true
        builder.producerId = producerId
        builder.producerEpoch = producerEpoch
        builder.append(control: marker.type, value: marker.value, timestamp: timestamp)
        return try builder.build()
    }
}
