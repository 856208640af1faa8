import NIOCore

/// The 61 bytes before the records of a batch, message format 2.
///
/// | at | field                | bytes | | at | field           | bytes |
/// |---:|----------------------|------:|-|---:|-----------------|------:|
/// |  0 | baseOffset           | 8     | | 27 | baseTimestamp   | 8     |
/// |  8 | batchLength          | 4     | | 35 | maxTimestamp    | 8     |
/// | 12 | partitionLeaderEpoch | 4     | | 43 | producerId      | 8     |
/// | 16 | magic                | 1     | | 51 | producerEpoch   | 2     |
/// | 17 | crc                  | 4     | | 53 | baseSequence    | 4     |
/// | 21 | attributes           | 2     | | 57 | recordCount     | 4     |
/// | 23 | lastOffsetDelta      | 4     | | 61 | records         | …     |
///
/// The length counts what follows it, and the checksum covers what follows it: so base offset and
/// leader epoch, which the broker writes, are outside of what the producer vouched for.
package struct RecordBatchHeader: Equatable, Sendable {
    /// The size of the header, which is also the least size of a batch.
    package static let size = 61
    /// The bytes up to and with the length: what must be read to know how much to read.
    package static let lengthPrefix = 12
    package static let magic: Int8 = 2
    /// Where the checksum is, and from where on it counts.
    package static let crcOffset = 17
    package static let checkedOffset = 21
    package static let noProducerId: Int64 = -1
    package static let noProducerEpoch: Int16 = -1
    package static let noSequence: Int32 = -1
    package static let noTimestamp: Int64 = -1
    package static let noLeaderEpoch: Int32 = -1

    package var baseOffset: Int64
    package var batchLength: Int32
    package var partitionLeaderEpoch: Int32
    package var crc: UInt32
    package var attributes: RecordBatchAttributes
    package var lastOffsetDelta: Int32
    package var baseTimestamp: Int64
    package var maxTimestamp: Int64
    package var producerId: Int64
    package var producerEpoch: Int16
    package var baseSequence: Int32
    package var recordCount: Int32

    /// Reads the header at an index of the buffer. The batch itself need not be there whole, but
    /// its length, format and compression are ones that a batch can have.
    package init(at index: Int, in buffer: ByteBuffer) throws(RecordError) {
        guard index >= buffer.readerIndex, index <= buffer.writerIndex else {
            throw .torn(at: index, needed: Self.size, available: 0)
        }
        self = try buffer.withUnsafeReadableBytes { bytes throws(RecordError) in
            let rest = bytes[(index - buffer.readerIndex)...]
            return try Self(UnsafeRawBufferPointer(rebasing: rest), at: index)
        }
    }

    /// Reads the header that the bytes start with; `index` is where they come from, for errors.
    package init(_ bytes: UnsafeRawBufferPointer, at index: Int = 0) throws(RecordError) {
        func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> T {
            T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        // The format first: an old one has its length and its format at the same places.
        guard bytes.count > 16 else {
            throw .torn(at: index, needed: Self.size, available: bytes.count)
        }
        let magic: Int8 = load(16)
        guard magic == Self.magic else {
            if magic == 0 || magic == 1 { throw .legacyFormat(at: index, magic: magic) }
            throw .unknownFormat(at: index, magic: magic)
        }
        batchLength = load(8)
        guard batchLength >= Int32(Self.size - Self.lengthPrefix),
            batchLength <= Int32.max - Int32(Self.lengthPrefix)
        else { throw .invalidBatchLength(at: index, length: batchLength) }
        guard bytes.count >= Self.size else {
            throw .torn(at: index, needed: Self.size, available: bytes.count)
        }
        attributes = RecordBatchAttributes(rawValue: load(21))
        guard Compression(rawValue: attributes.compressionId) != nil else {
            throw .unknownCompression(id: Int(attributes.compressionId))
        }
        baseOffset = load(0)
        partitionLeaderEpoch = load(12)
        crc = load(17)
        lastOffsetDelta = load(23)
        baseTimestamp = load(27)
        maxTimestamp = load(35)
        producerId = load(43)
        producerEpoch = load(51)
        baseSequence = load(53)
        recordCount = load(57)
    }

    /// The header of a batch to be built.
    package init(
        baseOffset: Int64, batchLength: Int32, partitionLeaderEpoch: Int32, crc: UInt32,
        attributes: RecordBatchAttributes, lastOffsetDelta: Int32, baseTimestamp: Int64,
        maxTimestamp: Int64, producerId: Int64, producerEpoch: Int16, baseSequence: Int32,
        recordCount: Int32
    ) {
        self.baseOffset = baseOffset
        self.batchLength = batchLength
        self.partitionLeaderEpoch = partitionLeaderEpoch
        self.crc = crc
        self.attributes = attributes
        self.lastOffsetDelta = lastOffsetDelta
        self.baseTimestamp = baseTimestamp
        self.maxTimestamp = maxTimestamp
        self.producerId = producerId
        self.producerEpoch = producerEpoch
        self.baseSequence = baseSequence
        self.recordCount = recordCount
    }

    package func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(baseOffset)
        buffer.writeInteger(batchLength)
        buffer.writeInteger(partitionLeaderEpoch)
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(crc)
        buffer.writeInteger(attributes.rawValue)
        buffer.writeInteger(lastOffsetDelta)
        buffer.writeInteger(baseTimestamp)
        buffer.writeInteger(maxTimestamp)
        buffer.writeInteger(producerId)
        buffer.writeInteger(producerEpoch)
        buffer.writeInteger(baseSequence)
        buffer.writeInteger(recordCount)
    }
}

