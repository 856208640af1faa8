/// What is wrong with record batches that came from a client, a leader or the disk. Places (`at`)
/// are indices into the buffer that was read.
package enum RecordError: Error, Equatable, Sendable {
    /// The bytes end within a batch that needs `needed` of them.
    case torn(at: Int, needed: Int, available: Int)
    /// A length no batch can have.
    case invalidBatchLength(at: Int, length: Int32)
    /// Message format 0 or 1, which Kafka stopped to write with 3.0 and to accept with 4.0.
    case legacyFormat(at: Int, magic: Int8)
    case unknownFormat(at: Int, magic: Int8)
    case unknownCompression(id: Int)
    case checksumMismatch(baseOffset: Int64, stored: UInt32, computed: UInt32)
    /// The counts in the header contradict themselves or the records.
    case invalidCounts(baseOffset: Int64, recordCount: Int32, lastOffsetDelta: Int32)
    /// A record (the `index`th of its batch) that is not well formed.
    case invalidRecord(baseOffset: Int64, index: Int, fault: RecordFault)
    /// Records that are well formed and more bytes behind them.
    case trailingBytes(baseOffset: Int64, count: Int)
    /// Compressed bytes that their codec does not understand.
    case corruptCompression(Compression, reason: String)
    /// More than `limit` bytes would come out of so many compressed ones.
    case decompressedTooLarge(Compression, limit: Int)
    /// A codec that cannot do its work: out of memory, or a level that it does not have.
    case compressionFailed(Compression, reason: String)
    /// A batch that cannot be built: its fields do not hold so much.
    case unbuildable(reason: String)
    /// A control record whose key or value is not one.
    case invalidControlRecord(reason: String)
}

/// What a record can suffer from.
package enum RecordFault: String, Error, Equatable, Sendable {
    case truncated = "its bytes end early"
    case length = "its length does not fit its fields"
    case varint = "a variable-length number is too long"
    case keyLength = "the length of its key is impossible"
    case valueLength = "the length of its value is impossible"
    case headerCount = "its number of headers is impossible"
    case headerLength = "the length of a header is impossible"
    case offsetDelta = "its offset is outside its batch, or not above the one before"
}

extension RecordError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .torn(let at, let needed, let available):
            "batch at byte \(at) is torn: \(available) of \(needed) bytes"
        case .invalidBatchLength(let at, let length):
            "batch at byte \(at) has the impossible length \(length)"
        case .legacyFormat(let at, let magic):
            "batch at byte \(at) is in message format \(magic), which is no longer supported"
        case .unknownFormat(let at, let magic):
            "batch at byte \(at) is in the unknown message format \(magic)"
        case .unknownCompression(let id):
            "unknown compression \(id)"
        case .checksumMismatch(let offset, let stored, let computed):
            "batch at offset \(offset) has the checksum \(stored), its bytes have \(computed)"
        case .invalidCounts(let offset, let records, let delta):
            "batch at offset \(offset) cannot have \(records) records and a last offset delta "
                + "of \(delta)"
        case .invalidRecord(let offset, let index, let fault):
            "record \(index) of the batch at offset \(offset) is invalid: \(fault.rawValue)"
        case .trailingBytes(let offset, let count):
            "batch at offset \(offset) has \(count) bytes behind its last record"
        case .corruptCompression(let codec, let reason):
            "corrupt \(codec): \(reason)"
        case .decompressedTooLarge(let codec, let limit):
            "\(codec) would decompress to more than \(limit) bytes"
        case .compressionFailed(let codec, let reason):
            "\(codec) failed: \(reason)"
        case .unbuildable(let reason):
            "batch cannot be built: \(reason)"
        case .invalidControlRecord(let reason):
            "invalid control record: \(reason)"
        }
    }
}
