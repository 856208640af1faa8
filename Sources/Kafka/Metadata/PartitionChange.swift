import KafkaWire

/// How a leader may be chosen.
package enum LeaderElection: Sendable {
    /// Keep the leader where it is fit, else take the first fit replica.
    case online
    /// Take the preferred replica where it is fit.
    case preferred
    /// As online, but any live replica rather than none: acknowledged records may be lost.
    case unclean
}

/// Works out the record that takes a partition to a wanted state: completes a reassignment whose
/// replicas are in sync, keeps the eligible leaders (KIP-966), elects a leader, and decides whether
/// the leader epoch has to rise. Nothing to change means no record.
package struct PartitionChange {
    private let partition: PartitionRegistration
    private let topicId: KafkaUUID
    private let partitionId: Int32

    package var isr: [Int32]
    package var replicas: [Int32]
    package var adding: [Int32]
    package var removing: [Int32]
    package var recovery: LeaderRecoveryState
    package var election = LeaderElection.online
    /// Replicas that may have lost what they acknowledged: their broker came back from a shutdown
    /// that was not clean.
    package var uncleanReplicas: [Int32] = []
    /// Replicas that have nothing: the directory they were in is gone, and another took its place.
    package var emptyReplicas: [Int32] = []
    /// Directories that brokers told of.
    package var directories: [Int32: KafkaUUID] = [:]
    /// Whether eligible leader replicas are in force, and from how many in-sync replicas on none
    /// are needed.
    package var electsEligible: Bool
    package var minimumIsr: Int

    private var eligible: [Int32]
    /// How the leader was found who is not known to have everything, if it is one.
    package enum Uncleanness: Sendable {
        /// It led last, and nobody else is known to be in sync.
        case ledLast
        case anybody
    }
    package private(set) var uncleanness: Uncleanness?

    package init(
        _ partition: PartitionRegistration, topicId: KafkaUUID, partitionId: Int32,
        electsEligible: Bool, minimumIsr: Int
    ) {
        self.partition = partition
        self.topicId = topicId
        self.partitionId = partitionId
        isr = partition.isr
        replicas = partition.replicas
        adding = partition.addingReplicas
        removing = partition.removingReplicas
        recovery = partition.recovery
        eligible = partition.eligibleLeaderReplicas
        self.electsEligible = electsEligible
        self.minimumIsr = minimumIsr
    }

    /// - Parameters:
    ///   - canLead: whether a replica's broker is there to lead, with its directory online.
    ///   - newDirectory: where a replica that this partition did not have will live.
    package mutating func record(
        canLead: (Int32) -> Bool, newDirectory: (Int32) -> KafkaUUID
    ) -> PartitionChangeRecord? {
        var record = PartitionChangeRecord(partitionId: partitionId, topicId: topicId)
        completeReassignment()
        keepEligibleLeaders()
        elect(into: &record, canLead: canLead)
        // A replica that is no longer one must not be taken for one: a new leader epoch fences it.
        if record.leader == LeaderId.noChange,
            partition.replicas.contains(where: { !replicas.contains($0) })
        {
            record.leader = partition.leader
        }
        if eligible != partition.eligibleLeaderReplicas {
            record.eligibleLeaderReplicas = eligible
        }
        // Without eligible leaders the last in-sync replica stays in the ISR when it goes.
        if record.isr == nil, !isr.isEmpty || electsEligible, isr != partition.isr {
            record.isr = isr
        }
        rememberLastLeader(in: &record)
        setAssignment(in: &record, newDirectory: newDirectory)
        if record.leaderRecoveryState < 0, recovery != partition.recovery {
            record.leaderRecoveryState = recovery.rawValue
        }
        return record.changesNothing ? nil : record
    }

    // MARK: - Steps

    /// A reassignment is done once every replica that stays is in sync.
    private mutating func completeReassignment() {
        guard !adding.isEmpty || !removing.isEmpty else { return }
        let staying = replicas.filter { !removing.contains($0) }
        let inSync = isr.filter { !removing.contains($0) }
        guard !staying.isEmpty, !inSync.isEmpty, staying.allSatisfy(inSync.contains) else { return }
        replicas = staying
        isr = inSync
        adding = []
        removing = []
    }

    /// While the ISR is below the minimum nothing can be acknowledged with acks=all, so those who
    /// leave it then have all that was, and may lead when the ISR is empty.
    private mutating func keepEligibleLeaders() {
        guard electsEligible, isr.count < minimumIsr else {
            eligible = []
            return
        }
        let leaving = partition.isr.filter { !eligible.contains($0) }
        eligible = (eligible + leaving).filter {
            !isr.contains($0) && !uncleanReplicas.contains($0) && !emptyReplicas.contains($0)
                && replicas.contains($0)
        }
    }

    private mutating func elect(
        into record: inout PartitionChangeRecord, canLead: (Int32) -> Bool
    ) {
        let (leader, unclean) = electedLeader(canLead: canLead)
        guard leader != partition.leader else { return }
        record.leader = leader
        uncleanness = unclean
        if unclean != nil {
            record.isr = [leader]
            eligible = []
            if partition.recovery != .recovering {
                record.leaderRecoveryState = LeaderRecoveryState.recovering.rawValue
            }
        } else if eligible.contains(leader) {
            isr = [leader]
            eligible.removeAll { $0 == leader }
        }
    }

    private func electedLeader(
        canLead: (Int32) -> Bool
    ) -> (leader: Int32, unclean: Uncleanness?) {
        func isFit(_ replica: Int32) -> Bool {
            (isr.contains(replica) || isr.isEmpty && eligible.contains(replica)) && canLead(replica)
        }
        if election == .preferred, let preferred = replicas.first, isFit(preferred) {
            return (preferred, nil)
        }
        if partition.hasLeader, isFit(partition.leader) { return (partition.leader, nil) }
        if let replica = replicas.first(where: isFit) { return (replica, nil) }
        // Nobody is known to have everything. The one who led last had it, if its disk kept it.
        if electsEligible, isr.isEmpty, eligible.isEmpty,
            partition.lastKnownLeaderReplicas.count == 1,
            let last = partition.lastKnownLeaderReplicas.first, replicas.contains(last),
            canLead(last), !isEmptyAmongOthers(last)
        {
            return (last, .ledLast)
        }
        if election == .unclean, let replica = replicas.first(where: canLead) {
            return (replica, .anybody)
        }
        return (LeaderId.none, nil)
    }

    /// Kafka would elect it: everything that others have would be cut off to match its empty log.
    private func isEmptyAmongOthers(_ replica: Int32) -> Bool {
        emptyReplicas.contains(replica) && replicas.count > 1
    }

    private func rememberLastLeader(in record: inout PartitionChangeRecord) {
        guard electsEligible else { return }
        let last = partition.hasLeader ? partition.leader : partition.isr.first
        if record.isr == [], let last, partition.lastKnownLeaderReplicas != [last] {
            record.lastKnownElr = [last]
        } else if partition.lastKnownLeaderReplicas.contains(where: isEmptyAmongOthers) {
            record.lastKnownElr = []
        } else if !partition.lastKnownLeaderReplicas.isEmpty,
            record.leader >= 0 || (partition.hasLeader && record.leader == LeaderId.noChange)
        {
            record.lastKnownElr = []
        }
    }

    private func setAssignment(
        in record: inout PartitionChangeRecord, newDirectory: (Int32) -> KafkaUUID
    ) {
        let wanted = replicas.map { replica in
            directories[replica]
                ?? (partition.replicas.contains(replica)
                    ? partition.directory(of: replica) : newDirectory(replica))
        }
        if wanted != partition.replicas.map(partition.directory(of:)) {
            record.directories = wanted
        }
        if replicas != partition.replicas { record.replicas = replicas }
        if removing != partition.removingReplicas { record.removingReplicas = removing }
        if adding != partition.addingReplicas { record.addingReplicas = adding }
    }
}

extension PartitionChangeRecord {
    package var changesNothing: Bool {
        isr == nil && leader == LeaderId.noChange && replicas == nil && removingReplicas == nil
            && addingReplicas == nil && leaderRecoveryState < 0 && directories == nil
            && eligibleLeaderReplicas == nil && lastKnownElr == nil
    }
}
