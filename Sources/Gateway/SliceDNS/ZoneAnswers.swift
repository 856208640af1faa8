import Addresses

extension SliceZone {
    /// All that an answer depends on besides the zone and the question.
    package struct Circumstances: Sendable {
        /// TCP: answers need not fit into a datagram.
        package var isStream: Bool
        /// Any number. In each cluster the list of members begins there (and goes round).
        package var rotation: UInt32
        /// Whether there are resolvers to ask for names outside the zone.
        package var forwards: Bool

        package init(isStream: Bool = false, rotation: UInt32 = 0, forwards: Bool = false) {
            self.isStream = isStream
            self.rotation = rotation
            self.forwards = forwards
        }
    }

    package enum Reaction: Sendable {
        case reply([UInt8], Note)
        /// Somebody else may know.
        case forward(Query)
        case drop(Drop)
    }

    /// For counters and the log.
    package struct Note: Sendable {
        /// Nil if it could not be read.
        package var type: RecordType?
        package var name: DomainName?
        package var code: ResponseCode
        package var reason: Reason
        package var isTruncated: Bool

        package init(
            type: RecordType? = nil, name: DomainName? = nil, code: ResponseCode, reason: Reason,
            isTruncated: Bool = false
        ) {
            self.type = type
            self.name = name
            self.code = code
            self.reason = reason
            self.isTruncated = isTruncated
        }
    }

    package func answer(
        _ bytes: UnsafeRawBufferPointer, _ circumstances: Circumstances
    ) -> Reaction {
        switch Query.read(bytes) {
        case .ignored(let drop): return .drop(drop)
        case .bad(let header, let code, let reason):
            return .reply(
                Self.bareReply(header, code, circumstances.forwards),
                Note(code: code, reason: reason))
        case .query(let query): return answer(query, circumstances)
        }
    }

    /// A header and nothing else: the rest of the query could not be read.
    private static func bareReply(
        _ header: Header, _ code: ResponseCode, _ recurses: Bool
    ) -> [UInt8] {
        var flags = Header.response | header.flags & 0x7800
        flags |= header.flags & (Header.recursionDesired | Header.checkingDisabled)
        if recurses { flags |= Header.recursionAvailable }
        flags |= code.rawValue & 15
        return [
            UInt8(header.id >> 8), UInt8(header.id & 0xff), UInt8(flags >> 8),
            UInt8(flags & 0xff), 0, 0, 0, 0, 0, 0, 0, 0,
        ]
    }

    private func answer(_ query: Query, _ circumstances: Circumstances) -> Reaction {
        var reply = ZoneReply(self, query, circumstances)
        if let edns = query.edns, edns.version != 0 {
            return reply.refuse(.badVersion, .ednsVersion(edns.version))
        }
        if query.type == .axfr || query.type == .ixfr { return reply.refuse(.refused, .transfer) }
        // RFC 9018 or not: what runs here is nobody's business (version.bind, class CH).
        guard query.recordClass == .internet else {
            return reply.refuse(.refused, .notInternet(query.recordClass))
        }
        if query.type == .opt { return reply.refuse(.formatError, .metaType(query.type)) }
        if query.type.isMeta, query.type != .any {
            return reply.refuse(.refused, .metaType(query.type))
        }
        let asked = query.name.lowercased
        if let place = asked.place(of: name.wire) {
            return reply.answer(NameKey(bytes: Array(asked.wire[..<place])), zoneAt: place)
        }
        if let reverse = ReverseName(asked, within: prefixes) {
            return reply.answer(reverse)
        }
        if circumstances.forwards, query.header.has(Header.recursionDesired) {
            return .forward(query)
        }
        return reply.refuse(.refused, .outsideTheZone)
    }
}
