import KafkaRecords
import KafkaWire
import NIOCore

/// Records of `__consumer_offsets`, in Kafka's own form: a key and a value that each begin with
/// their version in two bytes.
package enum GroupRecord: Equatable {
    /// No value: a tombstone.
    case offset(OffsetCommitKey, OffsetCommitValue?)
    case group(GroupMetadataKey, GroupMetadataValue?)
    /// Of a version or a kind that other coordinators write (KIP-848, share groups).
    case other

    package init(key: ByteBuffer, value: ByteBuffer?) throws(WireError) {
        guard let version = key.getInteger(at: key.readerIndex, as: Int16.self) else {
            throw .truncated(needed: 2, left: key.readableBytes, at: 0)
        }
        switch version {
        case 0, 1:
            let key = try OffsetCommitKey(versionPrefixed: key)
            self = .offset(key, try value.map(OffsetCommitValue.init(versionPrefixed:)))
        case 2:
            let key = try GroupMetadataKey(versionPrefixed: key)
            self = .group(key, try value.map(GroupMetadataValue.init(versionPrefixed:)))
        default:
            self = .other
        }
    }

    /// Takes any bytes: the first says how many of the others are the key.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let split = bytes.first else { return }
        var rest = ByteBuffer(bytes: bytes.dropFirst())
        let key = rest.readSlice(length: min(Int(split), rest.readableBytes)) ?? ByteBuffer()
        _ = try? GroupRecord(key: key, value: rest)
        _ = SubscriptionTopics.read(rest)
    }
}

extension Optional where Wrapped == ByteBuffer {
    fileprivate func map<T>(
        _ transform: (ByteBuffer) throws(WireError) -> T
    ) throws(WireError) -> T? {
        guard let self else { return nil }
        return try transform(self)
    }
}

/// One batch of such records in the making.
struct GroupRecordBatch {
    private var builder: RecordBatchBuilder
    private let timestampMs: Int64
    private(set) var approximateSize = 61

    init(timestampMs: Int64) {
        self.timestampMs = timestampMs
        builder = RecordBatchBuilder()
    }

    private mutating func append(key: ByteBuffer, value: ByteBuffer?) {
        approximateSize += key.readableBytes + (value?.readableBytes ?? 0) + 12
        builder.append(key: key, value: value, timestamp: timestampMs)
    }

    /// Value version 3 is the last before the flexible one, which nobody writes yet; 1 is the only
    /// one with a time of expiry.
    mutating func append(
        _ offset: CommittedOffset, topic: String, partition: Int32, group: String
    ) {
        let value = OffsetCommitValue(offset)
        append(
            key: key(topic, partition, group),
            value: value.versionPrefixed(version: offset.expireTimestampMs == nil ? 3 : 1))
    }

    mutating func append(tombstoneOf topic: String, partition: Int32, group: String) {
        append(key: key(topic, partition, group), value: nil)
    }

    private func key(_ topic: String, _ partition: Int32, _ group: String) -> ByteBuffer {
        OffsetCommitKey(group: group, topic: topic, partition: partition)
            .versionPrefixed(version: 1)
    }

    mutating func append(metadataOf group: Group, assignment: [String: ByteBuffer]?) {
        let value = GroupMetadataValue(group, assignment: assignment)
        append(
            key: GroupMetadataKey(group: group.id).versionPrefixed(version: 2),
            value: value.versionPrefixed(version: 3))
    }

    mutating func append(tombstoneOf group: String) {
        append(key: GroupMetadataKey(group: group).versionPrefixed(version: 2), value: nil)
    }

    /// Nothing where the records do not fit a batch: the log refuses that, and the client is told.
    mutating func finish() -> ByteBuffer {
        (try? builder.build(compression: .none)) ?? ByteBuffer()
    }
}
