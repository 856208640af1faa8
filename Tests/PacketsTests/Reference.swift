import Packets

/// SplitMix64 (Steele, Lea, Flood 2014).
struct SplitMix {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// The slow and obvious ways, on arrays, written from the RFCs and without the room's code.
enum Reference {
    static func get16(_ b: [UInt8], _ at: Int) -> Int { Int(b[at]) << 8 | Int(b[at + 1]) }
    static func put16(_ b: inout [UInt8], _ at: Int, _ value: Int) {
        b[at] = UInt8(value >> 8 & 255)
        b[at + 1] = UInt8(value & 255)
    }

    /// The ones' complement sum of RFC 1071, of big-endian words.
    static func sum(_ b: [UInt8]) -> Int {
        var total = 0
        for (i, byte) in b.enumerated() { total += Int(byte) << (i % 2 == 0 ? 8 : 0) }
        while total > 0xffff { total = total % 0x10000 + total / 0x10000 }
        return total
    }

    static func headerLength(_ p: [UInt8]) -> Int { p[0] >> 4 == 4 ? Int(p[0] & 15) * 4 : 40 }
    static func proto(_ p: [UInt8]) -> Int { Int(p[p[0] >> 4 == 4 ? 9 : 6]) }

    /// Pseudo header for the transport part of a whole packet without extension headers.
    static func pseudo(_ p: [UInt8]) -> [UInt8] {
        let start = headerLength(p)
        let length = p.count - start
        let addresses = p[0] >> 4 == 4 ? Array(p[12..<20]) : Array(p[8..<40])
        return addresses + [0, UInt8(proto(p)), 0, UInt8(length >> 16)]
            + [UInt8(length >> 8 & 255), UInt8(length & 255)]
    }

    /// Sets lengths and checksums right.
    static func fix(_ packet: [UInt8]) -> [UInt8] {
        var p = packet
        let start = headerLength(p)
        if p[0] >> 4 == 4 {
            put16(&p, 2, p.count)
            put16(&p, 10, 0)
            put16(&p, 10, 0xffff - sum(Array(p[..<start])))
        } else {
            put16(&p, 4, p.count - 40)
        }
        if proto(p) == 6 {
            put16(&p, start + 16, 0)
            put16(&p, start + 16, 0xffff - sum(pseudo(p) + p[start...]))
        } else if proto(p) == 17 {
            put16(&p, start + 4, p.count - start)
            put16(&p, start + 6, 0)
            let checksum = 0xffff - sum(pseudo(p) + p[start...])
            put16(&p, start + 6, checksum == 0 ? 0xffff : checksum)
        }
        return p
    }

    /// TCP or UDP segmentation of a packet without extension headers.
    static func segment(_ p: [UInt8], size: Int) -> [[UInt8]] {
        let start = headerLength(p)
        let isTCP = proto(p) == 6
        let header = start + (isTCP ? Int(p[start + 12] >> 4) * 4 : 8)
        var output: [[UInt8]] = []
        var at = header
        while at < p.count {
            let end = min(at + size, p.count)
            var s = Array(p[..<header]) + p[at..<end]
            if p[0] >> 4 == 4, !(p[6] & 0x40 != 0 && get16(p, 4) == 0) {
                put16(&s, 4, (get16(p, 4) + output.count) & 0xffff)
            }
            if isTCP {
                let sequence = get16(p, start + 4) << 16 + get16(p, start + 6) + (at - header)
                put16(&s, start + 4, sequence >> 16)
                put16(&s, start + 6, sequence & 0xffff)
                if at > header { s[start + 13] &= 0x7f }
                if end < p.count { s[start + 13] &= 0xf6 }
            }
            output.append(fix(s))
            at = end
        }
        return output
    }

