import KafkaWire

// Dynamic configuration of topics, brokers and all brokers.

extension Controller {
    private enum Operation: Int8 {
        case set = 0
        case delete = 1
        case append = 2
        case subtract = 3
    }

    // MARK: - Requests

    func alterConfigs(
        _ request: AlterConfigsRequest
    ) throws(ControllerFailure) -> AlterConfigsResponse {
        try checkItemCount(request.resources.count, "resources")
        var response = AlterConfigsResponse()
        var records: [MetadataRecord] = []
        var bytes = 0
        let repeated = repeatedResources(
            request.resources.map { .init(type: $0.resourceType, name: $0.resourceName) })
        for wanted in request.resources {
            let resource = ConfigResource(type: wanted.resourceType, name: wanted.resourceName)
            var result = AlterConfigsResponse.AlterConfigsResourceResponse(
                resourceType: wanted.resourceType, resourceName: wanted.resourceName)
            do throws(ControllerFailure) {
                try checkNames(wanted.configs.map(\.name), resource, repeated)
                let nulls = wanted.configs.filter { $0.value == nil }.map(\.name)
                try checkNulls(nulls)
                var values: [String: String] = [:]
                for entry in wanted.configs { values[entry.name] = entry.value }
                records += try replace(resource, values, &bytes)
            } catch {
                result.errorCode = error.code
                result.errorMessage = error.message
            }
            response.responses.append(result)
        }
        try checkRecordCount(records.count)
        if !request.validateOnly { write(records) }
        return response
    }

    func incrementalAlterConfigs(
        _ request: IncrementalAlterConfigsRequest
    ) throws(ControllerFailure) -> IncrementalAlterConfigsResponse {
        try checkItemCount(request.resources.count, "resources")
        var response = IncrementalAlterConfigsResponse()
        var records: [MetadataRecord] = []
        var bytes = 0
        let repeated = repeatedResources(
            request.resources.map { .init(type: $0.resourceType, name: $0.resourceName) })
        for wanted in request.resources {
            let resource = ConfigResource(type: wanted.resourceType, name: wanted.resourceName)
            var result = IncrementalAlterConfigsResponse.AlterConfigsResourceResponse(
                resourceType: wanted.resourceType, resourceName: wanted.resourceName)
            do throws(ControllerFailure) {
                try checkNames(wanted.configs.map(\.name), resource, repeated)
                records += try change(resource, wanted.configs, &bytes)
            } catch {
                result.errorCode = error.code
                result.errorMessage = error.message
            }
            response.responses.append(result)
        }
        try checkRecordCount(records.count)
        if !request.validateOnly { write(records) }
        return response
    }

    // MARK: - One resource

    /// The legacy request: what it does not name goes.
    private func replace(
        _ resource: ConfigResource, _ values: [String: String], _ bytes: inout Int
    ) throws(ControllerFailure) -> [MetadataRecord] {
        try check(resource, values, &bytes)
        let current = image.configs[resource] ?? [:]
        var records: [MetadataRecord] = []
        for name in values.keys.sorted() where mustRecord(resource, current[name], values[name]) {
            records.append(record(resource, name, values[name]))
        }
        for name in current.keys.sorted() where values[name] == nil {
            records.append(record(resource, name, nil))
        }
        return records
    }

    private func change(
        _ resource: ConfigResource,
        _ changes: [IncrementalAlterConfigsRequest.AlterableConfig], _ bytes: inout Int
    ) throws(ControllerFailure) -> [MetadataRecord] {
        let current = image.configs[resource] ?? [:]
        var values = current
        var nulls: [String] = []
        for change in changes {
            guard let operation = Operation(rawValue: change.configOperation) else {
                throw .init(
                    .invalidRequest, "Unknown operations type \(change.configOperation)")
            }
            if operation == .delete {
                values[change.name] = nil
                continue
            }
            guard let value = change.value else {
                nulls.append(change.name)
                continue
            }
            switch operation {
            case .set: values[change.name] = value
            case .append, .subtract:
                values[change.name] = try edited(
                    resource, change.name, values[change.name], by: operation, value)
            case .delete: break
            }
        }
        try checkNulls(nulls)
        try check(resource, values, &bytes)
        var records: [MetadataRecord] = []
        for change in changes
        where mustRecord(resource, current[change.name], values[change.name]) {
            records.append(record(resource, change.name, values[change.name]))
        }
        return records
    }

