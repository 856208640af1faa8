import Glibc
import LinuxNet
import SlicePolicy

/// The nftables table of one router namespace: puts rulesets in force, and sees when somebody else
/// has touched them. Used by one thread at a time.
package final class RouterRulesetKeeper {
    private let nftables: Nftables
    private let fewElements: Int
    /// The ruleset's generation after what we did last; nil if it is not ours alone.
    private var generation: UInt32?
    private var applied: RouterRuleset?
    /// What counters held before they were replaced.
    private var dropsBefore: [String: UInt64] = [:]
    private var decidedBefore: [String: UInt64] = [:]

    /// - Parameter fewElements: so many are listed; of more each is asked for. A list is made in
    ///   parts, and for each of them the kernel goes through the map from its beginning.
    package init(_ nftables: Nftables, fewElements: Int = 8_192) {
        self.nftables = nftables
        self.fewElements = fewElements
    }

    var isApplied: Bool { applied != nil }

    /// One transaction: only what differs where that is possible, else all of it.
    package func apply(_ ruleset: RouterRuleset) throws -> [String] {
        let before = try nftables.generation()
        let isUntouched = before == generation
        if isUntouched, ruleset == applied { return [] }
        if isUntouched, let applied, let change = ruleset.change(from: applied) {
            if change.isEmpty {
                self.applied = ruleset
                return []
            }
            keepDecided(unless: ruleset)
            do {
                try commit(change, ruleset, before)
                return ["changed the nftables ruleset"]
            } catch {
                // Whatever it was: all of it, then.
            }
        } else {
            keepDecided(unless: nil)
        }
        for (name, count) in (try? dropCounters()) ?? [:] { dropsBefore[name, default: 0] += count }
        try commit(ruleset.text, ruleset, before)
        return ["replaced the nftables ruleset"]
    }

    private func commit(_ text: String, _ ruleset: RouterRuleset, _ before: UInt32) throws {
        generation = nil
        try nftables.apply(text)
        applied = ruleset
        // Somebody else may have been there at the same time: then all of it is done once more.
        let now = try nftables.generation()
        generation = now == before &+ 1 ? now : nil
    }

    // MARK: Counters

    private func dropCounters() throws -> [String: UInt64] {
        do throws(LinuxError) {
            return try nftables.objectCounters(
                family: RouterRuleset.family, table: RouterRuleset.table)
        } catch {
            guard error.isAbsent else { throw error }
            return [:]
        }
    }

    func drops() throws -> [String: UInt64] {
        var drops = dropsBefore
        for (name, packets) in try dropCounters() { drops[name, default: 0] += packets }
        return drops.filter { $0.value > 0 }
    }

    package func decided() throws -> [String: UInt64] {
        var decided = decidedBefore
        for (rule, count) in try present { decided[rule, default: 0] += count }
        return decided
    }

    private var present: [String: UInt64] {
        get throws {
            guard let rules = applied?.policies else { return [:] }
            return Self.named(try counts(rules.plan), rules)
        }
    }

    private typealias Counts = (
        decisions: [PolicyPlan.Pair: UInt64], defaults: [UInt32: UInt64]
    )

    private static func named(_ counts: Counts, _ rules: PolicyRules) -> [String: UInt64] {
        var named: [String: UInt64] = [:]
        let decided = rules.plan.decided(decisions: counts.decisions, defaults: counts.defaults)
        for (rule, count) in decided { named[rules.counterName(rule), default: 0] += count }
        return named
    }

    private func counts(_ plan: PolicyPlan) throws -> Counts {
        var counts: Counts = ([:], [:])
        let keys = plan.decisions.count > fewElements ? plan.decisions.keys.map(Self.key) : []
        for element in try elements(.decisions, keys) {
            guard let packets = element.counter?.packets, packets > 0 else { continue }
            let words = Self.words(element.key)
            if words.count == 2 { counts.decisions[.init(words[0], words[1])] = packets }
        }
        for element in try elements(.defaults, []) {
            guard let packets = element.counter?.packets, packets > 0 else { continue }
            if let word = Self.words(element.key).first { counts.defaults[word] = packets }
        }
        return counts
    }

    /// With keys only these.
    private func elements(
        _ set: RulesetSet, _ keys: [[UInt8]]
    ) throws(LinuxError) -> [MapElement] {
        let (family, table) = (RouterRuleset.family, RouterRuleset.table)
        do throws(LinuxError) {
            if !keys.isEmpty {
                return try nftables.elements(
                    family: family, table: table, map: set.rawValue, keys: keys)
            }
            return try nftables.elements(family: family, table: table, map: set.rawValue)
        } catch {
            guard error.errno == ENOENT else { throw error }
            return []
        }
    }

    /// Marks and classes are numbers of the machine's own order: so they are read, and written.
    private static func key(_ pair: PolicyPlan.Pair) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8)
        for word in [pair.first, pair.second] {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return bytes
    }

    private static func words(_ key: [UInt8]) -> [UInt32] {
        stride(from: 0, to: key.count / 4 * 4, by: 4).map { at in
            key[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    /// Before elements go: what they have counted is not lost. With `next`, only what is not in it
    /// as it was.
    private func keepDecided(unless next: RouterRuleset?) {
        guard let rules = applied?.policies, next?.policies != rules,
            var counts = try? counts(rules.plan)
        else { return }
        if let plan = next?.policies?.plan {
            counts.decisions = counts.decisions.filter {
                plan.decisions[$0.key] != rules.plan.decisions[$0.key]
            }
            counts.defaults = counts.defaults.filter {
                plan.defaults[$0.key] != rules.plan.defaults[$0.key]
            }
        }
        for (rule, count) in Self.named(counts, rules) { decidedBefore[rule, default: 0] += count }
    }
}
