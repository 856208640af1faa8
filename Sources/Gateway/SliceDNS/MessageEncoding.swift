import Addresses

extension Message {
    /// Names that occurred before are pointed at (RFC 1035 section 4.1.4), in owners and in the
    /// data of the types that RFC 1035 has; not in SRV (RFC 2782), nor in anything newer
    /// (RFC 3597 section 4). Nil if there are more than `limit` bytes.
    package func encoded(limit: Int = MessageLimits.streamBytes) -> [UInt8]? {
        var writer = NameWriter()
        writer.append(header.id)
        writer.append(header.flags)
        let more = additional.count + (edns == nil ? 0 : 1)
        for count in [questions.count, answers.count, authority.count, more] {
            guard let count = UInt16(exactly: count) else { return nil }
            writer.append(count)
        }
        for question in questions {
            writer.name(question.name)
            writer.append(question.type.rawValue)
            writer.append(question.recordClass.rawValue)
        }
        for record in answers + authority + additional {
            guard writer.record(record), writer.bytes.count <= limit else { return nil }
        }
        if let edns { guard writer.option(edns) else { return nil } }
        return writer.bytes.count <= limit ? writer.bytes : nil
    }
}

/// Writes a message and remembers where names stand in it.
private struct NameWriter {
    /// So many places are looked through for each name.
    private static let maximumPlaces = 128

    var bytes: [UInt8] = []
    private var places: [Int] = []

    mutating func append(_ value: UInt16) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(value & 0xff))
    }

    mutating func append(_ value: UInt32) {
        append(UInt16(value >> 16))
        append(UInt16(value & 0xffff))
    }

    mutating func name(_ name: DomainName, compressed: Bool = true) {
        let wire = name.wire
        var at = 0
        while wire[at] != 0 {
            if compressed, let place = place(of: wire[at...]) {
                append(0xc000 | UInt16(place))
                return
            }
            // 14 bits lead back.
            if places.count < Self.maximumPlaces, bytes.count < 0x4000 {
                places.append(bytes.count)
            }
            let next = at + 1 + Int(wire[at])
            bytes += wire[at..<next]
            at = next
        }
        bytes.append(0)
    }

    private func place(of wire: ArraySlice<UInt8>) -> Int? {
        places.first { matches(wire, at: $0) }
    }

    /// Spelled alike: a pointer must not change the case of what is written.
    private func matches(_ wire: ArraySlice<UInt8>, at place: Int) -> Bool {
        var (at, from) = (place, wire.startIndex)
        while at < bytes.count {
            let length = Int(bytes[at])
            if length >= 0xc0 {
                guard at + 1 < bytes.count else { return false }
                at = (length & 0x3f) << 8 | Int(bytes[at + 1])
                continue
            }
            guard Int(wire[from]) == length else { return false }
            if length == 0 { return true }
            guard at + 1 + length <= bytes.count,
                bytes[at + 1...at + length].elementsEqual(wire[from + 1...from + length])
            else { return false }
            at += 1 + length
            from += 1 + length
        }
        return false
    }

    mutating func record(_ record: ResourceRecord) -> Bool {
        name(record.owner)
        append(record.type.rawValue)
        append(record.recordClass.rawValue)
        append(record.ttl)
        let place = bytes.count
        append(UInt16(0))
        switch record.data {
        case .a(let address): append(address.value)
        case .aaaa(let address): bytes += IPAddress.v6(address).bytes
        case .ns(let target), .ptr(let target), .cname(let target): name(target)
        case .soa(let soa):
            name(soa.primary)
            name(soa.mailbox)
            for value in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                append(value)
            }
        case .srv(let srv):
            append(srv.priority)
            append(srv.weight)
            append(srv.port)
            name(srv.target, compressed: false)
        case .opaque(let data): bytes += data
        }
        return setLength(at: place)
    }

    mutating func option(_ edns: EDNS) -> Bool {
        bytes.append(0)
        append(RecordType.opt.rawValue)
        append(edns.payloadBytes)
        bytes += [edns.codeUpper, edns.version]
        append(edns.flags)
        let place = bytes.count
        append(UInt16(0))
        for option in edns.options {
            guard let length = UInt16(exactly: option.data.count) else { return false }
            append(option.code)
            append(length)
            bytes += option.data
        }
        return setLength(at: place)
    }

    private mutating func setLength(at place: Int) -> Bool {
        guard let length = UInt16(exactly: bytes.count - place - 2) else { return false }
        bytes[place] = UInt8(length >> 8)
        bytes[place + 1] = UInt8(length & 0xff)
        return true
    }
}
