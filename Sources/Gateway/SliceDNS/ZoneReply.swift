import Addresses

/// One answer in the making.
struct ZoneReply {
    private let zone: SliceZone
    private let query: Query
    private let circumstances: SliceZone.Circumstances
    private var writer: ReplyWriter
    private var isTruncated = false

    init(_ zone: SliceZone, _ query: Query, _ circumstances: SliceZone.Circumstances) {
        self.zone = zone
        self.query = query
        self.circumstances = circumstances
        writer = ReplyWriter(
            query, zone: zone.name.wire, isStream: circumstances.isStream,
            recurses: circumstances.forwards)
    }

    // MARK: Ends

    mutating func refuse(_ code: ResponseCode, _ reason: Reason) -> SliceZone.Reaction {
        writer.code = code
        return finish(reason)
    }

    private mutating func finish(_ reason: Reason) -> SliceZone.Reaction {
        if isTruncated { writer.flags |= Header.truncated }
        let note = SliceZone.Note(
            type: query.type, name: query.name, code: writer.code, reason: reason,
            isTruncated: isTruncated)
        return .reply(writer.finished(reason), note)
    }

    /// RFC 2308: with the SOA record, which says for how long.
    private mutating func negative(
        _ reason: Reason, zoneAt place: Int
    ) -> SliceZone.Reaction {
        switch reason {
        case .noSuchName, .notImported: writer.code = .nameError
        default: break
        }
        soa(.authority, .place(MessageLimits.headerBytes + place))
        return finish(reason)
    }

    private mutating func add(_ isWritten: Bool) {
        // On a stream there is no way to tell more: the nearest are in.
        if !isWritten, !circumstances.isStream { isTruncated = true }
    }

    private mutating func soa(_ section: ReplyWriter.Section, _ owner: ReplyWriter.Owner) {
        let zone = zone
        add(
            writer.record(section, owner, .soa, ttl: SliceZone.ttlSeconds) { writer in
                writer.append(zone.primary)
                // hostmaster (RFC 2142 section 7).
                writer.append(ZoneBuilder.key(["hostmaster"]))
                writer.append(zone.serial)
                // Nobody transfers the zone: refresh, retry and expire are for the form.
                for value: UInt32 in [3600, 600, 86_400, SliceZone.ttlSeconds] {
                    writer.append(value)
                }
            })
    }

    private mutating func nameServer(_ owner: ReplyWriter.Owner) {
        let zone = zone
        add(
            writer.record(.answer, owner, .ns, ttl: SliceZone.ttlSeconds) {
                $0.append(zone.primary)
            })
        guard case .host(let addresses) = zone.nodes[zone.primary] else { return }
        for address in addresses { _ = writer.address(.additional, .key(zone.primary), address) }
    }

    /// RFC 8482 section 4.2: a HINFO record that says so, instead of everything there is.
    private mutating func minimalAny() -> SliceZone.Reaction {
        let text = Array("RFC8482".utf8)
        add(
            writer.record(.answer, .question, .hinfo, ttl: SliceZone.ttlSeconds) { writer in
                for byte in [UInt8(text.count)] + text + [0] { writer.append(byte: byte) }
            })
        return finish(.minimalAny)
    }

    // MARK: Names of the zone

    mutating func answer(_ key: NameKey, zoneAt place: Int) -> SliceZone.Reaction {
        writer.flags |= Header.authoritative
        if key.bytes.isEmpty { return apex(zoneAt: place) }
        switch zone.nodes[key] {
        case nil: return negative(.noSuchName, zoneAt: place)
        case .notImported(let service): return negative(.notImported(service.key), zoneAt: place)
        case .empty: return negative(.emptyName, zoneAt: place)
        case _? where query.type == .any: return minimalAny()
        case .host(let addresses): return host(addresses, zoneAt: place)
        case .service(let service): return members(service, zoneAt: place)
        case .port(let service, let numbers): return servers(service, numbers, zoneAt: place)
        }
    }

    private mutating func apex(zoneAt place: Int) -> SliceZone.Reaction {
        switch query.type {
        case .soa: soa(.answer, .question)
        case .ns: nameServer(.question)
        case .any: return minimalAny()
        default: return negative(.noSuchType, zoneAt: place)
        }
        return finish(.answered)
    }

