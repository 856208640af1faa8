import Addresses
import SliceModel

/// The compiled form of a `PolicyModel`: tables in which a packet is decided by a fixed number of
/// look-ups, whatever the number of policies and endpoints (recursive flow classification, Gupta
/// and McKeown, SIGCOMM 1999).
///
///     source address      -> class      who begins
///     destination address -> class      who is spoken to
///     class, class        -> list       the policies that can matter to the two
///     port                -> port class
///     list, port class    -> rule       or, where that is silent:
///     list, transport     -> rule       or else:
///     list                -> rule
package struct PolicyPlan: Hashable, Sendable {
    /// Two numbers in one: what nftables joins with a dot.
    package struct Pair: Hashable, Comparable, Sendable {
        package var first: UInt32
        package var second: UInt32

        package init(_ first: UInt32, _ second: UInt32) {
            self.first = first
            self.second = second
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.first, a.second) < (b.first, b.second)
        }
    }

    package struct Entry: Hashable, Sendable {
        package var rule: PolicyRule
        package var isAllowed: Bool
        /// What it drops is logged.
        package var isLogged: Bool
    }

    /// Marks of lists have this bit, marks of classes have not.
    package static let listBit: UInt32 = 0x8000_0000

    /// Ids that stand for a transport; port classes begin above them.
    package enum TransportID {
        package static let tcp: UInt32 = 1
        package static let udp: UInt32 = 2
        package static let sctp: UInt32 = 3
        package static let icmp: UInt32 = 4
        /// Ports that no policy names.
        package static let otherPorts: UInt32 = 15
        package static let firstPortClass: UInt32 = 16

        package static func of(_ transport: PortMatch.Transport) -> UInt32 {
            switch transport {
            case .tcp: tcp
            case .udp: udp
            case .sctp: sctp
            case .icmp: icmp
            }
        }
    }

    /// Told apart from every other set of policies: ids of one revision may be compared.
    package internal(set) var revision: UInt64
    package internal(set) var sources: [IPAddress: UInt32] = [:]
    package internal(set) var targets: [IPAddress: UInt32] = [:]
    package internal(set) var pairs: [Pair: UInt32] = [:]
    /// By source class, for pairs that are not in `pairs`.
    package internal(set) var rows: [UInt32: UInt32] = [:]
    /// By destination class, for those that have no row either.
    package internal(set) var columns: [UInt32: UInt32] = [:]
    /// For all others.
    package internal(set) var base: UInt32 = 0
    package internal(set) var decisions: [Pair: Entry] = [:]
    package internal(set) var defaults: [UInt32: Entry] = [:]
    var ports: [PortMatch.Transport: PortClasses] = [:]
    var interning = PolicyInterning()

    /// Whether both are the same tables, element for element.
    package func decidesLike(_ other: PolicyPlan) -> Bool {
        base == other.base && sources == other.sources && targets == other.targets
            && pairs == other.pairs && rows == other.rows && columns == other.columns
            && decisions == other.decisions && defaults == other.defaults && ports == other.ports
    }

    /// As the kernel decides; tests hold it to the model.
    package func decide(
        from source: IPAddress, to target: IPAddress, _ flow: PolicyFlow
    ) -> PolicyDecision {
        guard let source = sources[source], let target = targets[target] else {
            return PolicyDecision(rule: .unknownAddress, isAllowed: false)
        }
        let list = pairs[Pair(source, target)] ?? rows[source] ?? columns[target] ?? base
        var entry: Entry?
        if let transport = flow.transport {
            if let port = ports[transport]?.id(of: flow.port) {
                entry = decisions[Pair(list, port)]
            }
            entry = entry ?? decisions[Pair(list, TransportID.of(transport))]
        }
        guard let found = entry ?? defaults[list] else {
            return PolicyDecision(rule: .unknownAddress, isAllowed: false)
        }
        return PolicyDecision(rule: found.rule, isAllowed: found.isAllowed)
    }

    /// How often each rule has decided, from what the kernel counted for each element.
    package func decided(
        decisions counts: [Pair: UInt64], defaults listCounts: [UInt32: UInt64]
    ) -> [PolicyRule: UInt64] {
        var decided: [PolicyRule: UInt64] = [:]
        for (pair, count) in counts where count > 0 {
            if let entry = decisions[pair] { decided[entry.rule, default: 0] += count }
        }
        for (list, count) in listCounts where count > 0 {
            if let entry = defaults[list] { decided[entry.rule, default: 0] += count }
        }
        return decided
    }
}

/// What a plan may grow to. It is the kernel's memory, about 150 bytes an element.
package struct PolicyLimits: Hashable, Sendable {
    package var pairs: Int
    package var decisions: Int
    /// Matches of a policy with a kind of endpoints, and entries of lists: what compiling costs.
    package var steps: Int

    package init(pairs: Int = 1_000_000, decisions: Int = 1_000_000, steps: Int = 50_000_000) {
        self.pairs = pairs
        self.decisions = decisions
        self.steps = steps
    }
}

package enum PolicyPlanProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyPairs(limit: Int)
    case tooManyDecisions(limit: Int)
    case tooManySteps(limit: Int)

    package var description: String {
        switch self {
        case .tooManyPairs(let limit):
            "the policies tell more than \(limit) pairs of endpoints apart: let more of them "
                + "select by namespace, or leave labels out that no policy needs"
        case .tooManyDecisions(let limit):
            "the policies need more than \(limit) rules for ports: let ranges of ports begin and "
                + "end at the same numbers"
        case .tooManySteps(let limit):
            "the policies are too entangled to be compiled in \(limit) steps: use fewer patterns "
                + "that match many namespaces"
        }
    }
}

/// Which number stands for what: kept from plan to plan, so that a new endpoint changes only what
/// has to do with it.
struct PolicyInterning: Hashable, Sendable {
    struct ClassKey: Hashable, Sendable {
        /// Policies with a selector of their own for this end that matches.
        var policies: [Int32]
        /// Where it matters.
        var namespace: NamespaceName?
        var cluster: ClusterName?
        /// Only of local endpoints does this gateway see every conversation.
        var isLocal: Bool
    }

    struct ListKey: Hashable, Sendable {
        /// With ports of their own, in order.
        var policies: [Int32]
        /// What decides about all else.
        var rule: PolicyRule
    }

    var sources: [ClassKey: UInt32] = [:]
    var targets: [ClassKey: UInt32] = [:]
    var lists: [ListKey: UInt32] = [:]

    func isMostlyUnused(by plan: PolicyPlan) -> Bool {
        let known = sources.count + targets.count + lists.count
        let used = Set(plan.sources.values).count + Set(plan.targets.values).count
            + plan.defaults.count
        return known > 2 * used + 4_096
    }

    static func id<Key: Hashable>(_ key: Key, in table: inout [Key: UInt32]) -> UInt32 {
        if let known = table[key] { return known }
        let id = UInt32(table.count + 1)
        table[key] = id
        return id
    }
}
