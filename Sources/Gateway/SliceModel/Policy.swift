/// Who may talk to whom. Policies are read in the manifest's order and the first that matches the
/// beginning of a conversation decides; what answers belongs to it. Where none matches, isolation
/// decides: `open` lets it through, `strict` only inside one namespace (sameness).
package struct Policy: Hashable, Sendable {
    package enum Action: String, CaseIterable, Sendable {
        case allow
        case deny
    }

    package var name: PolicyName
    /// For people: shown beside the counters.
    package var description: String
    package var action: Action
    /// Who begins.
    package var from: EndpointSelector
    /// Who is spoken to.
    package var to: EndpointSelector
    /// Nil is everything, whatever the protocol.
    package var ports: [PortMatch]?
    /// Both ends must lie in one of these; nil is everywhere.
    package var regions: [Glob]?
    /// What it denies is logged with names, at a limited rate.
    package var log: Bool

    package init(
        name: PolicyName, description: String = "", action: Action = .allow,
        from: EndpointSelector = .all, to: EndpointSelector = .all, ports: [PortMatch]? = nil,
        regions: [Glob]? = nil, log: Bool = false
    ) {
        self.name = name
        self.description = description
        self.action = action
        self.from = from
        self.to = to
        self.ports = ports
        self.regions = regions
        self.log = log
    }
}

/// Which endpoints: every field that is given must match, one of a list is enough.
package struct EndpointSelector: Hashable, Sendable {
    package static let all = EndpointSelector()

    package var namespaces: [Glob]?
    package var clusters: [Glob]?
    package var regions: [Glob]?
    /// All of them; in the order of keys.
    package var labels: [LabelMatch]

    package struct LabelMatch: Hashable, Sendable {
        package var key: String
        package var value: Glob

        package init(key: String, value: Glob) {
            self.key = key
            self.value = value
        }
    }

    package init(
        namespaces: [Glob]? = nil, clusters: [Glob]? = nil, regions: [Glob]? = nil,
        labels: [LabelMatch] = []
    ) {
        self.namespaces = namespaces
        self.clusters = clusters
        self.regions = regions
        self.labels = labels
    }

    package var isEverything: Bool { self == .all }

    package func matches(
        namespace: NamespaceName, cluster: ClusterName, region: Region, labels given: EndpointLabels
    ) -> Bool {
        func any(_ globs: [Glob]?, _ text: String) -> Bool {
            globs?.contains { $0.matches(text) } ?? true
        }
        return any(namespaces, namespace.text) && any(clusters, cluster.text)
            && any(regions, region.text)
            && labels.allSatisfy { wanted in
                given[wanted.key].map { wanted.value.matches($0) } ?? false
            }
    }
}

/// `tcp`, `tcp/9092`, `udp/5000-5010`, `sctp/36412` or `icmp` (which is ICMPv6 as well).
package struct PortMatch: Hashable, Sendable, CustomStringConvertible {
    package enum Transport: String, CaseIterable, Sendable {
        case tcp
        case udp
        case sctp
        case icmp
    }

    package static let rule =
        "must be tcp, udp, sctp or icmp; the first three with /PORT or /PORT-PORT if not all"

    package var transport: Transport
    /// The destination's, inclusive; of ICMP always all.
    package var ports: ClosedRange<UInt16>

    package init(_ transport: Transport, _ ports: ClosedRange<UInt16> = 0...65535) {
        self.transport = transport
        self.ports = ports
    }

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let transport = Transport(rawValue: String(parts[0])) else { return nil }
        guard parts.count == 2 else {
            self.init(transport)
            return
        }
        func number(_ text: Substring) -> UInt16? {
            guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ 48...57 ~= $0 }),
                text.utf8.first != 48, let number = UInt16(text)
            else { return nil }
            return number
        }
        let ends = parts[1].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard transport != .icmp, let low = number(ends[0]),
            let high = ends.count == 2 ? number(ends[1]) : low, low <= high
        else { return nil }
        self.init(transport, low...high)
    }

    package var description: String {
        if ports == 0...65535 { return transport.rawValue }
        let low = ports.lowerBound
        return ports.count == 1
            ? "\(transport.rawValue)/\(low)" : "\(transport.rawValue)/\(low)-\(ports.upperBound)"
    }
}