    private mutating func host(
        _ addresses: [IPAddress], zoneAt place: Int
    ) -> SliceZone.Reaction {
        guard query.type == .a || query.type == .aaaa else {
            return negative(.noSuchType, zoneAt: place)
        }
        var isEmpty = true
        for address in addresses where address.isIPv4 == (query.type == .a) {
            add(writer.address(.answer, .question, address))
            isEmpty = false
        }
        return isEmpty ? negative(.noAddressOfFamily, zoneAt: place) : finish(.answered)
    }

    /// Calls with healthy members, nearest first, each cluster's from a different one on. Ends
    /// when `body` is false.
    private static func eachMember(
        _ service: SliceZone.Service, rotation: UInt32,
        _ body: (SliceZone.Service.Group, Int) -> Bool
    ) {
        var left = SliceZone.maximumMembers
        for group in service.groups {
            let count = group.members.count
            let start = Int(rotation) % count
            for step in 0..<count {
                guard left > 0 else { return }
                left -= 1
                let index = start + step
                guard body(group, index < count ? index : index - count) else { return }
            }
        }
    }

    private func why(_ service: SliceZone.Service) -> Reason {
        guard service.unhealthy + service.stale > 0 else { return .noMember(service.key) }
        return .noHealthyMember(
            service.key, unhealthy: service.unhealthy, stale: service.stale)
    }

    private mutating func members(
        _ service: SliceZone.Service, zoneAt place: Int
    ) -> SliceZone.Reaction {
        guard query.type == .a || query.type == .aaaa else {
            return negative(.noSuchType, zoneAt: place)
        }
        guard !service.groups.isEmpty else { return negative(why(service), zoneAt: place) }
        let isIPv4 = query.type == .a
        var isEmpty = true
        var isFull = false
        Self.eachMember(service, rotation: circumstances.rotation) { group, index in
            for address in group.members[index].addresses where address.isIPv4 == isIPv4 {
                isEmpty = false
                if !writer.address(.answer, .question, address) { isFull = true }
            }
            return !isFull
        }
        // What did fit stays: there are stub resolvers that do not ask again over TCP, and the
        // nearest come first.
        add(!isFull)
        return isEmpty ? negative(.noAddressOfFamily, zoneAt: place) : finish(.answered)
    }

    /// RFC 2782. The addresses of targets come along as far as there is room.
    private mutating func servers(
        _ service: SliceZone.Service, _ numbers: [Int: UInt16], zoneAt place: Int
    ) -> SliceZone.Reaction {
        guard query.type == .srv else { return negative(.noSuchType, zoneAt: place) }
        var targets: [(place: Int, member: SliceZone.Service.Member)] = []
        var isFull = false
        Self.eachMember(service, rotation: circumstances.rotation) { group, index in
            guard let port = numbers[group.rank] else { return true }
            let member = group.members[index]
            var target = 0
            isFull = !writer.record(.answer, .question, .srv, ttl: SliceZone.ttlSeconds) {
                $0.append(UInt16(clamping: group.rank))
                // Equal among those of one priority.
                $0.append(UInt16(1))
                $0.append(port)
                target = $0.bytes.count
                $0.append(member.target, isWhole: true)
            }
            if !isFull { targets.append((target, member)) }
            return !isFull
        }
        add(!isFull)
        if targets.isEmpty, !isFull { return negative(why(service), zoneAt: place) }
        // RFC 2181 section 9: what is missing here is no truncation.
        additional: for (place, member) in targets where !isFull {
            // 14 bits lead back.
            let owner = place < 0x4000 ? ReplyWriter.Owner.place(place) : .key(member.target)
            for address in member.addresses {
                guard writer.address(.additional, owner, address) else { break additional }
            }
        }
        return finish(.answered)
    }

    // MARK: Addresses

    mutating func answer(_ reverse: ReverseName) -> SliceZone.Reaction {
        writer.flags |= Header.authoritative
        let place = reverse.zonePlace
        switch reverse.meaning {
        case .nothing: return negative(.noSuchName, zoneAt: place)
        case .between: return negative(.emptyName, zoneAt: place)
        case .apex: return apex(zoneAt: place)
        case .address(let address):
            guard let key = zone.pointers[address] else {
                return negative(.noSuchName, zoneAt: place)
            }
            if query.type == .any { return minimalAny() }
            guard query.type == .ptr else { return negative(.noSuchType, zoneAt: place) }
            add(
                writer.record(.answer, .question, .ptr, ttl: SliceZone.ttlSeconds) {
                    $0.append(key)
                })
            return finish(.answered)
        }
    }
}
