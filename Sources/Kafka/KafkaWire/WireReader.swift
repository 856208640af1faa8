import NIOCore

/// Reads Kafka's encodings from one buffer.
///
/// A length is checked against the bytes left before anything is made of it. How deep structs lie
/// in each other is bounded by the schemas, none of which is recursive.
package struct WireReader {
    package var buffer: ByteBuffer
    /// Set by each message: compact lengths and tagged fields (KIP-482) instead of plain ones.
    package var flexible = false

    package init(_ buffer: ByteBuffer) {
        self.buffer = buffer
    }

    package var remaining: Int { buffer.readableBytes }

    // MARK: Numbers

    @inline(__always)
    private mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(WireError) -> T {
        guard let value = buffer.readInteger(as: T.self) else { throw lacks(MemoryLayout<T>.size) }
        return value
    }

    package mutating func int8() throws(WireError) -> Int8 { try integer(Int8.self) }
    package mutating func int16() throws(WireError) -> Int16 { try integer(Int16.self) }
    package mutating func uint16() throws(WireError) -> UInt16 { try integer(UInt16.self) }
    package mutating func int32() throws(WireError) -> Int32 { try integer(Int32.self) }
    package mutating func int64() throws(WireError) -> Int64 { try integer(Int64.self) }

    package mutating func float64() throws(WireError) -> Double {
        Double(bitPattern: try integer(UInt64.self))
    }

    package mutating func bool() throws(WireError) -> Bool { try integer(UInt8.self) != 0 }

    package mutating func errorCode() throws(WireError) -> ErrorCode {
        ErrorCode(rawValue: try integer(Int16.self))
    }

    package mutating func uuid() throws(WireError) -> KafkaUUID {
        guard remaining >= 16 else { throw lacks(16) }
        return KafkaUUID(high: try integer(UInt64.self), low: try integer(UInt64.self))
    }

    /// Seven bits a byte, the lowest first, at most five bytes.
    package mutating func unsignedVarint() throws(WireError) -> UInt32 {
        let start = buffer.readerIndex
        var value: UInt32 = 0
        for shift in stride(from: UInt32(0), to: 35, by: 7) {
            let byte = try integer(UInt8.self)
            // Of the fifth byte only four bits have a place; Kafka drops the others as Java does.
            value |= UInt32(byte & 0x7f) &<< shift
            if byte & 0x80 == 0 { return value }
        }
        throw .varintTooLong(at: start)
    }

    /// At most ten bytes.
    package mutating func unsignedVarlong() throws(WireError) -> UInt64 {
        let start = buffer.readerIndex
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let byte = try integer(UInt8.self)
            value |= UInt64(byte & 0x7f) &<< shift
            if byte & 0x80 == 0 { return value }
        }
        throw .varintTooLong(at: start)
    }

    /// Zigzag, as in records.
    package mutating func varint() throws(WireError) -> Int32 {
        let value = try unsignedVarint()
        return Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1)
    }

    package mutating func varlong() throws(WireError) -> Int64 {
        let value = try unsignedVarlong()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    // MARK: Lengths

    /// A compact length is one more than it says, and 0 is null. Returns nil for null.
    private mutating func compactLength() throws(WireError) -> Int? {
        let value = try unsignedVarint()
        return value == 0 ? nil : Int(value) - 1
    }

    private func plainLength(_ length: Int, at start: Int) throws(WireError) -> Int? {
        if length >= 0 { return length }
        guard length == -1 else { throw .invalidLength(length, at: start) }
        return nil
    }

    private mutating func stringLength() throws(WireError) -> Int? {
        let start = buffer.readerIndex
        guard flexible else { return try plainLength(Int(try int16()), at: start) }
        let length = try compactLength()
        // Kafka's strings are no longer in the compact encoding than in the plain one.
        if let length, length > Int16.max { throw .invalidLength(length, at: start) }
        return length
    }

    private mutating func bytesLength() throws(WireError) -> Int? {
        let start = buffer.readerIndex
        return flexible ? try compactLength() : try plainLength(Int(try int32()), at: start)
    }

    /// The count of an array whose elements take at least `size` bytes each.
    private mutating func arrayCount(size: Int) throws(WireError) -> Int? {
        let start = buffer.readerIndex
        let length = flexible ? try compactLength() : try plainLength(Int(try int32()), at: start)
        guard let count = length else { return nil }
        guard count <= remaining / size else { throw lacks(count * size) }
        return count
    }

    private func lacks(_ needed: Int) -> WireError {
        .truncated(needed: needed, left: remaining, at: buffer.readerIndex)
    }

    private func unless(_ allowed: Bool) throws(WireError) {
        guard allowed else { throw .unexpectedNull(at: buffer.readerIndex) }
    }

    // MARK: Texts and bytes

    private mutating func text(_ length: Int) throws(WireError) -> String {
        guard length <= remaining else { throw lacks(length) }
        let text = buffer.withUnsafeReadableBytes { bytes in
            String(validating: UnsafeRawBufferPointer(rebasing: bytes[..<length]), as: UTF8.self)
        }
        guard let text else { throw .notUTF8(at: buffer.readerIndex) }
        buffer.moveReaderIndex(forwardBy: length)
        return text
    }

    package mutating func string() throws(WireError) -> String {
        guard let length = try stringLength() else {
            throw .unexpectedNull(at: buffer.readerIndex)
        }
        return try text(length)
    }

    package mutating func nullableString(_ allowed: Bool) throws(WireError) -> String? {
        if let length = try stringLength() { return try text(length) }
        try unless(allowed)
        return nil
    }

    /// The client id of the request header is never compact: a broker must be able to read it
    /// before it knows the version (KIP-482).
    package mutating func plainNullableString(_ allowed: Bool) throws(WireError) -> String? {
        let wasFlexible = flexible
        flexible = false
        let text = try nullableString(allowed)
        flexible = wasFlexible
        return text
    }

    private mutating func slice(_ length: Int) throws(WireError) -> ByteBuffer {
        guard let slice = buffer.readSlice(length: length) else { throw lacks(length) }
        return slice
    }

    /// A slice of the buffer that is read: no bytes are copied.
    package mutating func bytes() throws(WireError) -> ByteBuffer {
        guard let length = try bytesLength() else { throw .unexpectedNull(at: buffer.readerIndex) }
        return try slice(length)
    }

    package mutating func nullableBytes(_ allowed: Bool) throws(WireError) -> ByteBuffer? {
        if let length = try bytesLength() { return try slice(length) }
        try unless(allowed)
        return nil
    }

    package mutating func records() throws(WireError) -> Records { .bytes(try bytes()) }

    package mutating func nullableRecords(_ allowed: Bool) throws(WireError) -> Records? {
        if let bytes = try nullableBytes(allowed) { return .bytes(bytes) }
        return nil
    }
}

