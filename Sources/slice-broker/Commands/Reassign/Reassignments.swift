import KafkaClient
import KafkaWire

extension ClientSession {
    typealias Partitions = [ListPartitionReassignmentsRequest.ListPartitionReassignmentsTopics]

    func reassignments(_ partitions: Partitions?) throws -> ListPartitionReassignmentsResponse {
        let answer = try cluster.call(
            ListPartitionReassignmentsRequest(
                timeoutMs: Self.timeoutMs, topics: partitions))
        guard answer.errorCode == .none else {
            throw Failure.refused(answer.errorCode, "the reassignments", answer.errorMessage)
        }
        return answer
    }

    /// However long it takes; a change of the controller meanwhile does no harm.
    func awaitReassignments(_ partitions: Partitions?) throws {
        var progress = Progress(console)
        defer { progress.end() }
        var failures = 0
        while true {
            do {
                let ongoing = try reassignments(partitions).topics.flatMap(\.partitions)
                failures = 0
                if ongoing.isEmpty { return }
                let copying = ongoing.count { !$0.addingReplicas.isEmpty }
                progress.update(
                    "\(Quantity.count(ongoing.count, "partition")) to go, \(copying) copying")
            } catch {
                failures += 1
                guard failures < 60 else { throw error }
            }
            Pause.milliseconds(500)
        }
    }

    /// Before anything moves, so that nothing moves faster.
    func throttle(_ plan: ReassignmentPlan, bytes: Int64) throws {
        let answer = try cluster.metadata(plan.byTopic.map(\.topic))
        let throttle = ReassignmentThrottle(plan) { name, index in
            answer.topics.first { $0.name == name }?.partitions
                .first { $0.partitionIndex == index }?.replicaNodes ?? []
        }
        for topic in throttle.topics {
            try alter(
                ConfigResource(.topic, topic.name),
                [
                    (ReassignmentThrottle.leaders, topic.leaders),
                    (ReassignmentThrottle.followers, topic.followers),
                ])
        }
        for broker in throttle.brokers {
            try alter(
                ConfigResource(.broker, "\(broker)"),
                ReassignmentThrottle.rates.map { ($0, "\(bytes)") })
        }
    }

    /// Takes every throttle away, and says from whom.
    func unthrottle() throws -> (brokers: [Int32], topics: [String]) {
        let names = try cluster.metadata(nil).topics.filter { $0.errorCode == .none }
            .compactMap(\.name).sorted()
        var brokers: [Int32] = []
        for broker in cluster.brokers.map(\.id) {
            let resource = ConfigResource(.broker, "\(broker)")
            let own =
                try ownConfigs(
                    [resource], ReassignmentThrottle.rates, .broker, at: broker)[resource.name]
                ?? []
            if !own.isEmpty {
                try alter(resource, own.map { ($0, nil) })
                brokers.append(broker)
            }
        }
        let resources = names.map { ConfigResource(.topic, $0) }
        let own = try ownConfigs(
            resources, [ReassignmentThrottle.leaders, ReassignmentThrottle.followers], .topic,
            at: nil)
        for (name, keys) in own.sorted(by: { $0.key < $1.key }) {
            try alter(ConfigResource(.topic, name), keys.map { ($0, nil) })
        }
        return (brokers, own.keys.sorted())
    }

    /// Which of the properties have a value of that origin, by resource; only of those that do.
    private func ownConfigs(
        _ resources: [ConfigResource], _ names: [String], _ source: ConfigSource,
        at broker: Int32?
    ) throws -> [String: [String]] {
        guard !resources.isEmpty else { return [:] }
        let answer = try cluster.call(
            DescribeConfigsRequest(
                resources: resources.map {
                    .init(
                        resourceType: $0.kind.rawValue, resourceName: $0.name,
                        configurationKeys: names)
                }), at: broker)
        var own: [String: [String]] = [:]
        for result in answer.results where result.errorCode == .none {
            let keys = result.configs.filter { $0.configSource == source.rawValue }.map(\.name)
            if !keys.isEmpty { own[result.resourceName] = keys.sorted() }
        }
        return own
    }
}
