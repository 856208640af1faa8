import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it changes addresses and routes"))
struct RouteTests {
    private func withVeth(_ body: (NetworkNamespace, Netlink) throws -> Void) throws {
        try withNamespaces { a, b in
            let netlink = try Netlink(in: a)
            try netlink.createVethPair("v0", peer: "v1", peerNamespace: b)
            try netlink.setUp("v0", true)
            try Netlink(in: b).setUp("v1", true)
            try body(a, netlink)
        }
    }

    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
    private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    @Test func addressesOfBothFamilies() throws {
        try withVeth { a, netlink in
            let v4 = InterfaceAddress(
                try address("10.1.0.5"), prefixLength: 16, flags: .noPrefixRoute)
            let v6 = InterfaceAddress(try address("fd00:1::5"), prefixLength: 64)
            try netlink.addAddress(v4, to: "v0")
            try netlink.addAddress(v6, to: "v0")
            let listed = try netlink.addresses(on: "v0").filter { !$0.isIPv6LinkLocal }
            #expect(Set(listed.map(\.description)) == ["10.1.0.5/16", "fd00:1::5/64"])
            #expect(listed.allSatisfy { $0.flags.contains(.permanent) })
            #expect(listed.allSatisfy { !$0.flags.contains(.tentative) })
            let seen = try ip(a, "-o address show v0")
            #expect(seen.contains("inet 10.1.0.5/16") && seen.contains("noprefixroute"))
            #expect(seen.contains("inet6 fd00:1::5/64") && seen.contains("nodad"))
            #expect(try !ip(a, "route").contains("10.1.0.0/16"))
            let twice = failure { try netlink.addAddress(v4, to: "v0") }
            #expect(twice?.exists == true)
            #expect(twice?.description.hasPrefix("cannot add address 10.1.0.5/16 to v0:") == true)
            try netlink.replaceAddress(v4, on: "v0")
            try netlink.replaceAddress(v6, on: "v0")
            try netlink.removeAddress(v4, from: "v0")
            try netlink.removeAddress(v6, from: "v0")
            #expect(try netlink.addresses(on: "v0").filter { !$0.isIPv6LinkLocal }.isEmpty)
            let absent = failure { try netlink.removeAddress(v4, from: "v0") }
            #expect(absent?.errno == EADDRNOTAVAIL && absent?.isAbsent == true)
            #expect(failure { try netlink.addAddress(v4, to: "nope") }?.errno == ENODEV)
            #expect(try netlink.addresses(on: "lo").map(\.description).contains("127.0.0.1/8"))
        }
    }

