/// The states of a group of the classic protocol.
package enum GroupState: Int, Hashable, Sendable, CaseIterable {
    case empty, preparingRebalance, completingRebalance, stable, dead

    /// As DescribeGroups and ListGroups spell it.
    package var name: String {
        switch self {
        case .empty: "Empty"
        case .preparingRebalance: "PreparingRebalance"
        case .completingRebalance: "CompletingRebalance"
        case .stable: "Stable"
        case .dead: "Dead"
        }
    }
}
