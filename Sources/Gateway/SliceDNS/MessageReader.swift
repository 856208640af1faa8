/// Reads what a message is made of. Every step is checked against the end; names may be
/// compressed, and whatever their pointers say, reading one takes bounded work.
struct MessageReader {
    /// In an honest message a pointer leads to a label, and a name has at most 127 of those.
    static let maximumPointers = 127

    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    private let end: Int

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        end = bytes.count
    }

    var isAtEnd: Bool { offset == end }
    var remaining: Int { end - offset }
    /// The name that follows is the root, written as one zero.
    var isAtRoot: Bool { offset < end && bytes[offset] == 0 }

    mutating func uint8() throws(MessageProblem) -> UInt8 {
        guard remaining >= 1 else { throw .truncated }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func uint16() throws(MessageProblem) -> UInt16 {
        guard remaining >= 2 else { throw .truncated }
        defer { offset += 2 }
        return UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
    }

    mutating func uint32() throws(MessageProblem) -> UInt32 {
        UInt32(try uint16()) << 16 | UInt32(try uint16())
    }

    mutating func take(_ count: Int) throws(MessageProblem) -> [UInt8] {
        guard count >= 0, remaining >= count else { throw .truncated }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    mutating func skip(_ count: Int) throws(MessageProblem) {
        guard count >= 0, remaining >= count else { throw .truncated }
        offset += count
    }

    mutating func name() throws(MessageProblem) -> DomainName {
        var wire: [UInt8] = []
        let bytes = bytes
        try name { wire += bytes[$0] }
        wire.append(0)
        return DomainName(unchecked: wire)
    }

    mutating func skipName() throws(MessageProblem) { try name { _ in } }

    /// Tells the ranges of bytes that make up the name, each one label with its length.
    private mutating func name(_ part: (Range<Int>) -> Void) throws(MessageProblem) {
        var at = offset
        // Where to go on reading, once a pointer was followed.
        var resume: Int?
        // A pointer must lead to before the place that held it, so that every jump goes back.
        var ceiling = offset
        var count = 1
        var jumps = 0
        while true {
            guard at < end else { throw .truncated }
            let length = Int(bytes[at])
            switch length {
            case 0:
                offset = resume ?? at + 1
                return
            case 1...MessageLimits.labelBytes:
                guard at + 1 + length <= end else { throw .truncated }
                count += 1 + length
                guard count <= MessageLimits.nameBytes else { throw .nameTooLong }
                part(at..<at + 1 + length)
                at += 1 + length
            case 0xc0...:
                guard at + 2 <= end else { throw .truncated }
                let target = (length & 0x3f) << 8 | Int(bytes[at + 1])
                guard target >= MessageLimits.headerBytes, target < ceiling else {
                    throw .badPointer
                }
                jumps += 1
                guard jumps <= Self.maximumPointers else { throw .tooManyPointers }
                if resume == nil { resume = at + 2 }
                ceiling = target
                at = target
            default: throw .badLabel
            }
        }
    }
}
