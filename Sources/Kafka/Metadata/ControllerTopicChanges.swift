import KafkaWire

extension Controller {
    // MARK: - DeleteTopics

    func deleteTopics(
        _ request: DeleteTopicsRequest
    ) throws(ControllerFailure) -> DeleteTopicsResponse {
        guard config.deleteTopicsEnabled else {
            throw .init(.topicDeletionDisabled, "Topic deletion is disabled.")
        }
        try checkItemCount(request.topics.count + request.topicNames.count, "topics")
        var response = DeleteTopicsResponse()
        var answered: Set<Wanted> = []
        var times: [Wanted: Int] = [:]
        var order: [Wanted] = []
        func refuse(_ name: String?, _ id: KafkaUUID, _ code: ErrorCode, _ message: String? = nil) {
            response.responses.append(
                .init(name: name, topicId: id, errorCode: code, errorMessage: message))
        }
        func want(_ wanted: Wanted) {
            if times.updateValue(times[wanted, default: 0] + 1, forKey: wanted) == nil {
                order.append(wanted)
            }
        }
        for name in request.topicNames { want(.name(name)) }
        for topic in request.topics {
            switch (topic.name, topic.topicId) {
            case (nil, .zero):
                refuse(nil, .zero, .invalidRequest, "Neither topic name nor id were specified.")
            case (nil, let id): want(.id(id))
            case (let name?, .zero): want(.name(name))
            case (let name, let id):
                refuse(
                    name, id, .invalidRequest, "You may not specify both topic name and topic id.")
            }
        }
        var records: [MetadataRecord] = []
        // Ids first: a name that leads to an id already given is the one refused.
        for wanted in order.filter(\.isId) + order.filter({ !$0.isId }) {
            let repeated = times[wanted, default: 1] > 1
            switch wanted {
            case .id(let id):
                if repeated {
                    refuse(nil, id, .invalidRequest, "Duplicate topic id.")
                } else if let topic = image.topic(id) {
                    answered.insert(.id(id))
                    records.append(.removeTopic(.init(topicId: id)))
                    response.responses.append(.init(name: topic.name, topicId: id))
                } else {
                    refuse(nil, id, .unknownTopicId, "This server does not host this topic ID.")
                }
            case .name(let name):
                if repeated {
                    refuse(name, .zero, .invalidRequest, "Duplicate topic name.")
                } else if let id = image.topicId(named: name) {
                    if answered.contains(.id(id)) {
                        refuse(
                            name, id, .invalidRequest,
                            "The provided topic name maps to an ID that was already supplied.")
                        continue
                    }
                    records.append(.removeTopic(.init(topicId: id)))
                    response.responses.append(.init(name: name, topicId: id))
                } else {
                    refuse(
                        name, .zero, .unknownTopicOrPartition,
                        "This server does not host this topic-partition.")
                }
            }
        }
        try checkRecordCount(records.count)
        append(records)
        return response
    }

    private enum Wanted: Hashable {
        case name(String)
        case id(KafkaUUID)

        var isId: Bool {
            if case .id = self { true } else { false }
        }
    }

    // MARK: - CreatePartitions

    func createPartitions(
        _ request: CreatePartitionsRequest
    ) throws(ControllerFailure) -> CreatePartitionsResponse {
        try checkItemCount(request.topics.count, "topics")
        var times: [String: Int] = [:]
        for topic in request.topics { times[topic.name, default: 0] += 1 }
        var response = CreatePartitionsResponse()
        var refused: Set<String> = []
        var records: [MetadataRecord] = []
        var total = image.partitionCount
        for topic in request.topics {
            if times[topic.name, default: 1] > 1 {
                guard refused.insert(topic.name).inserted else { continue }
                response.results.append(
                    .init(
                        name: topic.name, errorCode: .invalidRequest,
                        errorMessage: "Duplicate topic name."))
                continue
            }
            do throws(ControllerFailure) {
                let added = try grow(topic, total)
                total += added.count
                records += added
                response.results.append(.init(name: topic.name))
            } catch {
                response.results.append(
                    .init(name: topic.name, errorCode: error.code, errorMessage: error.message))
            }
        }
        try checkRecordCount(records.count)
        if !request.validateOnly { append(records) }
        return response
    }

    private func grow(
        _ wanted: CreatePartitionsRequest.CreatePartitionsTopic, _ total: Int
    ) throws(ControllerFailure) -> [MetadataRecord] {
        guard let topic = image.topic(named: wanted.name) else {
            throw .init(
                .unknownTopicOrPartition, "This server does not host this topic-partition.")
        }
        let count = topic.partitionCount
        let wantedCount = Int(wanted.count)
        if wantedCount == count {
            throw .init(.invalidPartitions, "Topic already has \(count) partition(s).")
        }
        if wantedCount < count {
            throw .init(
                .invalidPartitions,
                "The topic \(wanted.name) currently has \(count) partition(s); \(wantedCount)"
                    + " would not be an increase.")
        }
        let added = wantedCount - count
        if let assignments = wanted.assignments, assignments.count != added {
            throw .init(
                .invalidReplicaAssignment,
                "Attempted to add \(added) additional partition(s), but only \(assignments.count)"
                    + " assignment(s) were specified.")
        }
        try checkPartitionCount(added, existing: count, total)
        let existing = topic.partitions.compactMap { $0.map(Reassignment.original) }
        let factor = existing.first?.count ?? 0
        let placed: [[Int32]]
        if let assignments = wanted.assignments {
            for (index, assignment) in assignments.enumerated() {
                try checkAssignment(assignment.brokerIds, replicationFactor: factor)
                try checkSomeActive(
                    assignment.brokerIds, partition: Int32(clamping: count + index))
            }
            placed = assignments.map(\.brokerIds)
        } else {
            placed = try place(
                added, replicationFactor: factor, existing: existing,
                topicConfigs: image.configs[.topic(topic.name)] ?? [:])
        }
        return placed.enumerated().map { index, replicas in
            .partition(
                newPartition(replicas).record(
                    topicId: topic.id, partition: Int32(clamping: count + index)))
        }
    }
}
