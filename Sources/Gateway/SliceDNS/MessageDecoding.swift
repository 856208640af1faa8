import Addresses

extension Message {
    package init(decoding bytes: UnsafeRawBufferPointer) throws(MessageProblem) {
        var reader = MessageReader(bytes)
        self.init(header: Header(id: try reader.uint16(), flags: try reader.uint16()))
        let counts = [
            Int(try reader.uint16()), Int(try reader.uint16()), Int(try reader.uint16()),
            Int(try reader.uint16()),
        ]
        // No room is set aside for counts: they are claims. Each entry takes bytes, or throws.
        for _ in 0..<counts[0] {
            questions.append(
                Question(
                    try reader.name(), RecordType(rawValue: try reader.uint16()),
                    RecordClass(rawValue: try reader.uint16())))
        }
        for _ in 0..<counts[1] { answers.append(try Self.record(&reader)) }
        for _ in 0..<counts[2] { authority.append(try Self.record(&reader)) }
        for _ in 0..<counts[3] {
            let record = try Self.record(&reader)
            guard record.type == .opt else {
                additional.append(record)
                continue
            }
            guard edns == nil, record.owner == .root else { throw .misplacedOption }
            edns = try EDNS(record)
        }
        guard reader.isAtEnd else { throw .trailingBytes }
        if answers.contains(where: { $0.type == .opt })
            || authority.contains(where: { $0.type == .opt })
        {
            throw .misplacedOption
        }
    }

    private static func record(
        _ reader: inout MessageReader
    ) throws(MessageProblem) -> ResourceRecord {
        let owner = try reader.name()
        let type = RecordType(rawValue: try reader.uint16())
        let recordClass = RecordClass(rawValue: try reader.uint16())
        let ttl = try reader.uint32()
        let length = Int(try reader.uint16())
        guard reader.remaining >= length else { throw .truncated }
        let end = reader.offset + length
        let data = try Self.data(type, length, recordClass, &reader)
        guard reader.offset == end else { throw .badData }
        return ResourceRecord(
            owner: owner, type: type, recordClass: recordClass, ttl: ttl, data: data)
    }

    private static func data(
        _ type: RecordType, _ length: Int, _ recordClass: RecordClass,
        _ reader: inout MessageReader
    ) throws(MessageProblem) -> ResourceRecord.Data {
        guard recordClass == .internet else { return .opaque(try reader.take(length)) }
        switch type {
        case .a:
            guard length == 4 else { throw .badData }
            return .a(IPv4Address(try reader.uint32()))
        case .aaaa:
            guard length == 16 else { throw .badData }
            let high = UInt64(try reader.uint32()) << 32 | UInt64(try reader.uint32())
            let low = UInt64(try reader.uint32()) << 32 | UInt64(try reader.uint32())
            return .aaaa(IPv6Address(high: high, low: low))
        case .ns: return .ns(try reader.name())
        case .ptr: return .ptr(try reader.name())
        case .cname: return .cname(try reader.name())
        case .soa:
            return .soa(
                ResourceRecord.SOA(
                    primary: try reader.name(), mailbox: try reader.name(),
                    serial: try reader.uint32(), refresh: try reader.uint32(),
                    retry: try reader.uint32(), expire: try reader.uint32(),
                    minimum: try reader.uint32()))
        case .srv:
            return .srv(
                ResourceRecord.SRV(
                    priority: try reader.uint16(), weight: try reader.uint16(),
                    port: try reader.uint16(), target: try reader.name()))
        default: return .opaque(try reader.take(length))
        }
    }
}

extension EDNS {
    fileprivate init(_ record: ResourceRecord) throws(MessageProblem) {
        guard case .opaque(let data) = record.data else { throw .badOption }
        self.init(
            payloadBytes: record.recordClass.rawValue,
            version: UInt8(record.ttl >> 16 & 0xff), codeUpper: UInt8(record.ttl >> 24),
            flags: UInt16(record.ttl & 0xffff))
        var rest = data[...]
        while !rest.isEmpty {
            guard rest.count >= 4 else { throw .badOption }
            let head = Array(rest.prefix(4))
            let length = Int(head[2]) << 8 | Int(head[3])
            rest = rest.dropFirst(4)
            guard rest.count >= length else { throw .badOption }
            options.append(
                Option(
                    code: UInt16(head[0]) << 8 | UInt16(head[1]), data: Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
    }
}
