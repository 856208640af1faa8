import SliceModel
import SlicePolicy

/// What a slice enforces now, and from what it was made.
struct PolicyState {
    private(set) var model: PolicyModel
    private(set) var filter = RouterPlan.Filter.nothing
    private(set) var problem: String?
    /// Connections remember it: it begins anywhere, so that those of an earlier daemon are decided
    /// again.
    private var number: UInt32
    private var rules: PolicyRules?

    init(firstNumber: UInt32, _ model: PolicyModel) {
        number = firstNumber
        self.model = model
    }

    /// What decided about a packet, by the tables that the kernel has: it is asked for every packet
    /// that is logged, and the model would go through all policies.
    func decide(_ packet: JudgedPacket) -> PolicyDecision {
        guard let rules else {
            return model.decide(from: packet.source, to: packet.target, packet.flow)
        }
        return rules.plan.decide(from: packet.source, to: packet.target, packet.flow)
    }

    /// With `revision` another one whenever isolation, policies, fences or clusters may differ.
    mutating func update(_ model: PolicyModel, revision: UInt64) {
        self.model = model
        problem = nil
        guard !model.isTrivial else {
            rules = nil
            filter = .everything
            return
        }
        do {
            let plan = try PolicyPlan(model, revision: revision, previous: rules?.plan)
            let names = model.policies.map(\.name)
            if let rules, rules.names == names, rules.plan.decidesLike(plan) {
                // Only the bookkeeping has changed; the number stays, and connections with it.
                self.rules = PolicyRules(plan: plan, number: rules.number, names: names)
            } else {
                number = number == .max ? 1 : number + 1
                rules = PolicyRules(plan: plan, number: number, names: names)
            }
            if let rules { filter = .policies(rules) }
        } catch {
            rules = nil
            filter = .nothing
            problem = "the slice is closed, nothing is forwarded: \(error)"
        }
    }
}
