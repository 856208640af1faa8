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
    /// What of the counters of elements that are still there is in it already: they have counted
    /// for another rule.
    private var kept = Counts()

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
            let anew = keepDecided(unless: ruleset)
            do {
                try commit(change, ruleset, before)
                for pair in anew.decisions { kept.decisions[pair] = nil }
                for list in anew.defaults { kept.defaults[list] = nil }
                return ["changed the nftables ruleset"]
            } catch {
                // Whatever it was: all of it, then.
            }
        }
        _ = keepDecided(unless: nil)
        for (name, count) in (try? dropCounters()) ?? [:] { dropsBefore[name, default: 0] += count }
        try commit(ruleset.text, ruleset, before)
        kept = Counts()
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
            return named(try counts(all(rules.plan.decisions), all(rules.plan.defaults)), rules)
        }
    }

    private struct Counts {
        var decisions: [PolicyPlan.Pair: UInt64] = [:]
        var defaults: [UInt32: UInt64] = [:]
    }

    /// Less what is kept already.
    private func named(_ counts: Counts, _ rules: PolicyRules) -> [String: UInt64] {
        func fresh(_ count: UInt64, _ kept: UInt64?) -> UInt64 { count - min(count, kept ?? 0) }
        var named: [String: UInt64] = [:]
        let decided = rules.plan.decided(
            decisions: .init(
                uniqueKeysWithValues: counts.decisions.map {
                    ($0.key, fresh($0.value, kept.decisions[$0.key]))
                }),
            defaults: .init(
                uniqueKeysWithValues: counts.defaults.map {
                    ($0.key, fresh($0.value, kept.defaults[$0.key]))
                }))
        for (rule, count) in decided { named[rules.counterName(rule), default: 0] += count }
        return named
    }

    /// The keys, if there are too many for a list.
    private func all<Key>(_ elements: [Key: PolicyPlan.Entry]) -> [Key]? {
        elements.count > fewElements ? Array(elements.keys) : nil
    }

    /// Of these, or of all; what has counted nothing is left out.
    private func counts(_ decisions: [PolicyPlan.Pair]?, _ defaults: [UInt32]?) throws -> Counts {
        var counts = Counts()
        for element in try elements(
            .decisions, decisions?.map { Self.key([$0.first, $0.second]) })
        {
            guard let packets = element.counter?.packets, packets > 0 else { continue }
            let words = Self.words(element.key)
            if words.count == 2 { counts.decisions[.init(words[0], words[1])] = packets }
        }
        for element in try elements(.defaults, defaults?.map { Self.key([$0]) }) {
            guard let packets = element.counter?.packets, packets > 0 else { continue }
            if let word = Self.words(element.key).first { counts.defaults[word] = packets }
        }
        return counts
    }

    /// With keys only these.
    private func elements(
        _ set: RulesetSet, _ keys: [[UInt8]]?
    ) throws(LinuxError) -> [MapElement] {
        let (family, table) = (RouterRuleset.family, RouterRuleset.table)
        do throws(LinuxError) {
            if let keys {
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
    private static func key(_ words: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * words.count)
        for word in words {
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

    /// Before rules change: what elements have counted for the present ones is not lost, nor
    /// counted for others. With `next` only what does not go on counting for the same. Returns the
    /// elements that will be made anew, or go.
    private func keepDecided(
        unless next: RouterRuleset?
    ) -> (decisions: [PolicyPlan.Pair], defaults: [UInt32]) {
        guard let rules = applied?.policies, next?.policies != rules else { return ([], []) }
        let later = next?.policies
        func stays(_ old: PolicyPlan.Entry, _ new: PolicyPlan.Entry?) -> Bool {
            old.isAllowed == new?.isAllowed && old.isLogged == new?.isLogged
        }
        func goesOn(_ old: PolicyPlan.Entry, _ new: PolicyPlan.Entry?) -> Bool {
            guard let new, let later, stays(old, new) else { return false }
            return rules.counterName(old.rule) == later.counterName(new.rule)
        }
        let decisions = rules.plan.decisions.filter {
            !goesOn($0.value, later?.plan.decisions[$0.key])
        }
        let defaults = rules.plan.defaults.filter {
            !goesOn($0.value, later?.plan.defaults[$0.key])
        }
        let isAll = later == nil
        guard
            let counts = try? counts(
                isAll ? all(decisions) : Array(decisions.keys),
                isAll ? all(defaults) : Array(defaults.keys))
        else { return ([], []) }
        for (rule, count) in named(counts, rules) { decidedBefore[rule, default: 0] += count }
        kept.decisions.merge(counts.decisions) { max($0, $1) }
        kept.defaults.merge(counts.defaults) { max($0, $1) }
        return (
            decisions.filter { !stays($0.value, later?.plan.decisions[$0.key]) }.map(\.key),
            defaults.filter { !stays($0.value, later?.plan.defaults[$0.key]) }.map(\.key)
        )
    }
}
