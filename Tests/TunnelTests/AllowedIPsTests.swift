import Addresses
import Testing
import Tunnel

@Suite struct AllowedIPsTests {
    /// The macro cannot look into mutating calls.
    private func expect(_ done: Bool) { #expect(done) }

    private func prefix(_ text: String) -> IPPrefix { IPPrefix(text)! }

    private func find(_ table: AllowedIPsTable, _ text: String) -> Int32 {
        switch IPAddress(text)! {
        case .v4(let a): table.view.lookup(v4: a.value)
        case .v6(let a): table.view.lookup(v6: a.high, low: a.low)
        }
    }

    @Test func longestPrefixDecides() {
        var ips = AllowedIPs()
        for (text, peer) in [
            ("0.0.0.0/0", 0), ("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.3/32", 3),
            ("10.1.255.255/32", 4), ("255.255.255.255/32", 5), ("fd00::/8", 6),
            ("fd00:0:0:1::/64", 7), ("fd00:0:0:1::1/128", 8), ("ffff::/16", 9),
        ] as [(String, Int32)] {
            expect(ips.insert(prefix(text), peer: peer))
        }
        let table = ips.freeze()
        for (address, peer) in [
            ("0.0.0.0", 0), ("9.255.255.255", 0), ("10.0.0.0", 1), ("10.1.0.0", 2),
            ("10.1.2.2", 2), ("10.1.2.3", 3), ("10.1.2.4", 2), ("10.1.255.255", 4),
            ("10.2.0.0", 1), ("11.0.0.0", 0), ("255.255.255.254", 0), ("255.255.255.255", 5),
            ("::", -1), ("fcff:ffff::", -1), ("fd00::", 6), ("fd00:0:0:1::", 7),
            ("fd00:0:0:1::1", 8), ("fd00:0:0:1::2", 7), ("fd00:0:0:2::", 6), ("fe00::", -1),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 9),
        ] as [(String, Int32)] {
            #expect(find(table, address) == peer, "\(address)")
            #expect(ips.lookup(IPAddress(address)!) == (peer < 0 ? nil : peer), "\(address)")
        }
    }

    @Test func emptyTableHasNoOwners() {
        let table = AllowedIPs().freeze()
        #expect(table.view.lookup(v4: 0) == -1)
        #expect(table.view.lookup(v4: .max) == -1)
        #expect(table.view.lookup(v6: 0, low: 0) == -1)
        #expect(table.view.lookup(v6: .max, low: .max) == -1)
    }

