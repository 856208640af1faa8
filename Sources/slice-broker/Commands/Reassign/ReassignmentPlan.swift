/// Which brokers shall have the replicas of which partitions, in the form that Kafka's own tool
/// reads and writes: `{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1,2]}]}`.
package struct ReassignmentPlan: Equatable, Sendable {
    package struct Entry: Equatable, Sendable {
        package var topic: String
        package var partition: Int32
        /// The preferred leader first.
        package var replicas: [Int32]

        package init(topic: String, partition: Int32, replicas: [Int32]) {
            self.topic = topic
            self.partition = partition
            self.replicas = replicas
        }
    }

    package var entries: [Entry]

    package init(_ entries: [Entry]) { self.entries = entries }

    package init(parsing bytes: [UInt8], from source: String) throws(Failure) {
        func wrong(_ reason: String) -> Failure {
            Failure(
                .usage, "input", "\(source): \(reason)",
                hint: #"it looks like {"version":1,"partitions":[{"topic":"a","partition":0,"#
                    + #""replicas":[1,2,3]}]}"#)
        }
        let document: JSON
        do throws(JSONProblem) {
            document = try JSONParser.parse(bytes)
        } catch {
            throw wrong(error.description)
        }
        guard document["version"]?.integer ?? 1 == 1 else { throw wrong("version is not 1") }
        guard let partitions = document["partitions"]?.array else {
            throw wrong("it has no list called partitions")
        }
        guard !partitions.isEmpty else { throw wrong("it names no partition") }
        entries = []
        var seen: Set<String> = []
        for (index, partition) in partitions.enumerated() {
            let place = "partition \(index + 1) of the list"
            guard let topic = partition["topic"]?.string, !topic.isEmpty,
                let number = partition["partition"]?.integer.flatMap({ Int32(exactly: $0) }),
                number >= 0
            else { throw wrong("\(place) has no topic or number") }
            let replicas = partition["replicas"]?.array?.compactMap { element in
                element.integer.flatMap { Int32(exactly: $0) }.flatMap { $0 >= 0 ? $0 : nil }
            }
            guard let replicas, !replicas.isEmpty,
                replicas.count == partition["replicas"]?.array?.count
            else { throw wrong("\(place) has no list of brokers called replicas") }
            guard Set(replicas).count == replicas.count else {
                throw wrong("\(place) names a broker twice")
            }
            if let directories = partition["log_dirs"]?.array,
                directories.contains(where: { $0.string != "any" })
            {
                throw wrong("\(place) names a log directory, which cannot be chosen")
            }
            guard seen.insert("\(number) \(topic)").inserted else {
                throw wrong("\(topic), partition \(number), is there twice")
            }
            entries.append(Entry(topic: topic, partition: number, replicas: replicas))
        }
    }

    package var json: JSON {
        [
            "version": 1,
            "partitions": .array(
                entries.map {
                    [
                        "topic": .string($0.topic), "partition": JSON($0.partition),
                        "replicas": JSON($0.replicas),
                    ]
                }),
        ]
    }

    /// The topics in the plan's order, each with its entries.
    package var byTopic: [(topic: String, entries: [Entry])] {
        var topics: [(topic: String, entries: [Entry])] = []
        for entry in entries {
            if let index = topics.firstIndex(where: { $0.topic == entry.topic }) {
                topics[index].entries.append(entry)
            } else {
                topics.append((entry.topic, [entry]))
            }
        }
        return topics
    }
}

/// What slows the copying of replicas down (KIP-73): a rate for each broker, and for each topic
/// the replicas that it is for.
package struct ReassignmentThrottle: Equatable, Sendable {
    package static let rates = [
        "leader.replication.throttled.rate", "follower.replication.throttled.rate",
    ]
    package static let leaders = "leader.replication.throttled.replicas"
    package static let followers = "follower.replication.throttled.replicas"

    package var brokers: [Int32]
    /// `partition:broker` of the replicas that are copied from, and of those that are copied to.
    package var topics: [(name: String, leaders: String, followers: String)]

    /// - Parameter current: the replicas that partitions have now.
    package init(
        _ plan: ReassignmentPlan, current: (String, Int32) -> [Int32]
    ) {
        var brokers: Set<Int32> = []
        topics = []
        for (topic, entries) in plan.byTopic {
            var from: [String] = []
            var to: [String] = []
            for entry in entries {
                let old = current(topic, entry.partition)
                let new = entry.replicas.filter { !old.contains($0) }
                brokers.formUnion(old)
                brokers.formUnion(entry.replicas)
                // What is not copied is not slowed down.
                guard !new.isEmpty else { continue }
                from += old.map { "\(entry.partition):\($0)" }
                to += new.map { "\(entry.partition):\($0)" }
            }
            if !to.isEmpty {
                topics.append((topic, from.joined(separator: ","), to.joined(separator: ",")))
            }
        }
        self.brokers = brokers.sorted()
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.brokers == right.brokers && left.topics.elementsEqual(right.topics, by: ==)
    }
}
