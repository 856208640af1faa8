import NIOCore

/// Numbers of variable length as records have them: zigzag, then seven bits a byte, the low ones
/// first.
enum Varint {
    static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: value << 1 ^ value >> 63)
    }

    static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// The bytes that a number takes.
    static func size(_ value: Int64) -> Int {
        let bits = UInt64.bitWidth - zigzag(value).leadingZeroBitCount
        return max(1, (bits + 6) / 7)
    }

    static func size(_ value: Int) -> Int { size(Int64(value)) }

    static func write(_ value: Int64, to buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 10) { bytes in
            var rest = zigzag(value)
            var count = 0
            while rest > 127 {
                bytes[count] = UInt8(truncatingIfNeeded: rest) | 128
                rest >>= 7
                count += 1
            }
            bytes[count] = UInt8(truncatingIfNeeded: rest)
            return count + 1
        }
    }

    static func write(_ value: Int, to buffer: inout ByteBuffer) {
        write(Int64(value), to: &buffer)
    }
}

/// Reads the fields of records. Every read says whether the bytes were there.
struct FieldReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var index: Int
    private let end: Int

    /// Reads from `index` on and never at or behind `end`.
    init(_ bytes: UnsafeRawBufferPointer, from index: Int, to end: Int) {
        self.bytes = bytes
        self.index = index
        self.end = min(end, bytes.count)
    }

    var remaining: Int { end - index }

    mutating func skipByte() throws(RecordFault) {
        guard index < end else { throw .truncated }
        index += 1
    }

    /// A number of at most 32 bits, zigzag.
    mutating func varint() throws(RecordFault) -> Int {
        let value = try unsigned(maximumBytes: 5)
        guard value <= UInt64(UInt32.max) else { throw .varint }
        return Int(Varint.unzigzag(value))
    }

    /// A number of at most 64 bits, zigzag.
    mutating func varlong() throws(RecordFault) -> Int64 {
        Varint.unzigzag(try unsigned(maximumBytes: 10))
    }

    private mutating func unsigned(maximumBytes: Int) throws(RecordFault) -> UInt64 {
        var value: UInt64 = 0
        for count in 0..<maximumBytes {
            guard index < end else { throw .truncated }
            let byte = bytes[index]
            index += 1
            // The tenth byte holds the last bit.
            guard count < 9 || byte <= 1 else { throw .varint }
            value |= UInt64(byte & 127) << UInt64(7 * count)
            if byte < 128 { return value }
        }
        throw .varint
    }

    /// A length and so many bytes: their range, or nil for the length -1.
    mutating func field(orFault fault: RecordFault) throws(RecordFault) -> Range<Int>? {
        let length = try varint()
        if length == -1 { return nil }
        guard length >= 0, length <= remaining else { throw fault }
        defer { index += length }
        return index..<(index + length)
    }
}
