import NIOCore

/// A part of what is sent: from memory, or from a file that need not pass through memory.
package enum Piece: Sendable, Equatable {
    case bytes(ByteBuffer)
    case file(FileRegion)

    package var count: Int {
        switch self {
        case .bytes(let buffer): buffer.readableBytes
        case .file(let region): region.length
        }
    }
}

/// Writes Kafka's encodings. Records that are long or in a file are not copied: they become
/// pieces of their own, between slices of the one buffer that everything else is written to.
package struct WireWriter {
    /// From here on a copy costs more than a piece more to send.
    package static let longRecords = 4096

    private struct Insertion {
        var position: Int
        var records: Records
    }

    private var buffer: ByteBuffer
    private var insertions: [Insertion] = []
    private var inserted = 0
    private let isFrame: Bool
    /// Set by each message: compact lengths and tagged fields (KIP-482) instead of plain ones.
    package var flexible = false

    /// A frame starts with its length in four bytes, which `finish` fills in.
    package init(frame: Bool = false, capacity: Int = 256) {
        buffer = ByteBufferAllocator().buffer(capacity: capacity)
        isFrame = frame
        if frame { buffer.writeInteger(Int32(0)) }
    }

    /// Bytes so far, those of pieces included.
    package var count: Int { buffer.writerIndex + inserted }

    package mutating func finish() -> [Piece] {
        fillInLength()
        if insertions.isEmpty { return [.bytes(buffer)] }
        var pieces: [Piece] = []
        pieces.reserveCapacity(insertions.count * 2 + 1)
        for insertion in insertions {
            takeBytes(upTo: insertion.position, into: &pieces)
            switch insertion.records {
            case .bytes(let bytes): pieces.append(.bytes(bytes))
            case .file(let region): pieces.append(.file(region))
            }
        }
        takeBytes(upTo: buffer.writerIndex, into: &pieces)
        return pieces
    }

    private mutating func takeBytes(upTo position: Int, into pieces: inout [Piece]) {
        if let slice = buffer.readSlice(length: position - buffer.readerIndex),
            slice.readableBytes > 0
        {
            pieces.append(.bytes(slice))
        }
    }

    /// For what is never in a file: requests, records, snapshots.
    package mutating func finishInOneBuffer() -> ByteBuffer {
        fillInLength()
        if insertions.isEmpty { return buffer }
        var whole = ByteBufferAllocator().buffer(capacity: count)
        for piece in finish() {
            switch piece {
            case .bytes(var bytes): whole.writeBuffer(&bytes)
            case .file: preconditionFailure("records in a file cannot be had in one buffer")
            }
        }
        return whole
    }

    private mutating func fillInLength() {
        if isFrame { buffer.setInteger(Int32(clamping: count - 4), at: 0) }
    }

    // MARK: Numbers

    package mutating func int8(_ value: Int8) { buffer.writeInteger(value) }
    package mutating func int16(_ value: Int16) { buffer.writeInteger(value) }
    package mutating func uint16(_ value: UInt16) { buffer.writeInteger(value) }
    package mutating func int32(_ value: Int32) { buffer.writeInteger(value) }
    package mutating func int64(_ value: Int64) { buffer.writeInteger(value) }
    package mutating func float64(_ value: Double) { buffer.writeInteger(value.bitPattern) }
    package mutating func bool(_ value: Bool) { buffer.writeInteger(UInt8(value ? 1 : 0)) }
    package mutating func errorCode(_ value: ErrorCode) { buffer.writeInteger(value.rawValue) }

    package mutating func uuid(_ value: KafkaUUID) {
        buffer.writeInteger(value.high)
        buffer.writeInteger(value.low)
    }

    package mutating func unsignedVarint(_ value: UInt32) { unsignedVarlong(UInt64(value)) }

    package mutating func unsignedVarlong(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(truncatingIfNeeded: rest))
    }

    /// Zigzag, as in records.
    package mutating func varint(_ value: Int32) {
        unsignedVarint(UInt32(bitPattern: value << 1 ^ value >> 31))
    }

    package mutating func varlong(_ value: Int64) {
        unsignedVarlong(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    // MARK: Lengths

    private mutating func compactLength(_ length: Int?) {
        unsignedVarint(length.map { UInt32(clamping: $0 + 1) } ?? 0)
    }

    /// Of arrays and bytes.
    private mutating func length(_ length: Int?) {
        if flexible { compactLength(length) } else { int32(Int32(clamping: length ?? -1)) }
    }

    // MARK: Texts and bytes

    package mutating func string(_ value: String) {
        let count = value.utf8.count
        if count > Int16.max { return string(Self.shortened(value)) }
        if flexible { compactLength(count) } else { int16(Int16(count)) }
        buffer.writeString(value)
    }

    /// Kafka has no longer strings, and all that come in are shorter: this can only be a message
    /// of our own, of which the start says enough.
    private static func shortened(_ value: String) -> String {
        var bytes = Array(value.utf8.prefix(Int(Int16.max)))
        while let last = bytes.last, last & 0xc0 == 0x80 { bytes.removeLast() }
        if let last = bytes.last, last >= 0xc0 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    package mutating func nullableString(_ value: String?, orEmptyUnless nullable: Bool = true) {
        if let value {
            string(value)
        } else if !nullable {
            string("")
        } else if flexible {
            compactLength(nil)
        } else {
            int16(-1)
        }
    }

    /// The client id of the request header is never compact.
    package mutating func plainNullableString(_ value: String?) {
        let wasFlexible = flexible
        flexible = false
        nullableString(value)
        flexible = wasFlexible
    }

    package mutating func bytes(_ value: ByteBuffer) {
        length(value.readableBytes)
        buffer.writeImmutableBuffer(value)
    }

    package mutating func nullableBytes(_ value: ByteBuffer?) {
        if let value { bytes(value) } else { length(nil) }
    }

    package mutating func records(_ value: Records) {
        length(value.count)
        if case .bytes(let bytes) = value, bytes.readableBytes < Self.longRecords {
            buffer.writeImmutableBuffer(bytes)
        } else {
            insertions.append(Insertion(position: buffer.writerIndex, records: value))
            inserted += value.count
        }
    }

    package mutating func nullableRecords(_ value: Records?) {
        if let value { records(value) } else { length(nil) }
    }

    /// Bytes as they are, with no length before them.
    package mutating func raw(_ value: ByteBuffer) {
        buffer.writeImmutableBuffer(value)
    }
}

// MARK: - Arrays

extension WireWriter {
    package mutating func structs<T: KafkaStruct>(_ elements: [T], _ version: Int16) {
        length(elements.count)
        for element in elements { element.encode(to: &self, version: version) }
    }

    package mutating func nullableStructs<T: KafkaStruct>(
        _ elements: [T]?, _ version: Int16, orEmptyUnless nullable: Bool = true
    ) {
        if let elements { structs(elements, version) } else { length(nullable ? nil : 0) }
    }

    /// A struct that may be null has a byte before it (KIP-893).
    package mutating func nullableStruct<T: KafkaStruct>(_ value: T?, _ version: Int16) {
        guard let value else { return int8(-1) }
        int8(1)
        value.encode(to: &self, version: version)
    }

    package mutating func int32s(_ elements: [Int32]) {
        length(elements.count)
        for element in elements { int32(element) }
    }

    package mutating func nullableInt32s(_ elements: [Int32]?) {
        if let elements { int32s(elements) } else { length(nil) }
    }

    package mutating func int8s(_ elements: [Int8]) {
        length(elements.count)
        for element in elements { int8(element) }
    }

    package mutating func strings(_ elements: [String]) {
        length(elements.count)
        for element in elements { string(element) }
    }

    package mutating func nullableStrings(_ elements: [String]?) {
        if let elements { strings(elements) } else { length(nil) }
    }

    package mutating func uuids(_ elements: [KafkaUUID]) {
        length(elements.count)
        for element in elements { uuid(element) }
    }

    package mutating func nullableUuids(_ elements: [KafkaUUID]?) {
        if let elements { uuids(elements) } else { length(nil) }
    }
}

// MARK: - Tagged fields (KIP-482)

extension WireWriter {
    package mutating func noTags() {
        if flexible { int8(0) }
    }

    package mutating func tagCount(_ count: Int) { unsignedVarint(UInt32(clamping: count)) }

    /// Leaves a byte for the size. Returns where the value starts.
    package mutating func beginTag(_ number: UInt32) -> Int {
        unsignedVarint(number)
        int8(0)
        return buffer.writerIndex
    }

    /// Most values are shorter than 128 bytes, so that their size fits the byte that was left;
    /// a longer one is moved. No tagged field has records in it.
    package mutating func endTag(_ start: Int) {
        let size = buffer.writerIndex - start
        if size < 0x80 {
            buffer.setInteger(UInt8(size), at: start - 1)
        } else if let value = buffer.getSlice(at: start, length: size) {
            buffer.moveWriterIndex(to: start - 1)
            unsignedVarint(UInt32(clamping: size))
            buffer.writeImmutableBuffer(value)
        }
    }
}