    @Test func routesReadBackEqualToWhatWasAdded() throws {
        try withVeth { a, netlink in
            let v4 = InterfaceAddress(try address("10.1.0.5"), prefixLength: 16)
            try netlink.addAddress(v4, to: "v0")
            try netlink.addAddress(
                InterfaceAddress(try address("fd00:1::5"), prefixLength: 64), to: "v0")
            let index = try netlink.index(of: "v0")
            let wanted = [
                Route(to: try prefix("10.2.0.0/16"), interfaceIndex: index, mtu: 1300),
                Route(
                    to: try prefix("10.3.0.0/16"), via: try address("10.1.0.1"),
                    interfaceIndex: index, metric: 50),
                Route(
                    to: try prefix("10.4.0.0/16"), via: try address("169.254.1.1"),
                    interfaceIndex: index, onLink: true,
                    preferredSource: try address("10.1.0.5")),
                Route(to: try prefix("10.5.0.0/16"), kind: .blackhole),
                Route(to: try prefix("10.6.0.0/16"), kind: .unreachable, metric: 9),
                Route(to: try prefix("10.7.0.0/16"), interfaceIndex: index, table: 5000),
                Route(
                    to: try prefix("10.8.0.0/16"), via: try address("fd00:1::1"),
                    interfaceIndex: index),
                Route(
                    to: try prefix("0.0.0.0/0"), via: try address("10.1.0.1"),
                    interfaceIndex: index),
                Route(to: try prefix("fd00:2::/48"), interfaceIndex: index, mtu: 1300),
                Route(
                    to: try prefix("fd00:3::/48"), via: try address("fd00:1::1"),
                    interfaceIndex: index, metric: 7),
                Route(to: try prefix("fd00:4::/48"), kind: .blackhole),
                Route(to: try prefix("fd00:5::/48"), kind: .unreachable),
                Route(to: try prefix("fd00:6::/48"), interfaceIndex: index, table: 5000),
            ]
            for route in wanted { try netlink.addRoute(route) }
            let own = { (routes: [Route]) in
                Set(routes.filter { $0.installer == Route.ownProtocol })
            }
            #expect(own(try netlink.routes(table: nil)) == Set(wanted))
            #expect(own(try netlink.routes()) == Set(wanted.filter { $0.table == 254 }))
            #expect(
                own(try netlink.routes(table: 5000)) == Set(wanted.filter { $0.table == 5000 }))
            #expect(try netlink.routes(table: 4711).isEmpty)
            let seen = try ip(a, "route show table all proto 143")
            #expect(seen.contains("10.2.0.0/16 dev v0 scope link mtu 1300"))
            #expect(seen.contains("10.4.0.0/16 via 169.254.1.1 dev v0 src 10.1.0.5 onlink"))
            #expect(seen.contains("blackhole 10.5.0.0/16"))
            #expect(seen.contains("10.7.0.0/16 dev v0 table 5000"))
            let seen6 = try ip(a, "-6 route show table all proto 143")
            #expect(seen6.contains("fd00:3::/48 via fd00:1::1 dev v0 metric 7"))
            #expect(seen6.contains("unreachable fd00:5::/48"))
            #expect(
                try netlink.routes(interfaceIndex: index).allSatisfy {
                    $0.interfaceIndex == index
                })
            for route in wanted {
                #expect(failure { try netlink.addRoute(route) }?.exists == true, "\(route)")
                try netlink.replaceRoute(route)
            }
            #expect(own(try netlink.routes(table: nil)) == Set(wanted))
            for route in wanted { try netlink.removeRoute(route) }
            #expect(own(try netlink.routes(table: nil)).isEmpty)
            let absent = failure { try netlink.removeRoute(wanted[0]) }
            #expect(absent?.errno == ESRCH && absent?.isAbsent == true)
            #expect(absent?.description.contains("10.2.0.0/16 dev v0") == true)
        }
    }

    @Test func lookUpFindsInterfaceAndMTU() throws {
        try withVeth { _, netlink in
            try netlink.addAddress(
                InterfaceAddress(try address("10.1.0.5"), prefixLength: 16), to: "v0")
            try netlink.addAddress(
                InterfaceAddress(try address("fd00:1::5"), prefixLength: 64), to: "v0")
            try netlink.setMTU("v0", 1450)
            let index = try netlink.index(of: "v0")
            try netlink.addRoute(
                Route(
                    to: try prefix("10.2.0.0/16"), via: try address("10.1.0.9"),
                    interfaceIndex: index, mtu: 1300))
            let near = try netlink.lookUpRoute(to: try address("10.1.0.9"))
            #expect(near.interface == "v0" && near.mtu == 1450 && near.gateway == nil)
            #expect(near.source == IPAddress("10.1.0.5"))
            let far = try netlink.lookUpRoute(to: try address("10.2.3.4"))
            #expect(far.mtu == 1300 && far.gateway == IPAddress("10.1.0.9"))
            #expect(try netlink.lookUpRoute(to: try address("fd00:1::9")).mtu == 1450)
            let nowhere = failure { _ = try netlink.lookUpRoute(to: try address("192.0.2.1")) }
            #expect(nowhere?.errno == ENETUNREACH)
            #expect(failure { _ = try netlink.lookUpRoute(to: try address("2001:db8::1")) } != nil)
        }
    }

    @Test func neighboursStay() throws {
        try withVeth { a, netlink in
            for text in ["10.1.0.9", "fd00:1::9"] {
                let entry = Neighbour(try address(text), at: [2, 0, 0, 0, 0, 9])
                try netlink.addNeighbour(entry, on: "v0")
                #expect(failure { try netlink.addNeighbour(entry, on: "v0") }?.exists == true)
                let other = Neighbour(try address(text), at: [2, 0, 0, 0, 0, 10])
                try netlink.replaceNeighbour(other, on: "v0")
                let found = try netlink.neighbours(on: "v0").filter {
                    $0.address == other.address
                }
                #expect(found.map(\.hardwareAddress) == [[2, 0, 0, 0, 0, 10]])
                #expect(found.allSatisfy { $0.state.contains(.permanent) })
                let seen = try ip(a, "neighbour show \(text) dev v0")
                #expect(seen.contains("lladdr 02:00:00:00:00:0a PERMANENT"))
                try netlink.removeNeighbour(other.address, on: "v0")
                #expect(
                    failure { try netlink.removeNeighbour(other.address, on: "v0") }?.errno
                        == ENOENT)
            }
        }
    }

    @Test func rulesReadBackEqualToWhatWasAdded() throws {
        try withVeth { a, netlink in
            let wanted = [
                RoutingRule(
                    isIPv4: true, priority: 100, table: 5000, inputInterface: "v0",
                    from: try prefix("10.1.0.0/16"), to: try prefix("10.2.0.0/16")),
                RoutingRule(isIPv4: true, priority: 101, table: 0, action: .unreachable),
                RoutingRule(
                    isIPv4: false, priority: 102, table: 77, from: try prefix("fd00:1::/48")),
            ]
            for rule in wanted { try netlink.addRule(rule) }
            let own = try netlink.rules().filter { $0.installer == Route.ownProtocol }
            #expect(Set(own) == Set(wanted))
            let seen = try ip(a, "rule show")
            #expect(seen.contains("from 10.1.0.0/16 to 10.2.0.0/16 iif v0 lookup 5000"))
            #expect(try ip(a, "-6 rule show").contains("from fd00:1::/48 lookup 77"))
            #expect(failure { try netlink.addRule(wanted[0]) }?.exists == true)
            for rule in wanted { try netlink.removeRule(rule) }
            #expect(try !netlink.rules().contains { $0.installer == Route.ownProtocol })
            #expect(failure { try netlink.removeRule(wanted[0]) }?.errno == ENOENT)
            let mixed = RoutingRule(
                isIPv4: false, priority: 1, table: 1, from: try prefix("10.0.0.0/8"))
            #expect(failure { try netlink.addRule(mixed) }?.errno == EAFNOSUPPORT)
        }
    }
}
