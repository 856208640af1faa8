import CommitLog

/// What groups promise their members.
final class GroupChecks {
    private struct Ownership: Hashable {
        var group: String
        var generation: Int32
        var partition: TopicPartition
    }

    private struct Commits: Hashable {
        var group: String
        var partition: TopicPartition
    }

    var problem: String?
    private var owners: [Ownership: String] = [:]
    /// The largest offset that was acknowledged in each generation.
    private var commits: [Commits: [Int32: Int64]] = [:]
    private(set) var generations: [String: Int32] = [:]
    private(set) var commitCount = 0

    /// No partition belongs to two members of one generation.
    func owns(
        _ member: String, _ group: String, _ generation: Int32, _ partitions: [TopicPartition]
    ) {
        generations[group] = max(generation, generations[group] ?? -1)
        for partition in partitions {
            let key = Ownership(group: group, generation: generation, partition: partition)
            if let other = owners.updateValue(member, forKey: key), other != member {
                problem =
                    "\(partition) belongs to \(other) and to \(member) in generation "
                    + "\(generation) of \(group)"
            }
        }
    }

    func committed(
        _ offset: Int64, _ group: String, _ partition: TopicPartition, generation: Int32
    ) {
        commitCount += 1
        let key = Commits(group: group, partition: partition)
        let before = commits[key]?[generation] ?? -1
        commits[key, default: [:]][generation] = max(before, offset)
    }

    /// What a member of this generation must find committed at least. A coordinator that has been
    /// replaced may not know of later generations, and can commit nothing any more.
    func floor(_ group: String, _ partition: TopicPartition, upTo generation: Int32) -> Int64 {
        let known = commits[Commits(group: group, partition: partition)] ?? [:]
        return known.filter { $0.key <= generation }.values.max() ?? -1
    }

    func fetched(
        _ offset: Int64, _ group: String, _ partition: TopicPartition, floor: Int64,
        by member: String, generation: Int32, from coordinator: Int32
    ) {
        guard offset < floor else { return }
        problem =
            "coordinator \(coordinator) tells \(member) of \(group), generation \(generation), "
            + "that \(offset) is committed of \(partition); \(floor) was acknowledged"
    }
}
