import NIOCore

extension Compression {
    /// The levels that the codec has, as `compression.gzip.level` and its like take them; nil if it
    /// has none.
    package var levels: ClosedRange<Int>? {
        switch self {
        case .none, .snappy: nil
        case .gzip: GzipCodec.levels
        case .lz4: Lz4Codec.levels
        case .zstd: ZstdCodec.levels
        }
    }

    /// Appends the compressed bytes to a buffer. Without a level, the codec's own default.
    package func compress(
        _ bytes: ByteBuffer, level: Int? = nil, into buffer: inout ByteBuffer
    ) throws(RecordError) {
        if let level, let levels, !levels.contains(level) {
            throw .compressionFailed(self, reason: "no level \(level)")
        }
        switch self {
        case .none: buffer.writeImmutableBuffer(bytes)
        case .gzip: try GzipCodec.compress(bytes, level: level, into: &buffer)
        case .snappy: try SnappyCodec.compress(bytes, into: &buffer)
        case .lz4: try Lz4Codec.compress(bytes, level: level, into: &buffer)
        case .zstd: try ZstdCodec.compress(bytes, level: level, into: &buffer)
        }
    }

    /// The decompressed bytes, of which there are at most `limit`. Memory grows with what really
    /// comes out, never with what the bytes say of themselves.
    package func decompress(_ bytes: ByteBuffer, limit: Int) throws(RecordError) -> ByteBuffer {
        let limit = min(max(0, limit), Int(Int32.max))
        if self == .none {
            // Already in memory: they may still be more than is wanted.
            guard bytes.readableBytes <= limit else {
                throw .decompressedTooLarge(self, limit: limit)
            }
            return bytes
        }
        var output = BoundedOutput(codec: self, limit: limit, inputCount: bytes.readableBytes)
        switch self {
        case .none: break
        case .gzip: try GzipCodec.decompress(bytes, into: &output)
        case .snappy: try SnappyCodec.decompress(bytes, into: &output)
        case .lz4: try Lz4Codec.decompress(bytes, into: &output)
        case .zstd: try ZstdCodec.decompress(bytes, into: &output)
        }
        return output.buffer
    }
}

/// Where decompressed bytes go: grows as they come, and not beyond its limit.
struct BoundedOutput {
    let codec: Compression
    let limit: Int
    private(set) var buffer = ByteBuffer()
    /// What is asked for first.
    private let firstStep: Int

    init(codec: Compression, limit: Int, inputCount: Int) {
        self.codec = codec
        self.limit = limit
        firstStep = max(1024, 4 * inputCount)
    }

    var count: Int { buffer.writerIndex }
    var remaining: Int { limit - count }
    var tooLarge: RecordError { .decompressedTooLarge(codec, limit: limit) }

    func corrupt(_ reason: String) -> RecordError { .corruptCompression(codec, reason: reason) }

    /// For codecs that go on where they stopped: room for some bytes, one of them above the limit
    /// so that it shows when there are too many. The body says how many it wrote.
    mutating func write<T>(
        _ body: (UnsafeMutableRawBufferPointer) throws(RecordError) -> (count: Int, T)
    ) throws(RecordError) -> (count: Int, T) {
        let most = remaining + 1
        let room = min(most, count == 0 ? firstStep : count)
        return try write(room: room, atMost: most, body)
    }

    /// For codecs that must have room for all: exactly so much of it.
    mutating func write<T>(
        exactly room: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(RecordError) -> (count: Int, T)
    ) throws(RecordError) -> (count: Int, T) {
        guard room <= remaining else { throw tooLarge }
        return try write(room: room, atMost: room, body)
    }

    private mutating func write<T>(
        room: Int, atMost most: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(RecordError) -> (count: Int, T)
    ) throws(RecordError) -> (count: Int, T) {
        // A null pointer is not a place to some codecs: at least one byte is there.
        buffer.reserveCapacity(minimumWritableBytes: max(1, room))
        var result: (count: Int, T)?
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) {
            (space) throws(RecordError) -> Int in
            let written = try body(
                UnsafeMutableRawBufferPointer(rebasing: space.prefix(most)))
            result = written
            return min(max(0, written.count), most, space.count)
        }
        guard count <= limit, let result else { throw tooLarge }
        return result
    }
}

extension ByteBuffer {
    /// Appends at most so many bytes; the body says how many it wrote.
    mutating func writeCompressed(
        atMost room: Int, _ body: (UnsafeMutableRawBufferPointer) throws(RecordError) -> Int
    ) throws(RecordError) {
        try writeWithUnsafeMutableBytes(minimumWritableBytes: max(1, room)) {
            (space) throws(RecordError) -> Int in
            min(max(0, try body(space)), space.count)
        }
    }
}
