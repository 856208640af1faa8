import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it loads nftables rulesets"))
struct NftablesTests {
    private static let first = """
        table inet slice {
            counter spoofed { }
            counter passed { packets 3 bytes 300 }
            chain forward {
                type filter hook forward priority filter; policy drop;
                counter name "passed" accept
            }
        }
        """

    @Test func rulesetsAreAppliedAndListed() throws {
        try withNamespaces { a, b in
            let nft = try Nftables(in: a)
            try nft.apply(Self.first)
            let seen = try output(["ip", "netns", "exec", a.label, "nft", "list", "ruleset"])
            #expect(seen.contains("table inet slice") && seen.contains("policy drop"))
            #expect(try nft.text() == seen)
            #expect(try nft.json().contains("\"spoofed\""))
            #expect(try Nftables(in: b).text().isEmpty, "another namespace has its own")
            let counters = try nft.counters(family: "inet", table: "slice")
            #expect(counters["spoofed"] == Nftables.Counter(packets: 0, bytes: 0))
            #expect(counters["passed"] == Nftables.Counter(packets: 3, bytes: 300))
            #expect(counters.count == 2)
        }
    }

    @Test func aRefusedRulesetChangesNothing() throws {
        let namespace = try NetworkNamespace.anonymous()
        let nft = try Nftables(in: namespace)
        try nft.apply(Self.first)
        let before = try nft.text()
        // The parser refuses the first; the kernel itself the second, after a flush.
        let syntax = failure {
            try nft.apply("flush ruleset\ntable inet slice { chain x { bogus } }")
        }
        #expect(syntax?.errno == EINVAL)
        #expect(syntax?.detail?.contains("syntax error") == true)
        #expect(syntax?.description.contains("nftables ruleset in namespace") == true)
        let kernel = failure {
            try nft.apply(
                "flush ruleset\nadd table inet other\nadd rule inet other absent accept")
        }
        #expect(kernel?.errno == ENOENT)
        #expect(failure { try nft.apply("flush ruleset\0 nonsense") }?.errno == EINVAL)
        #expect(try nft.text() == before)
    }

    @Test func aCheckChangesNothing() throws {
        let nft = try Nftables(in: .anonymous())
        try nft.check(Self.first)
        #expect(try nft.text().isEmpty)
        #expect(failure { try nft.check("table inet {") } != nil)
    }

    @Test func countersOfAbsentOrOddTables() throws {
        let nft = try Nftables(in: .anonymous())
        #expect(failure { _ = try nft.counters(family: "inet", table: "none") }?.errno == ENOENT)
        let odd = failure { _ = try nft.counters(family: "inet", table: "x; flush ruleset") }
        #expect(odd?.errno == EINVAL)
    }

    @Test func swapsCanRunSideBySide() throws {
        let results = try (0..<4).map { _ in try Nftables(in: .anonymous()) }
        let threads = try results.map { nft in
            try PosixThread(name: "swap") {
                for n in 0..<20 {
                    try? nft.apply(
                        "table inet t\ndelete table inet t\n"
                            + "table inet t { counter c\(n) { }; }")
                }
            }
        }
        for thread in threads { thread.join() }
        for nft in results {
            #expect(try nft.counters(family: "inet", table: "t").keys.sorted() == ["c19"])
        }
    }
}
