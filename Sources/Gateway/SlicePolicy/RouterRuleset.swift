import Addresses

/// The nftables ruleset of one router namespace, as one text that replaces the one before in a
/// single transaction.
///
/// Nothing in it looks at connections: an open slice needs no state, and without a rule that
/// asks for it the kernel tracks none, which is what keeps forwarding cheap. Fragments and ICMP
/// errors therefore pass like any other packet, and path MTU discovery works.
package struct RouterRuleset: Hashable, Sendable {
    /// One endpoint's veth, and the only sources that may come out of it.
    package struct Port: Hashable, Sendable {
        package var interface: String
        package var addresses: [IPAddress]

        package init(interface: String, addresses: [IPAddress]) {
            self.interface = interface
            self.addresses = addresses
        }
    }

    package static let family = "inet"
    package static let table = "slice"

    /// Why a packet was dropped: the names of the counters.
    package enum Counter: String, CaseIterable, Sendable {
        /// From an endpoint, with a source that is not its own.
        case spoofedSource
        /// From an endpoint: link-local, multicast or broadcast. Endpoints' kernels send such
        /// packets by themselves, so this one is no sign of malice.
        case linkLocalTraffic
        /// Out of the tunnel, with a source that no other cluster has.
        case foreignSource
        /// From an interface that is none of ours.
        case unknownInterface
        /// For the gateway itself, and not an echo or an ICMP error.
        case gatewayRefused
        /// Between interfaces that do not forward to each other.
        case notForwarded
    }

    package var tunnel: String
    /// The gateway's own, inside the slice.
    package var gatewayAddresses: [IPAddress]
    /// The other clusters' prefixes: what may come out of the tunnel.
    package var remotePrefixes: [IPPrefix]
    package var ports: [Port]

    package init(
        tunnel: String, gatewayAddresses: [IPAddress], remotePrefixes: [IPPrefix], ports: [Port]
    ) {
        self.tunnel = tunnel
        self.gatewayAddresses = gatewayAddresses
        self.remotePrefixes = remotePrefixes
        self.ports = ports
    }

    package var text: String {
        // Naming the table makes it, so that deleting it never fails.
        var text = "table \(Self.family) \(Self.table)\n"
        text += "delete table \(Self.family) \(Self.table)\n"
        text += "table \(Self.family) \(Self.table) {\n"
        for counter in Counter.allCases { text += "\tcounter \(counter.rawValue) { }\n" }
        text += [sets, prerouting, input, forward, output].joined(separator: "\n") + "}\n"
        return text
    }

    // MARK: Sets

    private var sets: String {
        let ports = ports.sorted { $0.interface < $1.interface }
        func owners(ipv4: Bool) -> [String] {
            ports.flatMap { port in
                port.addresses.filter { $0.isIPv4 == ipv4 }.sorted()
                    .map { "\(Self.quoted(port.interface)) . \($0)" }
            }
        }
        func remote(ipv4: Bool) -> [String] {
            Self.disjoint(remotePrefixes.filter { $0.isIPv4 == ipv4 }).map(\.description)
        }
        func gateway(ipv4: Bool) -> [String] {
            gatewayAddresses.filter { $0.isIPv4 == ipv4 }.sorted().map(\.description)
        }
        return Self.set("endpoints", "ifname", ports.map { Self.quoted($0.interface) })
            + Self.set("owners4", "ifname . ipv4_addr", owners(ipv4: true))
            + Self.set("owners6", "ifname . ipv6_addr", owners(ipv4: false))
            + Self.set("remote4", "ipv4_addr", remote(ipv4: true), isInterval: true)
            + Self.set("remote6", "ipv6_addr", remote(ipv4: false), isInterval: true)
            + Self.set("gateway4", "ipv4_addr", gateway(ipv4: true))
            + Self.set("gateway6", "ipv6_addr", gateway(ipv4: false))
    }

    private static func set(
        _ name: String, _ type: String, _ elements: [String], isInterval: Bool = false
    ) -> String {
        var text = "\n\tset \(name) {\n\t\ttype \(type)\n"
        if isInterval { text += "\t\tflags interval\n" }
        if !elements.isEmpty {
            text += "\t\telements = { " + elements.joined(separator: ",\n\t\t\t") + " }\n"
        }
        return text + "\t}\n"
    }

    /// An interval set may not hold a prefix twice, nor one inside another.
    private static func disjoint(_ prefixes: [IPPrefix]) -> [IPPrefix] {
        var kept: [IPPrefix] = []
        // Sorted, what contains comes before what is contained.
        for prefix in prefixes.sorted() where !(kept.last?.contains(prefix) ?? false) {
            kept.append(prefix)
        }
        return kept
    }

    private static func quoted(_ interface: String) -> String { "\"\(interface)\"" }

    // MARK: Chains

    /// Before routing, so that what is spoofed reaches neither a neighbour nor the gateway. The
    /// policy is to drop: an interface that nobody knows carries nothing.
    private var prerouting: String {
        """
        \tchain prerouting {
        \t\ttype filter hook prerouting priority raw; policy drop;
        \t\tiifname "lo" accept
        \t\tiifname \(Self.quoted(tunnel)) goto from-tunnel
        \t\tiifname @endpoints goto from-endpoint
        \t\tcounter name "\(Counter.unknownInterface.rawValue)" drop
        \t}

        \tchain from-tunnel {
        \t\tip saddr @remote4 accept
        \t\tip6 saddr @remote6 accept
        \t\tcounter name "\(Counter.foreignSource.rawValue)" drop
        \t}

        \tchain from-endpoint {
        \t\tip daddr { 224.0.0.0/4, 255.255.255.255 } \
        counter name "\(Counter.linkLocalTraffic.rawValue)" drop
        \t\tip6 daddr { fe80::/10, ff00::/8 } \
        counter name "\(Counter.linkLocalTraffic.rawValue)" drop
        \t\tip6 saddr fe80::/10 counter name "\(Counter.linkLocalTraffic.rawValue)" drop
        \t\tiifname . ip saddr @owners4 accept
        \t\tiifname . ip6 saddr @owners6 accept
        \t\tcounter name "\(Counter.spoofedSource.rawValue)" drop
        \t}

        """
    }

    /// The gateway answers and sends echoes, and hears ICMP errors (RFC 792, RFC 4443). Nothing
    /// else of it is reachable from inside a slice.
    private var input: String {
        """
        \tchain input {
        \t\ttype filter hook input priority filter; policy drop;
        \t\tiifname "lo" accept
        \t\tip daddr @gateway4 icmp type { echo-reply, destination-unreachable, echo-request, \
        time-exceeded, parameter-problem } accept
        \t\tip6 daddr @gateway6 icmpv6 type { destination-unreachable, packet-too-big, \
        time-exceeded, parameter-problem, echo-request, echo-reply } accept
        \t\tcounter name "\(Counter.gatewayRefused.rawValue)" drop
        \t}

        """
    }

    /// Endpoints reach each other and the tunnel; the tunnel never leads back into itself.
    private var forward: String {
        """
        \tchain forward {
        \t\ttype filter hook forward priority filter; policy drop;
        \t\tiifname @endpoints oifname \(Self.quoted(tunnel)) accept
        \t\tiifname \(Self.quoted(tunnel)) oifname @endpoints accept
        \t\tiifname @endpoints oifname @endpoints accept
        \t\tcounter name "\(Counter.notForwarded.rawValue)" drop
        \t}

        """
    }

    /// What the kernel says by itself when an interface comes up (RFC 3810, RFC 4861) has no
    /// place in a tunnel.
    private var output: String {
        """
        \tchain output {
        \t\ttype filter hook output priority filter; policy accept;
        \t\toifname \(Self.quoted(tunnel)) ip daddr 224.0.0.0/4 drop
        \t\toifname \(Self.quoted(tunnel)) ip6 daddr ff00::/8 drop
        \t}

        """
    }
}
