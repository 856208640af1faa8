import KafkaWire
import Metadata

extension ControllerRequest {
    /// - Returns: nil if the request is none of the controller's.
    static func read(_ frame: RequestFrame) throws(WireError) -> ControllerRequest? {
        switch frame.apiKey {
        case BrokerRegistrationRequest.apiKey: .brokerRegistration(try frame.decode())
        case BrokerHeartbeatRequest.apiKey: .brokerHeartbeat(try frame.decode())
        case UnregisterBrokerRequest.apiKey: .unregisterBroker(try frame.decode())
        case ControllerRegistrationRequest.apiKey: .controllerRegistration(try frame.decode())
        case CreateTopicsRequest.apiKey: .createTopics(try frame.decode())
        case DeleteTopicsRequest.apiKey: .deleteTopics(try frame.decode())
        case CreatePartitionsRequest.apiKey: .createPartitions(try frame.decode())
        case AlterConfigsRequest.apiKey: .alterConfigs(try frame.decode())
        case IncrementalAlterConfigsRequest.apiKey: .incrementalAlterConfigs(try frame.decode())
        case AlterPartitionRequest.apiKey:
            .alterPartition(try frame.decode(), version: frame.version)
        case AssignReplicasToDirsRequest.apiKey: .assignReplicasToDirs(try frame.decode())
        case ElectLeadersRequest.apiKey: .electLeaders(try frame.decode())
        case AlterPartitionReassignmentsRequest.apiKey:
            .alterPartitionReassignments(try frame.decode())
        case ListPartitionReassignmentsRequest.apiKey:
            .listPartitionReassignments(try frame.decode())
        case AllocateProducerIdsRequest.apiKey: .allocateProducerIds(try frame.decode())
        case UpdateFeaturesRequest.apiKey: .updateFeatures(try frame.decode())
        default: nil
        }
    }
}

extension ReplyAddress {
    func pieces(_ response: ControllerResponse) -> [Piece] {
        switch response {
        case .brokerRegistration(let response): pieces(response)
        case .brokerHeartbeat(let response): pieces(response)
        case .unregisterBroker(let response): pieces(response)
        case .controllerRegistration(let response): pieces(response)
        case .createTopics(let response): pieces(response)
        case .deleteTopics(let response): pieces(response)
        case .createPartitions(let response): pieces(response)
        case .alterConfigs(let response): pieces(response)
        case .incrementalAlterConfigs(let response): pieces(response)
        case .alterPartition(let response): pieces(response)
        case .assignReplicasToDirs(let response): pieces(response)
        case .electLeaders(let response): pieces(response)
        case .alterPartitionReassignments(let response): pieces(response)
        case .listPartitionReassignments(let response): pieces(response)
        case .allocateProducerIds(let response): pieces(response)
        case .updateFeatures(let response): pieces(response)
        }
    }
}
