import KafkaWire
import Timing

// Who leads: after a change of brokers, when asked, and from time to time.

/// What happens to a broker, for the partitions that it has a part in.
enum BrokerEvent {
    /// It leaves service: fenced, shutting down, gone.
    case removing(Int32)
    /// It came back and may have lost what it had acknowledged.
    case removingUnclean(Int32)
    /// It enters service.
    case adding(Int32)
    /// Some of its directories are gone.
    case losing(Int32, [KafkaUUID])
}

extension Controller {
    /// The fewest in-sync replicas for which the topic acknowledges acks=all.
    func minimumIsr(
        of topic: TopicImage, _ resolver: ConfigResolver, replicas: Int
    ) -> Int {
        let configs = image.configs[.topic(topic.name)] ?? [:]
        let value = resolver.effective("min.insync.replicas", topic: configs)?.value
        return min(value.flatMap { Int($0) } ?? 1, replicas)
    }

    func allowsUnclean(_ topic: TopicImage, _ resolver: ConfigResolver) -> Bool {
        let configs = image.configs[.topic(topic.name)] ?? [:]
        let value = resolver.effective("unclean.leader.election.enable", topic: configs)?.value
        return value?.lowercased() == "true"
    }

    var resolver: ConfigResolver {
        ConfigResolver(
            table: config.topicProperties, image: image, node: config.nodeId,
            file: config.fileConfigs)
    }

    /// Whether a broker can lead this partition now.
    func canLead(_ broker: Int32, _ partition: PartitionRegistration) -> Bool {
        guard let registration = image.brokers[broker], registration.isActive else { return false }
        return registration.hasOnline(directory: partition.directory(of: broker))
    }

    func newDirectory(on broker: Int32) -> KafkaUUID {
        image.brokers[broker]?.directoryForNewReplicas ?? DirectoryId.unassigned
    }

    func change(
        _ partition: PartitionRegistration, of topic: TopicImage, _ index: Int32,
        _ resolver: ConfigResolver
    ) -> PartitionChange {
        PartitionChange(
            partition, topicId: topic.id, partitionId: index,
            electsEligible: image.electsEligibleReplicas,
            minimumIsr: minimumIsr(of: topic, resolver, replicas: partition.replicas.count))
    }

    /// Finishes a change with this cluster's brokers, and tells of what may lose records.
    func finish(
        _ change: PartitionChange, _ partition: PartitionRegistration, of topic: TopicImage
    ) -> PartitionChangeRecord? {
        finish(change, partition, of: topic) { canLead($0, partition) }
    }

    func finish(
        _ change: PartitionChange, _ partition: PartitionRegistration, of topic: TopicImage,
        canLead: (Int32) -> Bool
    ) -> PartitionChangeRecord? {
        var change = change
        guard let record = change.record(canLead: canLead, newDirectory: newDirectory(on:)) else {
            return nil
        }
        if let uncleanness = change.uncleanness {
            let (name, index, leader) = (topic.name, record.partitionId, record.leader)
            notice(
                uncleanness == .ledLast
                    ? .lastKnownLeader(topic: name, partition: index, leader: leader)
                    : .uncleanLeader(topic: name, partition: index, leader: leader))
        } else if record.leader == LeaderId.none, partition.hasLeader {
            notice(.noLeader(topic: topic.name, partition: record.partitionId))
        }
        return record
    }

    // MARK: - Brokers that come and go

