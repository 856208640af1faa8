import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it loads nftables rulesets"))
struct NftablesElementsTests {
    private static func mark(_ values: UInt32...) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
    }

    @Test func onlyTransactionsChangeTheGeneration() throws {
        try withNamespaces { a, b in
            let nft = try Nftables(in: a)
            let other = try Nftables(in: b)
            let (first, elsewhere) = (try nft.generation(), try other.generation())
            try nft.apply(
                "table inet t { chain c { type filter hook output priority 0; counter; }; }")
            let second = try nft.generation()
            #expect(second != first)
            // Nothing of this commits.
            _ = try (nft.text(), nft.json())
            try nft.check("flush ruleset")
            #expect(failure { try nft.apply("add rule inet absent c accept") } != nil)
            #expect(failure { try nft.apply("flush ruleset\nadd rule inet t none accept") } != nil)
            let traffic = Traffic(in: a)
            try traffic.send(try traffic.udp("::1").fd, [0], to: "::1", port: 9)
            #expect(try nft.generation() == second)
            // What others do is seen.
            _ = try output(["ip", "netns", "exec", a.label, "nft", "add table inet theirs"])
            let third = try nft.generation()
            #expect(third != second)
            try nft.apply("delete table inet theirs")
            #expect(try nft.generation() != third)
            #expect(try other.generation() == elsewhere)
        }
    }

    @Test func elementsWithTheirCounters() throws {
        let namespace = try NetworkNamespace.anonymous()
        let nft = try Nftables(in: namespace)
        try nft.apply(
            """
            table inet t {
                counter named { packets 2 bytes 20 }
                map decisions {
                    type mark . mark : verdict
                    counter
                    elements = {
                        0x80000001 . 0x80000001 : accept, 1 . 3 : drop, 2 . 3 : jump more,
                        2 . 4 : goto more, 2 . 5 : return
                    }
                }
                map classes { type ipv4_addr : mark; elements = { 10.1.2.3 : 0x102 } }
                map objects { type mark : counter; elements = { 9 : "named" } }
                set ports { type inet_service; flags interval; elements = { 80-90 } }
                set pairs {
                    type ipv4_addr . inet_service; flags interval
                    elements = { 10.0.0.0-10.0.0.9 . 1-2 }
                }
                map others { type mark : mark; elements = { 1 : 2, * : 7 } }
                chain more { }
                chain out {
                    type filter hook output priority filter
                    udp dport 9 meta mark set 0x80000001 meta mark . meta mark vmap @decisions
                }
            }
            """)
        let traffic = Traffic(in: namespace)
        let client = try traffic.udp("127.0.0.1")
        for _ in 0..<3 { try traffic.send(client.fd, [0, 0], to: "127.0.0.1", port: 9) }
        let none = Nftables.Counter(packets: 0, bytes: 0)
        let decisions = try nft.elements(family: "inet", table: "t", map: "decisions")
        #expect(
            Set(decisions) == [
                MapElement(
                    key: Self.mark(0x8000_0001, 0x8000_0001), value: .accept,
                    counter: Nftables.Counter(packets: 3, bytes: 90)),
                MapElement(key: Self.mark(1, 3), value: .drop, counter: none),
                MapElement(key: Self.mark(2, 3), value: .jump("more"), counter: none),
                MapElement(key: Self.mark(2, 4), value: .goto("more"), counter: none),
                // NFT_RETURN
                MapElement(key: Self.mark(2, 5), value: .verdict(-5), counter: none),
            ])
        #expect(decisions.count == 5)
        func elements(_ name: String) throws -> Set<MapElement> {
            Set(try nft.elements(family: "inet", table: "t", map: name))
        }
        #expect(
            try elements("classes") == [
                MapElement(key: [10, 1, 2, 3], value: .data(Self.mark(0x102)))
            ])
        #expect(
            try elements("objects") == [MapElement(key: Self.mark(9), value: .object("named"))])
        let ports = try elements("ports")
        #expect(
            ports.isSuperset(of: [
                MapElement(key: [0, 80]), MapElement(key: [0, 91], isIntervalEnd: true),
            ]))
        #expect(
            try elements("pairs") == [
                MapElement(key: [10, 0, 0, 0, 0, 1, 0, 0], keyEnd: [10, 0, 0, 9, 0, 2, 0, 0])
            ])
        #expect(
            try elements("others") == [
                MapElement(key: Self.mark(1), value: .data(Self.mark(2))),
                MapElement(key: [], value: .data(Self.mark(7))),
            ])
    }

    @Test func manyElementsAreAllListed() throws {
        let nft = try Nftables(in: .anonymous())
        let lines = (0..<10_000).map { "\($0 % 100) . \($0) : \($0 % 2 == 0 ? "accept" : "drop")" }
        try nft.apply(
            "table inet t { map m { type mark . mark : verdict; counter; elements = { "
                + lines.joined(separator: ", ") + " }; }; }")
        let listed = try nft.elements(family: "inet", table: "t", map: "m")
        #expect(listed.count == 10_000)
        #expect(
            Set(listed.map(\.key))
                == Set((0..<10_000).map { Self.mark(UInt32($0 % 100), UInt32($0)) }))
        #expect(listed.allSatisfy { $0.counter?.packets == 0 })
        #expect(listed.count { $0.value == .accept } == 5_000)
        // Some of them by their keys, beside some that are not there.
        let keys = (0..<300).map { (n: UInt32) -> [UInt8] in
            Self.mark(n % 3 == 0 ? 777 : n * 50 % 100, n * 50)
        }
        let present = (0..<200).filter { $0 % 3 != 0 }.map { (n: Int) in keys[n] }
        func some(_ keys: [[UInt8]]) throws -> [MapElement] {
            try nft.elements(family: "inet", table: "t", map: "m", keys: keys)
        }
        #expect(try some(keys).map(\.key) == present)
        #expect(try some(present) == present.compactMap { key in listed.first { $0.key == key } })
        #expect(try some([]).isEmpty)
        // A key of another width than the map's, and ones that no map has.
        let odd: [[UInt8]] = [[1, 2, 3, 4], [], [UInt8](repeating: 0, count: 65)]
        for key in odd {
            #expect(failure { _ = try some([key]) }?.errno == EINVAL)
        }
    }

    @Test func absentOrOddMaps() throws {
        let nft = try Nftables(in: .anonymous())
        try nft.apply("table ip6 t { set s { type mark; }; }")
        #expect(try nft.elements(family: "ip6", table: "t", map: "s").isEmpty)
        for (family, table, map) in [("ip6", "t", "m"), ("ip6", "u", "s"), ("inet", "t", "s")] {
            let absent = failure { _ = try nft.elements(family: family, table: table, map: map) }
            #expect(absent?.errno == ENOENT)
            let key = failure {
                _ = try nft.elements(family: family, table: table, map: map, keys: [[0, 0, 0, 1]])
            }
            #expect(key?.errno == ENOENT)
            #expect(
                absent?.description.hasPrefix(
                    "cannot list elements of map \(family) \(table) \(map) in namespace") == true)
        }
        for (family, table, map) in [("ipx", "t", "s"), ("ip6", "", "s"), ("ip6", "t", "s\0")] {
            let odd = failure { _ = try nft.elements(family: family, table: table, map: map) }
            #expect(odd?.errno == EINVAL)
        }
    }
}