// MARK: - Arrays

extension WireReader {
    /// An array is given room for this many elements at once; a longer one grows as it is read, so
    /// that a few bytes cannot claim much memory.
    private static var reserve: Int { 512 }

    private mutating func required(size: Int) throws(WireError) -> Int {
        guard let count = try arrayCount(size: size) else {
            throw .unexpectedNull(at: buffer.readerIndex)
        }
        return count
    }

    private mutating func elements<T: KafkaStruct>(
        _: T.Type, _ version: Int16, _ count: Int
    ) throws(WireError) -> [T] {
        var elements: [T] = []
        elements.reserveCapacity(min(count, Self.reserve))
        for _ in 0..<count { elements.append(try T(from: &self, version: version)) }
        return elements
    }

    package mutating func structs<T: KafkaStruct>(
        _ type: T.Type, _ version: Int16
    ) throws(WireError) -> [T] {
        try elements(type, version, try required(size: 1))
    }

    package mutating func nullableStructs<T: KafkaStruct>(
        _ type: T.Type, _ version: Int16, _ allowed: Bool
    ) throws(WireError) -> [T]? {
        if let count = try arrayCount(size: 1) { return try elements(type, version, count) }
        try unless(allowed)
        return nil
    }

    /// A struct that may be null has a byte before it: -1 for null (KIP-893).
    package mutating func nullableStruct<T: KafkaStruct>(
        _ type: T.Type, _ version: Int16, _ allowed: Bool
    ) throws(WireError) -> T? {
        if try int8() >= 0 { return try T(from: &self, version: version) }
        try unless(allowed)
        return nil
    }

