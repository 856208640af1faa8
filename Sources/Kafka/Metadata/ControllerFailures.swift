import KafkaWire

extension ControllerRequest {
    /// The answer to a request that failed as a whole. Where a response has no code of its own,
    /// every item gets it.
    package func failed(_ failure: ControllerFailure) -> ControllerResponse {
        let code = failure.code
        let message = failure.message
        switch self {
        case .brokerRegistration: return .brokerRegistration(.init(errorCode: code))
        case .brokerHeartbeat: return .brokerHeartbeat(.init(errorCode: code))
        case .unregisterBroker:
            return .unregisterBroker(.init(errorCode: code, errorMessage: message))
        case .controllerRegistration:
            return .controllerRegistration(.init(errorCode: code, errorMessage: message))
        case .createTopics(let request):
            return .createTopics(
                .init(
                    topics: request.topics.map {
                        .init(name: $0.name, errorCode: code, errorMessage: message, configs: nil)
                    }))
        case .deleteTopics(let request):
            return .deleteTopics(
                .init(
                    responses: request.topicNames.map {
                        .init(name: $0, errorCode: code, errorMessage: message)
                    }
                        + request.topics.map {
                            .init(
                                name: $0.name, topicId: $0.topicId, errorCode: code,
                                errorMessage: message)
                        }))
        case .createPartitions(let request):
            return .createPartitions(
                .init(
                    results: request.topics.map {
                        .init(name: $0.name, errorCode: code, errorMessage: message)
                    }))
        case .alterConfigs(let request):
            return .alterConfigs(
                .init(
                    responses: request.resources.map {
                        .init(
                            errorCode: code, errorMessage: message, resourceType: $0.resourceType,
                            resourceName: $0.resourceName)
                    }))
        case .incrementalAlterConfigs(let request):
            return .incrementalAlterConfigs(
                .init(
                    responses: request.resources.map {
                        .init(
                            errorCode: code, errorMessage: message, resourceType: $0.resourceType,
                            resourceName: $0.resourceName)
                    }))
        case .alterPartition: return .alterPartition(.init(errorCode: code))
        case .assignReplicasToDirs: return .assignReplicasToDirs(.init(errorCode: code))
        case .electLeaders: return .electLeaders(.init(errorCode: code))
        case .alterPartitionReassignments:
            return .alterPartitionReassignments(.init(errorCode: code, errorMessage: message))
        case .listPartitionReassignments:
            return .listPartitionReassignments(.init(errorCode: code, errorMessage: message))
        case .allocateProducerIds: return .allocateProducerIds(.init(errorCode: code))
        case .updateFeatures(let request):
            return .updateFeatures(
                .init(
                    errorCode: code, errorMessage: message,
                    results: request.featureUpdates.map {
                        .init(feature: $0.feature, errorCode: code, errorMessage: message)
                    }))
        }
    }
}
