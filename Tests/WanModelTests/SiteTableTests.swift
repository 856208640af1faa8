import Addresses
import Testing
import WanModel

@Suite struct SiteTableTests {
    private func packet(_ source: String, _ destination: String, length: Int? = nil) -> [UInt8] {
        let (a, b) = (IPAddress(source)!, IPAddress(destination)!)
        var bytes: [UInt8]
        if a.isIPv4 {
            bytes = [0x45] + Array(repeating: 0, count: 11) + a.bytes + b.bytes
        } else {
            bytes = [0x60] + Array(repeating: 0, count: 7) + a.bytes + b.bytes
        }
        if let length { bytes = Array(bytes.prefix(length)) }
        return bytes
    }

    private func route(_ bytes: [UInt8], _ sites: [Site] = threeSites) -> PacketRoute {
        let table = SiteTable(sites)
        return bytes.withUnsafeBytes { table.route($0) }
    }

    @Test func addressesChooseTheLink() {
        #expect(route(packet("10.81.1.2", "10.81.3.2")) == .link(from: west, to: east))
        #expect(route(packet("10.81.3.255", "10.81.2.0")) == .link(from: east, to: central))
        #expect(route(packet("fd81:2::1", "fd81:1::ffff:1")) == .link(from: central, to: west))
    }

    @Test func straysHaveTheirReason() {
        #expect(route(packet("10.82.1.2", "10.81.3.2")) == .stray(.unknownSource))
        #expect(route(packet("10.81.1.2", "10.81.4.0")) == .stray(.unknownDestination))
        #expect(route(packet("10.81.1.2", "10.81.1.3")) == .stray(.sameSite))
        #expect(route(packet("fe80::1", "ff02::2")) == .stray(.unknownSource))
        #expect(route([]) == .stray(.malformed))
        #expect(route([0x55] + Array(repeating: 0, count: 60)) == .stray(.malformed))
    }

    @Test func everyTruncationIsMalformed() {
        for n in 0..<20 {
            #expect(route(packet("10.81.1.2", "10.81.3.2", length: n)) == .stray(.malformed))
        }
        for n in 0..<40 {
            #expect(route(packet("fd81:1::1", "fd81:3::1", length: n)) == .stray(.malformed))
        }
    }

    @Test func theLongestPrefixWins() {
        let sites = [
            Site(name: "world", prefixes: [IPPrefix("0.0.0.0/0")!, IPPrefix("::/0")!]),
            Site(name: "ten", prefixes: [IPPrefix("10.0.0.0/8")!, IPPrefix("fd00::/65")!]),
            Site(name: "host", prefixes: [IPPrefix("10.1.1.1")!, IPPrefix("fd00::1")!]),
        ]
        #expect(route(packet("10.1.1.1", "10.1.1.2"), sites) == .link(from: 2, to: 1))
        #expect(route(packet("192.0.2.1", "10.1.1.2"), sites) == .link(from: 0, to: 1))
        #expect(route(packet("fd00::1", "fd00::8000:0:0:1"), sites) == .link(from: 2, to: 0))
        #expect(route(packet("fd00::2", "::"), sites) == .link(from: 1, to: 0))
    }

    /// Against the slow and obvious: every prefix asked, the longest kept.
    @Test func agreesWithPlainPrefixes() {
        var random = SplitMix64(seed: 9)
        var used: Set<IPPrefix> = []
        let sites = (0..<8).map { i in
            Site(
                name: "s\(i)",
                prefixes: (0..<8).compactMap { _ in
                    let address: IPAddress =
                        random.next() & 1 == 0
                        ? .v4(IPv4Address(0x0a00_0000 | UInt32(random.next(below: 1 << 12))))
                        : .v6(
                            IPv6Address(
                                high: random.next(below: 8), low: random.next(below: 8) << 60))
                    let prefix = IPPrefix(
                        address, length: Int(random.next(below: UInt64(address.bitWidth) + 1)))!
                    return used.insert(prefix).inserted ? prefix : nil
                })
        }
        let table = SiteTable(sites)
        func slow(_ address: IPAddress) -> Int? {
            sites.indices.flatMap { i in sites[i].prefixes.map { ($0, i) } }
                .filter { $0.0.contains(address) }.max { $0.0.length < $1.0.length }?.1
        }
        for _ in 0..<5_000 {
            let isIPv4 = random.next() & 1 == 0
            func some() -> IPAddress {
                isIPv4
                    ? .v4(IPv4Address(0x0a00_0000 | UInt32(random.next(below: 1 << 13))))
                    : .v6(
                        IPv6Address(high: random.next(below: 9), low: random.next(below: 9) << 60))
            }
            let (a, b) = (some(), some())
            let wanted: PacketRoute
            switch (slow(a), slow(b)) {
            case (nil, _): wanted = .stray(.unknownSource)
            case (_, nil): wanted = .stray(.unknownDestination)
            case (let x?, let y?): wanted = x == y ? .stray(.sameSite) : .link(from: x, to: y)
            }
            let bytes = packet(a.description, b.description)
            #expect(bytes.withUnsafeBytes { table.route($0) } == wanted)
        }
    }

    @Test(arguments: [
        ([Site(name: "a", prefixes: [])], "at least two"),
        ([Site(name: "a", prefixes: []), Site(name: "b", prefixes: [])], "no prefix"),
        ([threeSites[0], threeSites[0]], "west twice"),
        ([threeSites[0], Site(name: "A B", prefixes: [])], "not a site name"),
        (
            [threeSites[0], Site(name: "b", prefixes: [IPPrefix("10.81.1.0/24")!])],
            "10.81.1.0/24 of site b is also of site west"
        ),
    ])
    func badSitesAreRefused(_ sites: [Site], _ why: String) {
        #expect(Site.problem(in: sites)?.contains(why) == true)
    }

    @Test func poolSlotsComeBackAfterTheirLastHolder() {
        var pool = PacketPool(slotCount: 2, slotSize: 64)
        let a = pool.take()!
        let b = pool.take()!
        #expect(a != b && pool.take() == nil)
        pool.bytes(a)[63] = 1
        pool.bytes(b)[0] = 2
        #expect(pool.bytes(a)[63] == 1)
        pool.setLength(a, 64)
        pool.setLength(b, 1)
        #expect(pool.content(a).count == 64 && Array(pool.content(b)) == [2])
        pool.addHolder(a)
        pool.giveBack(a)
        #expect(pool.take() == nil && pool.slotsInUse == 2)
        pool.giveBack(a)
        #expect(pool.take() == a)
    }
}