    private mutating func int32s(_ count: Int) throws(WireError) -> [Int32] {
        var elements: [Int32] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try int32()) }
        return elements
    }

    package mutating func int32s() throws(WireError) -> [Int32] {
        try int32s(try required(size: 4))
    }

    package mutating func nullableInt32s(_ allowed: Bool) throws(WireError) -> [Int32]? {
        if let count = try arrayCount(size: 4) { return try int32s(count) }
        try unless(allowed)
        return nil
    }

    package mutating func int8s() throws(WireError) -> [Int8] {
        let count = try required(size: 1)
        var elements: [Int8] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try int8()) }
        return elements
    }

    private mutating func strings(_ count: Int) throws(WireError) -> [String] {
        var elements: [String] = []
        elements.reserveCapacity(min(count, Self.reserve))
        for _ in 0..<count { elements.append(try string()) }
        return elements
    }

    package mutating func strings() throws(WireError) -> [String] {
        try strings(try required(size: flexible ? 1 : 2))
    }

    package mutating func nullableStrings(_ allowed: Bool) throws(WireError) -> [String]? {
        if let count = try arrayCount(size: flexible ? 1 : 2) { return try strings(count) }
        try unless(allowed)
        return nil
    }

    private mutating func uuids(_ count: Int) throws(WireError) -> [KafkaUUID] {
        var elements: [KafkaUUID] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try uuid()) }
        return elements
    }

    package mutating func uuids() throws(WireError) -> [KafkaUUID] {
        try uuids(try required(size: 16))
    }

    package mutating func nullableUuids(_ allowed: Bool) throws(WireError) -> [KafkaUUID]? {
        if let count = try arrayCount(size: 16) { return try uuids(count) }
        try unless(allowed)
        return nil
    }
}

// MARK: - Tagged fields (KIP-482)

/// A tagged field that is being read: its number, its size and where its value starts.
package struct WireTag {
    package let number: UInt32
    fileprivate let size: Int
    fileprivate let start: Int
}

extension WireReader {
    /// How many tagged fields follow; none in a plain version.
    package mutating func tagCount() throws(WireError) -> Int {
        guard flexible else { return 0 }
        let count = Int(try unsignedVarint())
        guard count <= remaining / 2 else { throw lacks(count * 2) }
        return count
    }

    package mutating func beginTag() throws(WireError) -> WireTag {
        let number = try unsignedVarint()
        let size = Int(try unsignedVarint())
        guard size <= remaining else { throw lacks(size) }
        return WireTag(number: number, size: size, start: buffer.readerIndex)
    }

    package mutating func skip(_ tag: WireTag) {
        buffer.moveReaderIndex(to: tag.start + tag.size)
    }

    /// The value must take the size that was said: otherwise sender and reader disagree on what
    /// the field is.
    package mutating func end(_ tag: WireTag) throws(WireError) {
        let took = buffer.readerIndex - tag.start
        guard took == tag.size else {
            throw .tagSize(tag: tag.number, said: tag.size, took: took, at: tag.start)
        }
    }

    /// For structs of which no tagged field is known.
    package mutating func skipTags() throws(WireError) {
        guard flexible else { return }
        for _ in 0..<(try tagCount()) { skip(try beginTag()) }
    }
}