    private func edited(
        _ resource: ConfigResource, _ name: String, _ current: String?, by operation: Operation,
        _ value: String
    ) throws(ControllerFailure) -> String {
        let property = table(for: resource)[name]
        guard let property, property.isList else {
            throw .init(
                .invalidConfig,
                "Can't \(operation == .append ? "APPEND" : "SUBTRACT") to key \(name) because its"
                    + " type is not LIST.")
        }
        var parts = ConfigProperty.parts(of: current ?? property.defaultValue ?? "")
        for part in ConfigProperty.parts(of: value) {
            if operation == .subtract {
                parts.removeAll { $0 == part }
            } else if !parts.contains(part) {
                parts.append(part)
            }
        }
        return parts.joined(separator: ",")
    }

    private func record(
        _ resource: ConfigResource, _ name: String, _ value: String?
    ) -> MetadataRecord {
        .config(
            .init(
                resourceType: resource.type, resourceName: resource.name, name: name, value: value))
    }

    /// Brokers reload what is recorded for them even when it is the same, a certificate file for
    /// one, so there an equal value is recorded too.
    private func mustRecord(_ resource: ConfigResource, _ old: String?, _ new: String?) -> Bool {
        old != new || (resource.type == ConfigResource.brokerType && new != nil)
    }

    // MARK: - Checks

    private func table(for resource: ConfigResource) -> ConfigTable {
        resource.type == ConfigResource.topicType
            ? config.topicProperties : config.brokerProperties
    }

    private func repeatedResources(_ resources: [ConfigResource]) -> Set<ConfigResource> {
        var seen: Set<ConfigResource> = []
        var repeated: Set<ConfigResource> = []
        for resource in resources where !seen.insert(resource).inserted {
            repeated.insert(resource)
        }
        return repeated
    }

    private func checkNames(
        _ names: [String], _ resource: ConfigResource, _ repeated: Set<ConfigResource>
    ) throws(ControllerFailure) {
        if repeated.contains(resource) {
            throw .init(.invalidRequest, "Each resource must appear at most once.")
        }
        if Set(names).count != names.count {
            throw .init(.invalidRequest, "Error due to duplicate config keys")
        }
    }

    private func checkNulls(_ names: [String]) throws(ControllerFailure) {
        if !names.isEmpty {
            throw .init(
                .invalidRequest, "Null value not supported for : \(names.joined(separator: ", "))")
        }
    }

    private func check(
        _ resource: ConfigResource, _ values: [String: String], _ bytes: inout Int
    ) throws(ControllerFailure) {
        switch resource.type {
        case ConfigResource.topicType:
            if resource.name.isEmpty {
                throw .init(.invalidRequest, "Default topic resources are not allowed.")
            }
            if let flaw = TopicName.flaw(in: resource.name) {
                throw .init(.invalidTopicException, flaw)
            }
            try checkSize(of: values, &bytes)
            if let flaw = config.topicProperties.flaw(in: values, of: "topic") {
                throw .init(.invalidConfig, flaw)
            }
            guard image.topicId(named: resource.name) != nil else {
                throw .init(
                    .unknownTopicOrPartition, "The topic '\(resource.name)' does not exist.")
            }
        case ConfigResource.brokerType:
            if !resource.name.isEmpty {
                guard let id = Int32(resource.name) else {
                    throw .init(
                        .invalidRequest, "Unable to parse broker name as a base 10 number.")
                }
                if id < 0 { throw .init(.invalidRequest, "Invalid negative broker ID.") }
                guard image.brokers[id] != nil || config.quorumIds.contains(id) else {
                    throw .init(.brokerIdNotRegistered, "No broker with id \(id) found.")
                }
            }
            try checkSize(of: values, &bytes)
            if let flaw = config.brokerProperties.flaw(in: values, of: "broker") {
                throw .init(.invalidConfig, flaw)
            }
            try checkMinimumIsr(resource, values)
        default: throw .init(.invalidRequest, "Unknown resource type \(resource.type)")
        }
    }

