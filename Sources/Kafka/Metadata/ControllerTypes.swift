import KafkaWire

/// Names a request until its answer; the shell's own numbering.
package struct ControllerToken: Hashable, Sendable {
    package var value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

package enum ControllerEvent: Sendable {
    /// Raft made this node the leader. `logEndOffset` is where the controller's first record will
    /// go: behind the leader change record. The controller is active once it has applied everything
    /// before that, and all of it is committed.
    case elected(epoch: Int32, logEndOffset: Int64)
    /// Raft took the leadership away, or another holds it. What was not committed is taken back;
    /// committed records are wanted again from `Controller.nextOffset`.
    case resigned
    /// Committed records of one batch, for a controller that is not active; none for a batch of
    /// control records. `nextOffset` is what follows the batch.
    case committed([MetadataRecord], nextOffset: Int64)
    /// A snapshot in place of the log before `nextOffset`, for a controller that is not active.
    case snapshot(MetadataImage, nextOffset: Int64)
    /// Everything below the offset is committed, for one that is active.
    case highWatermark(Int64)
    /// The leader's log grew by records of the quorum itself (a voter added), to this end.
    case logAdvanced(Int64)
    case request(ControllerToken, ControllerRequest)
    /// The connection that a broker's heartbeats came on is gone: a hint, nothing more.
    case brokerConnectionLost(Int32)
    case tick
}

package enum ControllerEffect: Equatable, Sendable {
    /// To be appended to the log as one batch at exactly this offset, in this epoch.
    case append([MetadataRecord], baseOffset: Int64, epoch: Int32)
    /// An answer. All that it rests on is committed.
    case reply(ControllerToken, ControllerResponse)
    case activated(epoch: Int32)
    /// Give the leadership up: this controller cannot go on.
    case resign(epoch: Int32, reason: String)
    case notice(ControllerNotice)
}

/// What happened, for the log and the metrics.
package enum ControllerNotice: Equatable, Sendable, CustomStringConvertible {
    case brokerRegistered(Int32, epoch: Int64, rack: String?)
    case registrationRefused(Int32, ErrorCode, String)
    case brokerFenced(Int32, FencingReason)
    case brokerUnfenced(Int32)
    case shutdownStarted(Int32)
    case shutdownGranted(Int32)
    case directoriesOffline(Int32, [KafkaUUID])
    /// The controller itself did not run for a while, so that silence says little about brokers.
    case stalled(milliseconds: Int64)
    /// Nobody is known to have everything, and the one who led last has come back: what its disk
    /// has not is lost.
    case lastKnownLeader(topic: String, partition: Int32, leader: Int32)
    /// Acknowledged records may be lost.
    case uncleanLeader(topic: String, partition: Int32, leader: Int32)
    case noLeader(topic: String, partition: Int32)

    package enum FencingReason: Equatable, Sendable {
        case silent(milliseconds: Int64)
        case connectionLost(milliseconds: Int64)
        case asked
        case shutDown
        /// It registers anew, and its connection had broken or nothing was heard of it yet.
        case startedAgain
    }

    package var description: String {
        switch self {
        case .brokerRegistered(let id, let epoch, let rack):
            "broker \(id) registered with epoch \(epoch), rack \(rack ?? "none")"
        case .registrationRefused(let id, let code, let why):
            "registration of broker \(id) refused, \(code): \(why)"
        case .brokerFenced(let id, .silent(let ms)):
            "broker \(id) fenced: no heartbeat for \(ms) ms"
        case .brokerFenced(let id, .connectionLost(let ms)):
            "broker \(id) fenced: no heartbeat for \(ms) ms after its connection broke"
        case .brokerFenced(let id, .asked): "broker \(id) fenced, as it asked"
        case .brokerFenced(let id, .startedAgain): "broker \(id) fenced, as it has started again"
        case .brokerFenced(let id, .shutDown): "broker \(id) fenced, as it shuts down"
        case .brokerUnfenced(let id): "broker \(id) unfenced"
        case .shutdownStarted(let id): "broker \(id) begins a controlled shutdown"
        case .shutdownGranted(let id): "broker \(id) may shut down"
        case .directoriesOffline(let id, let directories):
            "broker \(id) lost \(directories.map(\.description).joined(separator: ", "))"
        case .stalled(let ms): "the controller stood still for \(ms) ms"
        case .lastKnownLeader(let topic, let partition, let leader):
            "election of broker \(leader) for \(topic)-\(partition), which it led last: all its "
                + "replicas ended without order, and what the disk of this one lost is gone"
        case .uncleanLeader(let topic, let partition, let leader):
            "unclean election of broker \(leader) for \(topic)-\(partition)"
        case .noLeader(let topic, let partition): "no leader for \(topic)-\(partition)"
        }
    }
}

package enum ControllerRequest: Sendable {
    case brokerRegistration(BrokerRegistrationRequest)
    case brokerHeartbeat(BrokerHeartbeatRequest)
    case unregisterBroker(UnregisterBrokerRequest)
    case controllerRegistration(ControllerRegistrationRequest)
    case createTopics(CreateTopicsRequest)
    case deleteTopics(DeleteTopicsRequest)
    case createPartitions(CreatePartitionsRequest)
    case alterConfigs(AlterConfigsRequest)
    case incrementalAlterConfigs(IncrementalAlterConfigsRequest)
    case alterPartition(AlterPartitionRequest, version: Int16)
    case assignReplicasToDirs(AssignReplicasToDirsRequest)
    case electLeaders(ElectLeadersRequest)
    case alterPartitionReassignments(AlterPartitionReassignmentsRequest)
    case listPartitionReassignments(ListPartitionReassignmentsRequest)
    case allocateProducerIds(AllocateProducerIdsRequest)
    case updateFeatures(UpdateFeaturesRequest)
}

package enum ControllerResponse: Equatable, Sendable {
    case brokerRegistration(BrokerRegistrationResponse)
    case brokerHeartbeat(BrokerHeartbeatResponse)
    case unregisterBroker(UnregisterBrokerResponse)
    case controllerRegistration(ControllerRegistrationResponse)
    case createTopics(CreateTopicsResponse)
    case deleteTopics(DeleteTopicsResponse)
    case createPartitions(CreatePartitionsResponse)
    case alterConfigs(AlterConfigsResponse)
    case incrementalAlterConfigs(IncrementalAlterConfigsResponse)
    case alterPartition(AlterPartitionResponse)
    case assignReplicasToDirs(AssignReplicasToDirsResponse)
    case electLeaders(ElectLeadersResponse)
    case alterPartitionReassignments(AlterPartitionReassignmentsResponse)
    case listPartitionReassignments(ListPartitionReassignmentsResponse)
    case allocateProducerIds(AllocateProducerIdsResponse)
    case updateFeatures(UpdateFeaturesResponse)
}

/// Why a request, or one item of it, is refused.
package struct ControllerFailure: Error, Equatable {
    package var code: ErrorCode
    package var message: String?

    package init(_ code: ErrorCode, _ message: String? = nil) {
        self.code = code
        self.message = message
    }
}