    @Test func defaultRoutesCoverEverything() {
        var ips = AllowedIPs()
        expect(ips.insert(prefix("0.0.0.0/0"), peer: 3))
        expect(ips.insert(prefix("::/0"), peer: 4))
        let table = ips.freeze()
        for address in [0, 1, .max] as [UInt32] { #expect(table.view.lookup(v4: address) == 3) }
        for half in [0, 1, .max] as [UInt64] {
            #expect(table.view.lookup(v6: half, low: half) == 4)
        }
    }

    @Test func prefixMovesFromPeerToPeer() {
        var ips = AllowedIPs()
        let (a, b, c) = (prefix("10.0.0.0/24"), prefix("10.0.1.0/24"), prefix("fd00::/64"))
        for p in [a, b, c] { expect(ips.insert(p, peer: 1)) }
        expect(ips.insert(b, peer: 2))
        #expect(ips.prefixes(of: 1) == [a, c])
        #expect(ips.prefixes(of: 2) == [b])
        #expect(ips.count == 3)
        #expect(ips.owner(of: b) == 2)
        #expect(find(ips.freeze(), "10.0.1.9") == 2)
        expect(!ips.remove(b, peer: 1))  // It is not peer 1's any more.
        expect(ips.remove(b, peer: 2))
        #expect(find(ips.freeze(), "10.0.1.9") == -1)
        #expect(ips.prefixes(of: 2).isEmpty)
    }

    @Test func listIsInOrderOfArrival() {
        var ips = AllowedIPs()
        let all = ["10.9.0.0/16", "fd00::/64", "10.1.0.0/16", "10.5.0.0/16"].map(prefix)
        for p in all { expect(ips.insert(p, peer: 7)) }
        #expect(ips.prefixes(of: 7) == all)
        expect(ips.insert(all[0], peer: 7))
        #expect(ips.prefixes(of: 7) == [all[1], all[2], all[3], all[0]])
        expect(ips.replace([all[2], all[1]], peer: 7))
        #expect(ips.prefixes(of: 7) == [all[2], all[1]])
        expect(ips.removeAll(of: 7) == 2)
        expect(ips.removeAll(of: 7) == 0)
        #expect(ips.count == 0)
    }

    /// The slow and obvious table: a list, all of which is searched.
    private struct Model {
        var list: [(prefix: IPPrefix, peer: Int32)] = []

        mutating func insert(_ prefix: IPPrefix, _ peer: Int32) {
            list.removeAll { $0.prefix == prefix }
            list.append((prefix, peer))
        }
        func lookup(_ address: IPAddress) -> Int32 {
            var best: (length: Int, peer: Int32) = (-1, -1)
            for entry in list
            where entry.prefix.length > best.length && entry.prefix.contains(address) {
                best = (entry.prefix.length, entry.peer)
            }
            return best.peer
        }
    }

    /// Addresses in few places, so that prefixes nest and look-ups hit.
    private func address(_ random: inout SplitMix, _ isIPv4: Bool) -> IPAddress {
        let bits = random.next()
        if isIPv4 {
            let sparse = UInt32(truncatingIfNeeded: bits & random.next() & random.next())
            return .v4(IPv4Address(bits & 1 << 40 == 0 ? 0x0a00_0000 | sparse & 0xf_ffff : sparse))
        }
        let high = 0xfd00_0000_0000_0000 | bits & random.next() & 0x7
        let low = random.next() & random.next() & random.next() & 0x8000_0000_0000_ffff
        return .v6(IPv6Address(high: bits & 1 << 40 == 0 ? high : bits, low: low))
    }

    @Test func agreesWithModelWhileItChanges() {
        var random = SplitMix(state: 4)
        for round in 0..<40 {
            var ips = AllowedIPs()
            var model = Model()
            for _ in 0..<(4 + round * 4) {
                let isIPv4 = random.next() & 1 == 0
                let length = Int(random.next() % (isIPv4 ? 33 : 129))
                let p = IPPrefix(address(&random, isIPv4), length: length)!
                let peer = Int32(random.next() % 5)
                switch random.next() % 8 {
                case 0:
                    let had = model.list.contains { $0 == (p, peer) }
                    model.list.removeAll { $0 == (p, peer) }
                    expect(ips.remove(p, peer: peer) == had)
                case 1 where random.next() % 8 == 0:
                    let had = model.list.count { $0.peer == peer }
                    model.list.removeAll { $0.peer == peer }
                    expect(ips.removeAll(of: peer) == had)
                default:
                    expect(ips.insert(p, peer: peer))
                    model.insert(p, peer)
                }
            }
            #expect(ips.count == model.list.count)
            for peer in Int32(0)..<5 {
                let expected = model.list.filter { $0.peer == peer }.map(\.prefix)
                #expect(ips.prefixes(of: peer) == expected)
            }
            let table = ips.freeze()
            var wrong = 0
            for _ in 0..<25_000 {
                let a = address(&random, random.next() & 1 == 0)
                let found = find(table, a)
                if found != model.lookup(a) { wrong += 1 }
            }
            // Where mistakes would sit: at both ends of each prefix, and one beyond.
            for entry in model.list {
                for a in edges(entry.prefix) {
                    let found = find(table, a)
                    if found != model.lookup(a) || ips.lookup(a) != (found < 0 ? nil : found) {
                        wrong += 1
                    }
                }
            }
            #expect(wrong == 0, "round \(round)")
        }
    }

    private func find(_ table: AllowedIPsTable, _ address: IPAddress) -> Int32 {
        switch address {
        case .v4(let v4): table.view.lookup(v4: v4.value)
        case .v6(let v6): table.view.lookup(v6: v6.high, low: v6.low)
        }
    }

    private func edges(_ prefix: IPPrefix) -> [IPAddress] {
        switch prefix.address {
        case .v4(let a):
            let last = prefix.length == 32 ? a.value : a.value | UInt32.max >> UInt32(prefix.length)
            return [a.value, a.value &- 1, last, last &+ 1].map { .v4(IPv4Address($0)) }
        case .v6(let a):
            let first = UInt128(a.high) << 64 | UInt128(a.low)
            let last = prefix.length == 128 ? first : first | UInt128.max >> prefix.length
            return [first, first &- 1, last, last &+ 1].map {
                .v6(
                    IPv6Address(
                        high: UInt64(truncatingIfNeeded: $0 >> 64),
                        low: UInt64(truncatingIfNeeded: $0)))
            }
        }
    }

    @Test func holdsHundredThousandPrefixes() {
        var random = SplitMix(state: 5)
        var ips = AllowedIPs()
        while ips.count < 100_000 {
            let bits = random.next()
            let isIPv4 = bits & 1 == 0
            let length = isIPv4 ? 12 + Int(bits >> 8 % 21) : 32 + Int(bits >> 8 % 97)
            let a: IPAddress =
                isIPv4
                ? .v4(IPv4Address(UInt32(truncatingIfNeeded: random.next())))
                : .v6(IPv6Address(high: random.next(), low: random.next()))
            let p = IPPrefix(a, length: min(length, a.bitWidth))!
            expect(ips.insert(p, peer: Int32(bits >> 32 % 1000)))
        }
        let table = ips.freeze()
        #expect(table.byteCount < 8 << 20)
        var wrong = 0
        for peer in Int32(0)..<1000 where peer % 50 == 0 {
            for p in ips.prefixes(of: peer) {
                for a in edges(p) {
                    let found = find(table, a)
                    if ips.lookup(a) != (found < 0 ? nil : found) { wrong += 1 }
                }
            }
        }
        #expect(wrong == 0)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    private struct SplitMix {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
    }
}