    /// What belongs together in order: addresses, protocol and ports.
    static func flow(_ p: [UInt8]) -> [UInt8] {
        guard p.count >= 20 else { return [] }
        if p[0] >> 4 == 4 {
            let start = headerLength(p)
            let addresses = Array(p[12..<20]) + [p[9]]
            guard get16(p, 6) & 0x3fff == 0, p[9] == 6 || p[9] == 17, p.count >= start + 4 else {
                return addresses
            }
            return addresses + p[start..<start + 4]
        }
        guard p[0] >> 4 == 6, p.count >= 44 else { return [] }
        return Array(p[8..<40]) + [p[6]] + (p[6] == 6 || p[6] == 17 ? p[40..<44] : [])
    }

    static func isWhole(_ p: [UInt8]) -> Bool {
        guard p.count >= 20 else { return false }
        if p[0] >> 4 == 4 {
            return get16(p, 2) == p.count && p[0] & 15 >= 5 && headerLength(p) <= p.count
        }
        return p[0] >> 4 == 6 && p.count >= 40 && get16(p, 4) + 40 == p.count
    }

    /// Whether the lengths in the TCP or UDP header of a whole packet make sense.
    static func hasWholeTransport(_ p: [UInt8]) -> Bool {
        let start = headerLength(p)
        let room = p.count - start
        switch proto(p) {
        case 6:
            guard room >= 20 else { return false }
            return (20...room).contains(Int(p[start + 12] >> 4) * 4)
        case 17: return room >= 8 && get16(p, start + 4) == room
        default: return true
        }
    }

    /// Whether a packet is of a kind that may be in a group of several.
    static func isMergeable(_ p: [UInt8], udp: Bool) -> Bool {
        guard isWhole(p), p[0] != 0x40 | 6, headerLength(p) == (p[0] >> 4 == 4 ? 20 : 40),
            p[0] >> 4 == 6 || get16(p, 6) & 0x3fff == 0
        else { return false }
        let start = headerLength(p)
        let room = p.count - start
        if proto(p) == 17 { return udp && room > 8 && fix(p) == p }
        guard proto(p) == 6, room >= 20 else { return false }
        let own = Int(p[start + 12] >> 4) * 4
        guard own >= 20, own < room else { return false }
        // ACK and none of SYN, RST, URG.
        return p[start + 13] & 0x36 == 0x10 && fix(p) == p
    }

    /// The large packet that several make, and its segment size.
    static func merge(_ packets: [[UInt8]]) -> (packet: [UInt8], size: Int) {
        var p = packets[0]
        let start = headerLength(p)
        let header = start + (proto(p) == 6 ? Int(p[start + 12] >> 4) * 4 : 8)
        let size = p.count - header
        for next in packets.dropFirst() { p += next[min(header, next.count)...] }
        if proto(p) == 6 { p[start + 13] |= packets.last![start + 13] & 9 }
        return (p, size)
    }

    /// Groups by definition: a packet joins the flow's open group if cutting the result gives
    /// back what went in. (No more than 16 flows at once: nothing is evicted here.)
    static func coalesce(_ packets: [[UInt8]], udp: Bool) -> [[[UInt8]]] {
        var groups: [(packets: [[UInt8]], isOpen: Bool)] = []
        for p in packets {
            let mine = groups.lastIndex { $0.isOpen && flow($0.packets[0]) == flow(p) }
            if let mine, isMergeable(p, udp: udp) {
                let trial = groups[mine].packets + [p]
                let merged = merge(trial)
                let isTCP = proto(p) == 6
                if trial.allSatisfy({ isMergeable($0, udp: udp) }),
                    merged.packet.count <= Coalescer.maximumLength,
                    trial.count <= (isTCP ? 1_000 : 64),
                    segment(merged.packet, size: merged.size) == trial
                {
                    groups[mine].packets = trial
                    let last = isTCP ? p[headerLength(p) + 13] & 9 : 0
                    let first = trial[0].count
                    if last != 0 || p.count < first { groups[mine].isOpen = false }
                    continue
                }
            }
            if !isWhole(p) {
                for i in groups.indices { groups[i].isOpen = false }
            } else if let mine {
                groups[mine].isOpen = false
            }
            let leads =
                isMergeable(p, udp: udp)
                && (proto(p) == 17 || p[headerLength(p) + 13] & 9 == 0)
            groups.append(([p], leads))
        }
        return groups.map(\.packets)
    }
}
