import KafkaWire

/// Whether a partition's leader still has to make up for an unclean election (KIP-704).
package enum LeaderRecoveryState: Int8, Sendable {
    case recovered = 0
    case recovering = 1
}

/// Values of `leader` in records.
package enum LeaderId {
    package static let none: Int32 = -1
    package static let noChange: Int32 = -2
}

/// Directory ids with a meaning of their own (KIP-858). The first hundred are reserved.
package enum DirectoryId {
    package static let migrating = KafkaUUID(high: 0, low: 0)
    package static let unassigned = KafkaUUID(high: 0, low: 1)
    package static let lost = KafkaUUID(high: 0, low: 2)

    package static func isReserved(_ id: KafkaUUID) -> Bool { id.high == 0 && id.low < 100 }
}

/// One partition as the metadata log tells it.
///
/// Lists that are equal share storage where they are set (`isr` is mostly `replicas`), because an
/// image may hold a hundred thousand of these.
package struct PartitionRegistration: Equatable, Sendable {
    package var replicas: [Int32]
    package var directories: [KafkaUUID]
    package var isr: [Int32]
    package var addingReplicas: [Int32]
    package var removingReplicas: [Int32]
    package var eligibleLeaderReplicas: [Int32]
    package var lastKnownLeaderReplicas: [Int32]
    package var leader: Int32
    package var leaderEpoch: Int32
    package var partitionEpoch: Int32
    package var recovery: LeaderRecoveryState

    package init(
        replicas: [Int32], directories: [KafkaUUID] = [], isr: [Int32], leader: Int32,
        leaderEpoch: Int32 = 0, partitionEpoch: Int32 = 0,
        addingReplicas: [Int32] = [], removingReplicas: [Int32] = [],
        eligibleLeaderReplicas: [Int32] = [], lastKnownLeaderReplicas: [Int32] = [],
        recovery: LeaderRecoveryState = .recovered
    ) {
        self.replicas = replicas
        self.directories = directories
        self.isr = isr == replicas ? replicas : isr
        self.addingReplicas = addingReplicas
        self.removingReplicas = removingReplicas
        self.eligibleLeaderReplicas = eligibleLeaderReplicas
        self.lastKnownLeaderReplicas = lastKnownLeaderReplicas
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.recovery = recovery
    }

    package var preferredLeader: Int32 { replicas.first ?? LeaderId.none }
    package var hasLeader: Bool { leader != LeaderId.none }
    package var hasPreferredLeader: Bool { leader == preferredLeader }
    package var isReassigning: Bool { !addingReplicas.isEmpty || !removingReplicas.isEmpty }

    /// The log directory of one replica; `migrating` (unknown) where none was recorded.
    package func directory(of replica: Int32) -> KafkaUUID {
        guard let index = replicas.firstIndex(of: replica), index < directories.count else {
            return DirectoryId.migrating
        }
        return directories[index]
    }
}

extension PartitionRegistration {
    package init(_ record: PartitionRecord) throws(MetadataError) {
        guard let recovery = LeaderRecoveryState(rawValue: record.leaderRecoveryState) else {
            throw .badValue("leader recovery state \(record.leaderRecoveryState)")
        }
        self.init(
            replicas: record.replicas,
            directories: try Self.directories(record.directories, of: record.replicas),
            isr: record.isr, leader: record.leader, leaderEpoch: record.leaderEpoch,
            partitionEpoch: record.partitionEpoch, addingReplicas: record.addingReplicas,
            removingReplicas: record.removingReplicas,
            eligibleLeaderReplicas: record.eligibleLeaderReplicas ?? [],
            lastKnownLeaderReplicas: record.lastKnownElr ?? [], recovery: recovery)
    }

    /// What a change record makes of this partition. Every change raises the partition epoch; one
    /// that names a leader, even the same one, raises the leader epoch too.
    package func applying(_ change: PartitionChangeRecord) throws(MetadataError) -> Self {
        var next = self
        if let replicas = change.replicas { next.replicas = replicas }
        if let directories = change.directories {
            next.directories = try Self.directories(directories, of: next.replicas)
        } else if next.directories.count != next.replicas.count {
            next.directories = []
        }
        if let isr = change.isr { next.isr = isr == next.replicas ? next.replicas : isr }
        if let removing = change.removingReplicas { next.removingReplicas = removing }
        if let adding = change.addingReplicas { next.addingReplicas = adding }
        if let eligible = change.eligibleLeaderReplicas { next.eligibleLeaderReplicas = eligible }
        if let lastKnown = change.lastKnownElr { next.lastKnownLeaderReplicas = lastKnown }
        if change.leader != LeaderId.noChange {
            next.leader = change.leader
            next.leaderEpoch &+= 1
        }
        if change.leaderRecoveryState >= 0 {
            guard let state = LeaderRecoveryState(rawValue: change.leaderRecoveryState) else {
                throw .badValue("leader recovery state \(change.leaderRecoveryState)")
            }
            next.recovery = state
        }
        next.partitionEpoch &+= 1
        return next
    }

    package func record(topicId: KafkaUUID, partition: Int32) -> PartitionRecord {
        PartitionRecord(
            partitionId: partition, topicId: topicId, replicas: replicas, isr: isr,
            removingReplicas: removingReplicas, addingReplicas: addingReplicas, leader: leader,
            leaderRecoveryState: recovery.rawValue, leaderEpoch: leaderEpoch,
            partitionEpoch: partitionEpoch,
            directories: directories.isEmpty
                ? Array(repeating: DirectoryId.migrating, count: replicas.count) : directories,
            eligibleLeaderReplicas: eligibleLeaderReplicas.isEmpty ? nil : eligibleLeaderReplicas,
            lastKnownElr: lastKnownLeaderReplicas.isEmpty ? nil : lastKnownLeaderReplicas)
    }

    /// One directory for each replica, or none at all when every one is unknown.
    private static func directories(
        _ directories: [KafkaUUID], of replicas: [Int32]
    ) throws(MetadataError) -> [KafkaUUID] {
        if directories.allSatisfy({ $0 == DirectoryId.migrating }) { return [] }
        guard directories.count == replicas.count else {
            throw .badValue("\(directories.count) directories for \(replicas.count) replicas")
        }
        return directories
    }
}
