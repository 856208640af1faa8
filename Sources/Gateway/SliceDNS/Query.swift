/// What somebody asks, read once and no more of it than an answer needs.
package struct Query: Sendable {
    package var header: Header
    /// As it was spelled: answers repeat it (draft-vixie-dnsext-dns0x20).
    package var name: DomainName
    package var type: RecordType
    package var recordClass: RecordClass
    package var edns: Extension?

    package struct Extension: Hashable, Sendable {
        package var payloadBytes: UInt16
        package var version: UInt8
        package var wantsSignatures: Bool
    }

    /// What bytes from a client come to.
    enum Reading {
        case query(Query)
        /// Its header is all that is known of it.
        case bad(Header, ResponseCode, Reason)
        /// Not to be answered.
        case ignored(Drop)
    }

    static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        guard bytes.count >= MessageLimits.headerBytes else { return .ignored(.tooShort) }
        var reader = MessageReader(bytes)
        do throws(MessageProblem) {
            let header = Header(id: try reader.uint16(), flags: try reader.uint16())
            // Two servers that answer answers would never stop.
            if header.has(Header.response) { return .ignored(.notAQuery) }
            guard header.opcode == 0 else {
                return .bad(header, .notImplemented, .opcode(header.opcode))
            }
            do throws(MessageProblem) {
                let (query, reason) = try read(header, &reader)
                return query.map { .query($0) } ?? .bad(header, .formatError, reason)
            } catch {
                return .bad(header, .formatError, .malformed(error))
            }
        } catch {
            return .ignored(.tooShort)
        }
    }

    private static func read(
        _ header: Header, _ reader: inout MessageReader
    ) throws(MessageProblem) -> (Query?, Reason) {
        let questions = try reader.uint16()
        let answers = try reader.uint16()
        let authority = try reader.uint16()
        let additional = try reader.uint16()
        // RFC 9619: one. None at all is for cookies (RFC 7873 section 5.4), which we have not.
        guard questions == 1 else { return (nil, .questions(questions)) }
        var query = Query(
            header: header, name: try reader.name(),
            type: RecordType(rawValue: try reader.uint16()),
            recordClass: RecordClass(rawValue: try reader.uint16()))
        // IXFR has its serial in the authority section (RFC 1995 section 3); refused later.
        guard answers == 0, authority == 0 || query.type == .ixfr else {
            return (nil, .unexpectedRecords)
        }
        for _ in 0..<authority { try skipRecord(&reader) }
        for _ in 0..<additional {
            let isRoot = reader.isAtRoot
            try reader.skipName()
            guard RecordType(rawValue: try reader.uint16()) == .opt else {
                try reader.skip(6)
                try reader.skip(Int(try reader.uint16()))
                continue
            }
            guard isRoot, query.edns == nil else { throw .misplacedOption }
            query.edns = try option(&reader)
        }
        guard reader.isAtEnd else { throw .trailingBytes }
        return (query, .answered)
    }

    private static func skipRecord(_ reader: inout MessageReader) throws(MessageProblem) {
        try reader.skipName()
        try reader.skip(8)
        try reader.skip(Int(try reader.uint16()))
    }

    /// From behind its type. What options there are does not matter, but that they are whole.
    private static func option(
        _ reader: inout MessageReader
    ) throws(MessageProblem) -> Extension {
        let payload = try reader.uint16()
        _ = try reader.uint8()
        let version = try reader.uint8()
        let flags = try reader.uint16()
        let length = Int(try reader.uint16())
        guard reader.remaining >= length else { throw .truncated }
        let end = reader.offset + length
        while reader.offset < end {
            guard end - reader.offset >= 4 else { throw .badOption }
            try reader.skip(2)
            let count = Int(try reader.uint16())
            guard end - reader.offset >= count else { throw .badOption }
            try reader.skip(count)
        }
        return Extension(
            payloadBytes: payload, version: version,
            wantsSignatures: flags & EDNS.wantsSignatures != 0)
    }

    /// How long an answer may be: RFC 6891 section 6.2.3, and what paths carry in one piece.
    func answerBytes(isStream: Bool) -> Int {
        if isStream { return MessageLimits.streamBytes }
        guard let edns else { return MessageLimits.plainBytes }
        return min(
            max(Int(edns.payloadBytes), MessageLimits.plainBytes), MessageLimits.datagramBytes)
    }
}