    /// The changes to all partitions that an event of a broker brings about.
    ///
    /// Goes through all partitions: a hundred thousand take milliseconds, and brokers come and go
    /// seldom, so no index by broker is kept.
    func partitionChanges(_ event: BrokerEvent) -> [MetadataRecord] {
        var records: [MetadataRecord] = []
        let resolver = resolver
        for topic in image.topics {
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition, concerns(event, partition) else { continue }
                var change = change(partition, of: topic, Int32(index), resolver)
                if allowsUnclean(topic, resolver) { change.election = .unclean }
                var leaving: Int32?
                var entering: Int32?
                switch event {
                case .removing(let id), .losing(let id, _): leaving = id
                case .removingUnclean(let id):
                    leaving = id
                    if image.electsEligibleReplicas { change.uncleanReplicas = [id] }
                case .adding(let id): entering = id
                }
                if let leaving { change.isr.removeAll { $0 == leaving } }
                let record = finish(change, partition, of: topic) { replica in
                    if replica == leaving { return false }
                    if replica == entering, let broker = image.brokers[replica] {
                        // Its registration still says that it is fenced.
                        return broker.hasOnline(directory: partition.directory(of: replica))
                    }
                    return canLead(replica, partition)
                }
                if let record { records.append(.partitionChange(record)) }
            }
        }
        return records
    }

    private func concerns(_ event: BrokerEvent, _ partition: PartitionRegistration) -> Bool {
        switch event {
        case .removing(let id): partition.isr.contains(id)
        case .removingUnclean(let id):
            partition.isr.contains(id) || partition.eligibleLeaderReplicas.contains(id)
        case .adding(let id): !partition.hasLeader && partition.replicas.contains(id)
        case .losing(let id, let directories):
            partition.isr.contains(id) && directories.contains(partition.directory(of: id))
        }
    }

    // MARK: - From time to time

    /// Gives leadership back to preferred replicas that are in sync again.
    func balanceLeaders() {
        var records: [MetadataRecord] = []
        let resolver = resolver
        scan: for topic in image.topics {
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition, !partition.hasPreferredLeader,
                    partition.isr.contains(partition.preferredLeader)
                        || partition.isr.isEmpty
                else { continue }
                var change = change(partition, of: topic, Int32(index), resolver)
                change.election = .preferred
                guard let record = finish(change, partition, of: topic) else { continue }
                records.append(.partitionChange(record))
                if records.count >= config.electionsPerRound { break scan }
            }
        }
        // More may be waiting: go on soon, with others served in between.
        timers.balance = config.leaderBalanceInterval.map {
            now + (records.count >= config.electionsPerRound ? .milliseconds(10) : $0)
        }
        appendInPieces(records)
    }

    /// Leaders out of the ISR, for topics that would rather lose records than wait.
    func electUncleanLeaders(topic only: KafkaUUID? = nil) {
        var records: [MetadataRecord] = []
        let resolver = resolver
        for topic in image.topics where only == nil || topic.id == only {
            guard topic.partitions.contains(where: { $0?.hasLeader == false }),
                allowsUnclean(topic, resolver)
            else { continue }
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition, !partition.hasLeader else { continue }
                var change = change(partition, of: topic, Int32(index), resolver)
                change.election = .unclean
                if let record = finish(change, partition, of: topic) {
                    records.append(.partitionChange(record))
                }
            }
        }
        appendInPieces(records)
    }

    // MARK: - When asked

    private enum ElectionType: Int8 {
        case preferred = 0
        case unclean = 1
    }

    func electLeaders(
        _ request: ElectLeadersRequest
    ) throws(ControllerFailure) -> ElectLeadersResponse {
        guard let type = ElectionType(rawValue: request.electionType) else {
            throw .init(.invalidRequest, "Unknown election type \(request.electionType)")
        }
        var records: [MetadataRecord] = []
        var response = ElectLeadersResponse()
        let resolver = resolver
        var elected: Set<PartitionKey> = []
        if let wanted = request.topicPartitions {
            for topic in wanted {
                var results: [ElectLeadersResponse.PartitionResult] = []
                for partition in topic.partitions {
                    let failure = elect(
                        type, topic.topic, partition, resolver, &elected, &records)
                    results.append(
                        .init(
                            partitionId: partition, errorCode: failure?.code ?? .none,
                            errorMessage: failure?.message))
                }
                response.replicaElectionResults.append(
                    .init(topic: topic.topic, partitionResult: results))
            }
        } else {
            // All partitions; those that need no election are not mentioned.
            for topic in image.topics {
                var results: [ElectLeadersResponse.PartitionResult] = []
                for partition in 0..<Int32(topic.partitionCount) {
                    let failure = elect(
                        type, topic.name, partition, resolver, &elected, &records)
                    if failure?.code == .electionNotNeeded { continue }
                    results.append(
                        .init(
                            partitionId: partition, errorCode: failure?.code ?? .none,
                            errorMessage: failure?.message))
                }
                if !results.isEmpty {
                    response.replicaElectionResults.append(
                        .init(topic: topic.name, partitionResult: results))
                }
            }
        }
        appendInPieces(records)
        return response
    }

    private func elect(
        _ type: ElectionType, _ topicName: String, _ index: Int32, _ resolver: ConfigResolver,
        _ elected: inout Set<PartitionKey>, _ records: inout [MetadataRecord]
    ) -> ControllerFailure? {
        guard let topic = image.topic(named: topicName) else {
            return .init(.unknownTopicOrPartition, "No such topic as \(topicName)")
        }
        guard let partition = topic[index] else {
            return .init(.unknownTopicOrPartition, "No such partition as \(topicName)-\(index)")
        }
        switch type {
        case .preferred where partition.hasPreferredLeader, .unclean where partition.hasLeader:
            return .init(.electionNotNeeded, "Leader election not needed for topic partition.")
        default: break
        }
        guard elected.insert(.init(topic.id, index)).inserted else {
            return .init(.invalidRequest, "\(topicName)-\(index) is named more than once.")
        }
        var change = change(partition, of: topic, index, resolver)
        change.election = type == .preferred ? .preferred : .unclean
        guard let record = finish(change, partition, of: topic) else {
            return type == .preferred
                ? .init(
                    .preferredLeaderNotAvailable, "The preferred leader was not available.")
                : .init(
                    .eligibleLeadersNotAvailable,
                    "Eligible topic partition leaders are not available.")
        }
        records.append(.partitionChange(record))
        return nil
    }
}
