import SliceModel

/// What decides about a conversation: the first of these that applies, in this order.
package enum PolicyRule: Hashable, Sendable {
    /// No directory entry has the address: nothing can be said of it.
    case unknownAddress
    /// A namespace that may not speak with the other's region.
    case fence(NamespaceName)
    /// By its place in the manifest.
    case policy(Int)
    /// No policy matches; both are of one namespace.
    case sameness
    /// No policy matches, and the slice is open.
    case open
    /// No policy matches, and the slice is strict.
    case strict
}

package struct PolicyDecision: Hashable, Sendable {
    package var rule: PolicyRule
    package var isAllowed: Bool
}

/// What policies look at beside the two ends: the protocol, and the port that was spoken to.
package struct PolicyFlow: Hashable, Sendable, CustomStringConvertible {
    /// Nil is a protocol that no policy can name.
    package var transport: PortMatch.Transport?
    package var port: UInt16

    package init(_ transport: PortMatch.Transport?, _ port: UInt16 = 0) {
        self.transport = transport
        self.port = port
    }

    /// `tcp/9092`, `udp/53`, `sctp/5000`, `icmp`, or `other`.
    package init?(_ text: String) {
        switch text {
        case "icmp": self.init(.icmp)
        case "other": self.init(nil)
        default:
            guard let match = PortMatch(text), match.ports.count == 1 else { return nil }
            self.init(match.transport, match.ports.lowerBound)
        }
    }

    package var description: String {
        switch transport {
        case nil: "other"
        case .icmp: "icmp"
        case .some(let transport): "\(transport.rawValue)/\(port)"
        }
    }
}

extension Policy {
    /// Whether it says something of a flow; who the ends are is not looked at.
    func covers(_ flow: PolicyFlow) -> Bool {
        guard let ports else { return true }
        return ports.contains { match in
            match.transport == flow.transport
                && (match.transport == .icmp || match.ports.contains(flow.port))
        }
    }
}
