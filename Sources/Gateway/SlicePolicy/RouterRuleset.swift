import Addresses

/// The nftables ruleset of one router namespace, as one text that replaces the one before in a
/// single transaction.
///
/// Where an open slice has no policies, nothing in it looks at connections: it needs no state, and
/// without a rule that asks for it the kernel tracks none, which is what keeps forwarding cheap.
/// Fragments and ICMP errors then pass like any other packet, and path MTU discovery works. With
/// policies, what is forwarded is judged by them (`PolicyRules`).
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
        /// With a source route (RFC 791, RFC 5095): an endpoint does not choose its way.
        case sourceRouted
        /// By a policy, by a fence, or because no policy of a strict slice allows it.
        case deniedByPolicy
        /// From or to an address of which no cluster has told who has it.
        case unknownEndpoint
        /// Belongs to no connection in any way that the kernel knows.
        case invalidState
        /// Came in the moment in which new rules for ports were made.
        case undecided
        /// An ICMP error about a connection that has still to be judged by new policies.
        case staleRelated
    }

    /// There only with policies.
    package static let policyCounters: Set<Counter> = [
        .deniedByPolicy, .unknownEndpoint, .invalidState, .undecided, .staleRelated,
    ]

    package var tunnel: String
    /// The gateway's own, inside the slice.
    package var gatewayAddresses: [IPAddress]
    /// The other clusters' prefixes: what may come out of the tunnel.
    package var remotePrefixes: [IPPrefix]
    package var ports: [Port]
    /// The other gateways', inside the slice: with them this one exchanges the directory.
    package var peerGateways: [IPAddress]
    package var directoryPort: UInt16
    /// Nil: everything may pass that has the right addresses.
    package var policies: PolicyRules?
    private var isClosed = false

    package init(
        tunnel: String, gatewayAddresses: [IPAddress], remotePrefixes: [IPPrefix], ports: [Port],
        peerGateways: [IPAddress] = [], directoryPort: UInt16 = 7946,
        policies: PolicyRules? = nil
    ) {
        self.peerGateways = peerGateways
        self.directoryPort = directoryPort
        self.policies = policies
        self.tunnel = tunnel
        self.gatewayAddresses = gatewayAddresses
        self.remotePrefixes = remotePrefixes
        self.ports = ports
    }

    /// Replaces whatever is there, in one transaction.
    package var text: String {
        // Naming the table makes it, so that deleting it never fails.
        var text = "table \(Self.family) \(Self.table)\n"
        text += "delete table \(Self.family) \(Self.table)\n"
        return text + body(elements)
    }

    /// From another ruleset to this one in one transaction that touches only what differs; nil
    /// where more than elements differ, and everything has to be replaced.
    package func change(from old: RouterRuleset) -> String? {
        guard (policies == nil) == (old.policies == nil), skeleton == old.skeleton else {
            return nil
        }
        var text = elements.commands(
            from: old.elements, family: Self.family, table: Self.table)
        if let policies, policies != old.policies {
            text += "flush chain \(Self.family) \(Self.table) allow\n"
            text += "add rule \(Self.family) \(Self.table) allow \(policies.allowRule)\n"
        }
        return text
    }

    /// Nothing passes but what the gateway itself says to its neighbours: for when policies
    /// cannot be put in force.
    package var closed: RouterRuleset {
        var closed = self
        closed.policies = nil
        closed.isClosed = true
        return closed
    }

    private func body(_ elements: RulesetElements) -> String {
        var text = "table \(Self.family) \(Self.table) {\n"
        for counter in Counter.allCases
        where policies != nil || !Self.policyCounters.contains(counter) {
            text += "\tcounter \(counter.rawValue) { }\n"
        }
        text += sets
        for set in RulesetSet.allCases where set.isAlways || policies != nil {
            text += "\n\t" + set.declaration
            let lines = elements.lines(of: set)
            if !lines.isEmpty {
                text += "\t\telements = { " + lines.joined(separator: ",\n\t\t\t") + " }\n"
            }
            text += "\t}\n"
        }
        if let policies {
            text += policies.portMaps
            text += "\n\tchain allow {\n"
            text += elements.sets.isEmpty ? "" : "\t\t\(policies.allowRule)\n"
            text += "\t}\n\n" + policies.chains
        }
        text += "\n" + [prerouting, input, forward, output].joined(separator: "\n") + "}\n"
        return text
    }

    /// Everything that cannot be changed element by element.
    private var skeleton: String { body(RulesetElements()) }

    // MARK: Sets

    private var elements: RulesetElements {
        var elements = RulesetElements()
        for port in ports {
            let interface = Self.quoted(port.interface)
            elements.sets[.endpoints, default: [:]][interface] = ""
            for address in port.addresses {
                elements.sets[address.isIPv4 ? .owners4 : .owners6, default: [:]][
                    "\(interface) . \(address)"] = ""
            }
        }
        policies?.fill(&elements)
        return elements
    }

    private var sets: String {
        func remote(ipv4: Bool) -> [String] {
            Self.disjoint(remotePrefixes.filter { $0.isIPv4 == ipv4 }).map(\.description)
        }
        func some(_ addresses: [IPAddress], ipv4: Bool) -> [String] {
            addresses.filter { $0.isIPv4 == ipv4 }.sorted().map(\.description)
        }
        return Self.set("remote4", "ipv4_addr", remote(ipv4: true), isInterval: true)
            + Self.set("remote6", "ipv6_addr", remote(ipv4: false), isInterval: true)
            + Self.set("gateway4", "ipv4_addr", some(gatewayAddresses, ipv4: true))
            + Self.set("gateway6", "ipv6_addr", some(gatewayAddresses, ipv4: false))
            + Self.set("peers4", "ipv4_addr", some(peerGateways, ipv4: true))
            + Self.set("peers6", "ipv6_addr", some(peerGateways, ipv4: false))
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
        \t\tip option lsrr exists counter name "\(Counter.sourceRouted.rawValue)" drop
        \t\tip option ssrr exists counter name "\(Counter.sourceRouted.rawValue)" drop
        \t\texthdr rt exists counter name "\(Counter.sourceRouted.rawValue)" drop
        \t\tiifname . ip saddr @owners4 accept
        \t\tiifname . ip6 saddr @owners6 accept
        \t\tcounter name "\(Counter.spoofedSource.rawValue)" drop
        \t}

        """
    }

    /// The gateway answers and sends echoes, and hears ICMP errors (RFC 792, RFC 4443). Endpoints
    /// ask it for names, other gateways for the directory; and it hears the answers to what it asks
    /// them itself: TCP segments that begin nothing. Nothing else of it is reachable from inside a
    /// slice.
    private var input: String {
        """
        \tchain input {
        \t\ttype filter hook input priority filter; policy drop;
        \t\tiifname "lo" accept
        \t\tip daddr @gateway4 icmp type { echo-reply, destination-unreachable, echo-request, \
        time-exceeded, parameter-problem } accept
        \t\tip6 daddr @gateway6 icmpv6 type { destination-unreachable, packet-too-big, \
        time-exceeded, parameter-problem, echo-request, echo-reply } accept
        \t\tiifname @endpoints goto input-from-endpoint
        \t\tip saddr @peers4 ip daddr @gateway4 goto input-from-gateway
        \t\tip6 saddr @peers6 ip6 daddr @gateway6 goto input-from-gateway
        \t\tcounter name "\(Counter.gatewayRefused.rawValue)" drop
        \t}

        \tchain input-from-endpoint {
        \t\tip daddr @gateway4 udp dport 53 accept
        \t\tip daddr @gateway4 tcp dport 53 accept
        \t\tip daddr @gateway4 tcp flags & (syn | ack) != syn accept
        \t\tip6 daddr @gateway6 udp dport 53 accept
        \t\tip6 daddr @gateway6 tcp dport 53 accept
        \t\tip6 daddr @gateway6 tcp flags & (syn | ack) != syn accept
        \t\tcounter name "\(Counter.gatewayRefused.rawValue)" drop
        \t}

        \tchain input-from-gateway {
        \t\tiifname != \(Self.quoted(tunnel)) counter name "\(Counter.gatewayRefused.rawValue)" drop
        \t\ttcp dport \(directoryPort) accept
        \t\ttcp sport \(directoryPort) tcp flags & (syn | ack) != syn accept
        \t\tcounter name "\(Counter.gatewayRefused.rawValue)" drop
        \t}

        """
    }

    /// Endpoints reach each other and the tunnel; the tunnel never leads back into itself.
    private var forward: String {
        let tunnel = Self.quoted(tunnel)
        let ways = [
            "iifname @endpoints oifname \(tunnel)", "iifname \(tunnel) oifname @endpoints",
            "iifname @endpoints oifname @endpoints",
        ]
        let verdict = policies == nil ? "accept" : "goto judge"
        var text = "\tchain forward {\n"
        text += "\t\ttype filter hook forward priority filter; policy drop;\n"
        if !isClosed { for way in ways { text += "\t\t\(way) \(verdict)\n" } }
        text += "\t\tcounter name \"\(Counter.notForwarded.rawValue)\" drop\n"
        return text + "\t}\n\n"
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
