import Addresses
import SliceModel

/// What changes for whom from one set of policies to another, with the endpoints that are there.
package struct PolicyDifference: Hashable, Sendable {
    package struct Change: Hashable, Sendable {
        package var from: NamespaceName
        package var to: NamespaceName
        package var flow: PolicyFlow
        package var isAllowed: Bool
        /// Not for all endpoints of the two.
        package var isPartial: Bool
        /// What decides from now on.
        package var rule: String
    }

    /// In the order of names; ports by their first of each stretch that policies tell apart.
    package private(set) var changes: [Change] = []
    /// Not everything was compared: there are too many kinds of endpoints.
    package private(set) var isCutOff = false

    /// A comparison of each kind of endpoints with each, for each stretch of ports.
    package static let comparisons = 2_000_000
    package static let named = 200

    package init(from old: PolicyModel, to new: PolicyModel) {
        let profiles = new.profiles
        let flows = Self.flows(old.policies + new.policies)
        var left = Self.comparisons
        struct Key: Hashable {
            var from: NamespaceName
            var to: NamespaceName
            var flow: Int
        }
        struct Seen {
            var allowed = 0
            var denied = 0
            var same = 0
            var rule: PolicyRule?
        }
        var seen: [Key: Seen] = [:]
        compare: for source in profiles {
            for target in profiles {
                for (index, flow) in flows.enumerated() {
                    left -= 1
                    if left < 0 {
                        isCutOff = true
                        break compare
                    }
                    let before = old.judge(source, target, flow)
                    let after = new.judge(source, target, flow)
                    let key = Key(from: source.namespace, to: target.namespace, flow: index)
                    if before.isAllowed == after.isAllowed {
                        seen[key, default: Seen()].same += 1
                    } else if after.isAllowed {
                        seen[key, default: Seen()].allowed += 1
                        seen[key]?.rule = after.rule
                    } else {
                        seen[key, default: Seen()].denied += 1
                        seen[key]?.rule = after.rule
                    }
                }
            }
        }
        let sorted = seen.filter { $0.value.rule != nil }.sorted { a, b in
            (a.key.from, a.key.to, a.key.flow) < (b.key.from, b.key.to, b.key.flow)
        }
        for (key, found) in sorted {
            for (count, isAllowed) in [(found.allowed, true), (found.denied, false)]
            where count > 0 {
                guard changes.count < Self.named, let rule = found.rule else {
                    isCutOff = true
                    return
                }
                changes.append(
                    Change(
                        from: key.from, to: key.to, flow: flows[key.flow], isAllowed: isAllowed,
                        isPartial: found.same > 0 || (found.allowed > 0 && found.denied > 0),
                        rule: new.describe(rule)))
            }
        }
    }

    /// One flow of each stretch of ports, and one that no policy names.
    private static func flows(_ policies: [Policy]) -> [PolicyFlow] {
        var flows: [PolicyFlow] = []
        for transport in [PortMatch.Transport.tcp, .udp, .sctp] {
            var starts: Set<Int> = [1]
            for policy in policies {
                for match in policy.ports ?? [] where match.transport == transport {
                    starts.insert(max(1, Int(match.ports.lowerBound)))
                    starts.insert(Int(match.ports.upperBound) + 1)
                }
            }
            flows += starts.filter { $0 < 65536 }.sorted().map {
                PolicyFlow(transport, UInt16($0))
            }
        }
        return flows + [PolicyFlow(.icmp), PolicyFlow(nil)]
    }
}

extension PolicyModel {
    fileprivate func judge(
        _ source: Profile, _ target: Profile, _ flow: PolicyFlow
    ) -> PolicyDecision {
        isTrivial
            ? PolicyDecision(rule: .open, isAllowed: true)
            : decide(from: source, to: target, flow)
    }
}