/// What the header's fields say together. Arithmetic wraps: the fields may come from anywhere.
extension RecordBatchHeader {
    /// The whole batch, from its base offset to its last record.
    package var sizeInBytes: Int { Int(batchLength) + Self.lengthPrefix }
    package var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
    package var nextOffset: Int64 { lastOffset &+ 1 }
    package var compression: Compression {
        Compression(rawValue: attributes.compressionId) ?? .none
    }
    package var isTransactional: Bool { attributes.contains(.transactional) }
    package var isControl: Bool { attributes.contains(.control) }
    package var isLogAppendTime: Bool { attributes.contains(.logAppendTime) }
    package var hasProducerId: Bool { producerId > Self.noProducerId }

    /// The sequence number of the last record. Sequence numbers go from 2^31 - 1 to 0.
    package var lastSequence: Int32 {
        if baseSequence == Self.noSequence { return Self.noSequence }
        return Self.sequence(baseSequence, advancedBy: lastOffsetDelta)
    }

    /// The sequence number so many records later.
    package static func sequence(_ sequence: Int32, advancedBy count: Int32) -> Int32 {
        (sequence &+ count) & Int32.max
    }

    /// When compaction may drop the tombstones and markers of the batch (milliseconds since 1970):
    /// it takes the place of the base timestamp, and the records' timestamps count from it.
    package var deleteHorizon: Int64? {
        attributes.contains(.deleteHorizon) ? baseTimestamp : nil
    }

    /// That offsets and records are as many as each other, and at least one: true of every batch
    /// that a producer made. Compaction leaves batches with fewer records, and with none.
    package func checkProducedCounts() throws(RecordError) {
        guard recordCount > 0, recordCount &- 1 == lastOffsetDelta else { throw invalidCounts }
    }

    /// That the counts can be true of a batch in a log.
    package func checkCounts() throws(RecordError) {
        guard recordCount >= 0, lastOffsetDelta >= 0,
            Int64(recordCount) <= Int64(lastOffsetDelta) + 1,
            baseOffset >= 0, baseOffset <= Int64.max - 1 - Int64(lastOffsetDelta)
        else { throw invalidCounts }
    }

    private var invalidCounts: RecordError {
        .invalidCounts(
            baseOffset: baseOffset, recordCount: recordCount, lastOffsetDelta: lastOffsetDelta)
    }
}

package struct RecordBatchAttributes: OptionSet, Hashable, Sendable {
    package let rawValue: Int16

    package init(rawValue: Int16) {
        self.rawValue = rawValue
    }

    /// The timestamps of the records are not theirs: all have the batch's greatest.
    package static let logAppendTime = Self(rawValue: 1 << 3)
    package static let transactional = Self(rawValue: 1 << 4)
    package static let control = Self(rawValue: 1 << 5)
    package static let deleteHorizon = Self(rawValue: 1 << 6)

    package init(compression: Compression) {
        self.init(rawValue: Int16(compression.rawValue))
    }

    package var compressionId: UInt8 { UInt8(truncatingIfNeeded: rawValue & 7) }
}
