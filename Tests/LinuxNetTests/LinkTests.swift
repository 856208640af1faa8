import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it makes network interfaces"))
struct LinkTests {
    @Test func vethPairAcrossNamespaces() throws {
        try withNamespaces { a, b in
            let left = try Netlink(in: a)
            let right = try Netlink(in: b)
            try left.createVethPair(
                "slice0", peer: "eth7", peerNamespace: b, mtu: 1380,
                hardwareAddress: [2, 0, 0, 0, 0, 1], peerHardwareAddress: [2, 0, 0, 0, 0, 2],
                alias: "endpoint kafka-0", peerAlias: "slice trading")
            try left.setUp("slice0", true)
            try right.setUp("eth7", true)
            // The kernel announces the carrier from a work queue.
            #expect(
                try eventually {
                    try left.existingLink(named: "slice0").isRunning
                        && right.existingLink(named: "eth7").isRunning
                })
            let one = try left.existingLink(named: "slice0")
            let two = try right.existingLink(named: "eth7")
            #expect(one.kind == "veth" && one.mtu == 1380 && one.alias == "endpoint kafka-0")
            #expect(two.kind == "veth" && two.mtu == 1380 && two.alias == "slice trading")
            #expect(one.hardwareAddressText == "02:00:00:00:00:01")
            #expect(one.isUp && two.isUp)
            #expect(one.peerIndex == two.index && two.peerIndex == one.index)
            let id = try left.namespaceID(of: b)
            #expect(id != nil && one.peerNamespaceID == id)
            #expect(try left.namespaceID(of: a) != id)
            let seen = try ip(b, "-d -o link show eth7")
            #expect(seen.contains("mtu 1380") && seen.contains("link/ether 02:00:00:00:00:02"))
            #expect(seen.contains("veth") && seen.contains("alias slice trading"))
            #expect(seen.contains("<BROADCAST,MULTICAST,UP,LOWER_UP>"))
            try left.deleteLink("slice0")
            #expect(try right.link(named: "eth7") == nil)
        }
    }

    @Test func refusedPairsLeaveNothing() throws {
        try withNamespaces { a, b in
            let left = try Netlink(in: a)
            try left.createVethPair("one", peer: "two", peerNamespace: b)
            let taken = failure { try left.createVethPair("one", peer: "six", peerNamespace: b) }
            #expect(taken?.exists == true)
            #expect(taken?.description.contains("cannot create veth one with peer six") == true)
            let peerTaken = failure {
                try left.createVethPair("five", peer: "two", peerNamespace: b)
            }
            #expect(peerTaken?.exists == true)
            #expect(try left.link(named: "five") == nil)
            let alias = failure {
                try left.createVethPair(
                    "five", peer: "six", alias: String(repeating: "x", count: 256))
            }
            #expect(alias?.errno == EINVAL)
            #expect(try left.links().map(\.name).sorted() == ["lo", "one"])
        }
    }

    @Test func changesAreReadBack() throws {
        try withNamespaces { a, _ in
            let netlink = try Netlink(in: a)
            try netlink.createVethPair("v0", peer: "v1")
            try netlink.setMTU("v0", 9000)
            try netlink.setHardwareAddress("v0", [2, 1, 2, 3, 4, 5])
            try netlink.setAlias("v0", "first")
            try netlink.rename("v0", to: "renamed")
            try netlink.setUp("renamed", true)
            try netlink.setUp("renamed", true)
            var link = try netlink.existingLink(named: "renamed")
            #expect(link.mtu == 9000 && link.alias == "first" && link.isUp && !link.isRunning)
            #expect(link.hardwareAddress == [2, 1, 2, 3, 4, 5])
            #expect(try ip(a, "-o link show renamed").contains("mtu 9000"))
            try netlink.setUp("renamed", false)
            try netlink.setAlias("renamed", "")
            link = try netlink.existingLink(named: "renamed")
            #expect(!link.isUp && link.alias == nil)
            #expect(try netlink.link(index: link.index)?.name == "renamed")
            #expect(try netlink.link(index: 9999) == nil)
        }
    }

    @Test func bridgesTakeAndFreePorts() throws {
        try withNamespaces { a, _ in
            let netlink = try Netlink(in: a)
            try netlink.createBridge("br0")
            try netlink.createVethPair("v0", peer: "v1")
            try netlink.setMaster("v0", "br0")
            let bridge = try netlink.existingLink(named: "br0")
            #expect(bridge.kind == "bridge")
            #expect(try netlink.existingLink(named: "v0").master == bridge.index)
            #expect(try ip(a, "-o link show v0").contains("master br0"))
            try netlink.setMaster("v0", nil)
            #expect(try netlink.existingLink(named: "v0").master == nil)
            #expect(failure { try netlink.setMaster("v0", "br9") }?.errno == ENODEV)
        }
    }

    @Test func linksMoveBetweenNamespaces() throws {
        try withNamespaces { a, b in
            let from = try Netlink(in: a)
            try from.createVethPair("v0", peer: "v1")
            try from.move("v1", to: b)
            #expect(try from.link(named: "v1") == nil)
            #expect(try Netlink(in: b).existingLink(named: "v1").isUp == false)
            #expect(try ip(b, "-o link").contains("v1@"))
            let gone = failure { try from.move("veth3", to: b) }
            #expect(
                gone?.description
                    == "cannot move veth3 into namespace \(b.label): No such device (ENODEV)")
        }
    }

    @Test func namesAreChecked() throws {
        let netlink = try Netlink(in: .anonymous())
        for bad in ["", ".", "..", "a b", "a/b", "a:b", "0123456789abcdef", "a\0b"] {
            #expect(failure { try netlink.setUp(bad, true) }?.errno == EINVAL, "\(bad)")
            #expect(failure { try netlink.createVethPair(bad, peer: "x") }?.errno == EINVAL)
        }
        #expect(failure { try netlink.setUp("absent", true) }?.errno == ENODEV)
        #expect(failure { try netlink.deleteLink("absent") }?.errno == ENODEV)
        let tooSmall = failure { try netlink.setMTU("lo", 0) }
        #expect(tooSmall == nil || tooSmall?.object == "lo")
    }

    @Test func theKernelsOwnWordsAreKept() throws {
        let netlink = try Netlink(in: .anonymous())
        try netlink.createVethPair("v0", peer: "v1")
        let refused = failure { try netlink.setMTU("v0", 70_000) }
        #expect(refused?.errno == EINVAL)
        #expect(refused?.detail?.isEmpty == false, "an extended acknowledgement")
        #expect(refused?.description.contains("v0 to 70000") == true)
    }

    @Test func manyLinksAreListedWhole() throws {
        let netlink = try Netlink(in: .anonymous())
        for n in 0..<150 { try netlink.createVethPair("left\(n)", peer: "right\(n)") }
        let names = Set(try netlink.links().map(\.name))
        #expect(names.count == 301)
        for n in 0..<150 { #expect(names.contains("left\(n)") && names.contains("right\(n)")) }
    }
}