    func checkSize(
        of values: [String: String], _ bytes: inout Int
    ) throws(ControllerFailure) {
        let limits = config.limits
        guard values.count <= limits.configsPerResource else {
            throw .init(
                .invalidConfig,
                "\(values.count) properties are more than the \(limits.configsPerResource) of one"
                    + " resource.")
        }
        for (name, value) in values {
            guard value.utf8.count <= limits.configValueBytes,
                name.utf8.count <= limits.rackBytes
            else {
                throw .init(
                    .invalidConfig,
                    "The name or value of \(name.prefix(64)) is longer than"
                        + " \(limits.configValueBytes) bytes.")
            }
            bytes += name.utf8.count + value.utf8.count
        }
        guard bytes <= limits.configBytesPerRequest else {
            throw .init(
                .policyViolation,
                "The request's configuration is longer than \(limits.configBytesPerRequest) bytes.")
        }
    }

    // MARK: - The minimum of in-sync replicas

    static var minimumIsrName: String { "min.insync.replicas" }

    /// Eligible leaders are chosen by the minimum that leaders acknowledge by, so both must have it
    /// from one place: the log, not the files of the nodes (KIP-966, as of Kafka 4.1). What is
    /// missing for that.
    func minimumIsrRecords() -> [MetadataRecord] {
        let name = Self.minimumIsrName
        var records: [MetadataRecord] = []
        if image.configs[.everyBroker]?[name] == nil {
            let value = config.fileConfigs[name] ?? config.brokerProperties[name]?.defaultValue
            records.append(record(.everyBroker, name, value ?? "1"))
        }
        let single = image.configs.keys.filter { resource in
            resource.type == ConfigResource.brokerType && !resource.name.isEmpty
                && image.configs[resource]?[name] != nil
        }
        for resource in single.sorted(by: { $0.name < $1.name }) {
            records.append(record(resource, name, nil))
        }
        return records
    }

    private func checkMinimumIsr(
        _ resource: ConfigResource, _ values: [String: String]
    ) throws(ControllerFailure) {
        guard image.electsEligibleReplicas else { return }
        let value = values[Self.minimumIsrName]
        if !resource.name.isEmpty, value != nil {
            throw .init(
                .invalidConfig,
                "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
        }
        if resource.name.isEmpty, value == nil, image.configs[resource]?[Self.minimumIsrName] != nil
        {
            throw .init(
                .invalidConfig,
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
        }
    }

    // MARK: - What follows from a change

    private func write(_ records: [MetadataRecord]) {
        guard append(records) else { return }
        var wider = false
        var unclean = false
        for case .config(let record) in records {
            wider = wider || record.name == Self.minimumIsrName
            unclean = unclean || record.name == "unclean.leader.election.enable"
        }
        if wider { reviewEligibleLeaders() }
        if unclean { electUncleanLeaders() }
    }

    /// With a lower minimum more is acknowledged than the eligible leaders know of.
    private func reviewEligibleLeaders() {
        var records: [MetadataRecord] = []
        let resolver = resolver
        for topic in image.topics {
            for (index, partition) in topic.partitions.enumerated() {
                guard let partition, !partition.eligibleLeaderReplicas.isEmpty else { continue }
                let change = change(partition, of: topic, Int32(index), resolver)
                if let record = finish(change, partition, of: topic) {
                    records.append(.partitionChange(record))
                }
            }
        }
        appendInPieces(records)
    }
}
