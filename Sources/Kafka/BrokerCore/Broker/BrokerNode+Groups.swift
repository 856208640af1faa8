import BrokerConfig
import CommitLog
import Groups
import KafkaWire
import Metadata
import NIOCore
import Replication
import Timing

/// A partition of `__consumer_offsets` that this broker leads and has not read yet.
struct GroupLoading {
    var partition: Int32
    var epoch: Int32
    var nextOffset: Int64
    /// Everything committed has been read, and more is in the log.
    var waitsForCommit = false
}

extension BrokerNode {
    static let groupAPIs: Set<Int16> = [
        JoinGroupRequest.apiKey, SyncGroupRequest.apiKey, HeartbeatRequest.apiKey,
        LeaveGroupRequest.apiKey, OffsetCommitRequest.apiKey, OffsetFetchRequest.apiKey,
        OffsetDeleteRequest.apiKey, ListGroupsRequest.apiKey, DescribeGroupsRequest.apiKey,
        DeleteGroupsRequest.apiKey,
    ]

    /// Of `__consumer_offsets` read in one step.
    private static let loadBytes = 1 << 20

    func serveGroup(_ frame: RequestFrame, _ address: ReplyAddress) throws(WireError) {
        var waiting = GroupReply(address: address)
        let request: GroupRequest
        switch frame.apiKey {
        case JoinGroupRequest.apiKey: request = .joinGroup(try frame.decode())
        case SyncGroupRequest.apiKey: request = .syncGroup(try frame.decode())
        case HeartbeatRequest.apiKey: request = .heartbeat(try frame.decode())
        case LeaveGroupRequest.apiKey: request = .leaveGroup(try frame.decode())
        case OffsetCommitRequest.apiKey:
            let commit = known(try frame.decode(OffsetCommitRequest.self), &waiting)
            if commit.topics.isEmpty {
                // The coordinator is asked for nothing, and Kafka does not either.
                return reply(waiting, .offsetCommit(OffsetCommitResponse()))
            }
            request = .offsetCommit(commit)
        case OffsetFetchRequest.apiKey:
            request = .offsetFetch(named(try frame.decode(), &waiting))
        case OffsetDeleteRequest.apiKey:
            request = .offsetDelete(known(try frame.decode(), &waiting))
        case ListGroupsRequest.apiKey: request = .listGroups(try frame.decode())
        case DescribeGroupsRequest.apiKey: request = .describeGroups(try frame.decode())
        case DeleteGroupsRequest.apiKey: request = .deleteGroups(try frame.decode())
        default: return
        }
        let token = nextGroupToken
        nextGroupToken += 1
        groupReplies[token] = waiting
        let host = connections[address.token.connection]?.host ?? ""
        stepGroups(
            .request(
                token: token, request,
                GroupClient(
                    version: frame.version, clientId: frame.clientId ?? "", host: "/" + host)))
    }

    func stepGroups(_ event: GroupEvent) {
        for effect in groups.step(event, now: now, wallMs: nowMs) {
            switch effect {
            case .append(let partition, let batch, let token):
                let appendToken = nextAppendToken
                nextAppendToken += 1
                groupAppends[appendToken] = token
                replicas.append(
                    batch, to: TopicPartition(TopicName.consumerOffsets, partition),
                    // The coordinator has its own deadline for answers; that the batch is
                    // committed it wants to know however long it takes.
                    timeout: .seconds(86_400), token: AppendToken(appendToken))
            case .reply(let token, let response):
                guard let waiting = groupReplies.removeValue(forKey: token) else { continue }
                reply(waiting, response)
            }
        }
    }

    private func reply(_ waiting: GroupReply, _ response: GroupResponse) {
        let address = waiting.address
        switch response {
        case .joinGroup(let response): reply(address, response)
        case .syncGroup(let response): reply(address, response)
        case .heartbeat(let response): reply(address, response)
        case .leaveGroup(let response): reply(address, response)
        case .offsetCommit(let response): reply(address, whole(response, waiting))
        case .offsetFetch(let response): reply(address, identified(response, waiting))
        case .offsetDelete(let response): reply(address, whole(response, waiting))
        case .listGroups(let response): reply(address, response)
        case .describeGroups(let response): reply(address, response)
        case .deleteGroups(let response): reply(address, response)
        }
    }

    /// A batch of the coordinator was committed, or refused. One that is in the log and not
    /// committed is neither: it is decided when the replicas come back or the partition is lost.
    func coordinatorAppended(_ token: UInt64, _ error: ErrorCode, isInLog: Bool) {
        if error == .none {
            stepGroups(.appended(token: token, .committed))
        } else if !isInLog {
            stepGroups(.appended(token: token, .refused(error)))
        }
    }

    // MARK: Leading partitions of __consumer_offsets

    func leadershipChanged(_ partition: TopicPartition, _ epoch: Int32?) {
        guard partition.topic == TopicName.consumerOffsets else { return }
        let index = partition.partition
        loading.removeAll { $0.partition == index }
        if let epoch {
            stepGroups(.partitionLed(index, epoch: epoch))
            let start = replicas.replica(partition)?.log?.logStartOffset ?? 0
            loading.append(GroupLoading(partition: index, epoch: epoch, nextOffset: start))
        } else {
            stepGroups(.partitionLost(index, epoch: .max))
        }
    }

    /// Reads on in the partitions that are being loaded: a slice of each in every step, so that
    /// others are served meanwhile.
    ///
    /// Only what is committed is read, and the coordinator serves once that is all that was there
    /// when its leadership began: anything else could still be taken back, and anything less may
    /// have been acknowledged by the leader before.
    func loadGroups() {
        guard !loading.isEmpty else { return }
        var rest: [GroupLoading] = []
        let round = loading
        loading = []
        for var item in round {
            let partition = TopicPartition(TopicName.consumerOffsets, item.partition)
            guard let replica = replicas.replica(partition), let log = replica.log else { continue }
            do {
                let bytes = try log.readBytes(
                    from: max(item.nextOffset, log.logStartOffset), maxBytes: Self.loadBytes,
                    before: replica.highWatermark, atLeastOneBatch: true)
                guard let next = try BatchEnd.nextOffset(after: bytes) else {
                    if replica.highWatermark >= log.logEndOffset {
                        stepGroups(.loadFinished(item.partition, epoch: item.epoch))
                    } else {
                        item.waitsForCommit = true
                        rest.append(item)
                    }
                    continue
                }
                stepGroups(.loadRecords(item.partition, epoch: item.epoch, bytes))
                item.nextOffset = next
                item.waitsForCommit = false
                rest.append(item)
            } catch {
                say(
                    .error, "\(partition) cannot be read: \(error)", about: LogSubject(partition))
                stepGroups(.partitionLost(item.partition, epoch: item.epoch))
            }
        }
        loading = rest + loading
    }

    // MARK: FindCoordinator

    func findCoordinator(_ request: FindCoordinatorRequest, _ address: ReplyAddress) {
        let keys = address.version >= 4 ? request.coordinatorKeys : [request.key]
        let found = keys.map { coordinator($0, type: request.keyType, address) }
        var response = FindCoordinatorResponse()
        if address.version >= 4 {
            response.coordinators = found
        } else if let first = found.first {
            response.errorCode = first.errorCode
            response.errorMessage = first.errorMessage
            response.nodeId = first.nodeId
            response.host = first.host
            response.port = first.port
        }
        reply(address, response)
    }

    private func coordinator(
        _ key: String, type: Int8, _ address: ReplyAddress
    ) -> FindCoordinatorResponse.Coordinator {
        var result = FindCoordinatorResponse.Coordinator(
            key: key, nodeId: -1, host: "", port: -1, errorMessage: nil)
        guard type == 0 else {
            // librdkafka asks for ever after any other refusal.
            result.errorCode = type == 1 ? .transactionalIdAuthorizationFailed : .invalidRequest
            result.errorMessage =
                type == 1
                ? "transactions are not supported" : "there are no coordinators of type \(type)"
            return result
        }
        guard let topic = image.topic(named: TopicName.consumerOffsets) else {
            // Before the metadata is current it may only seem not to be there.
            if isActing { createOffsetsTopic() }
            result.errorCode = .coordinatorNotAvailable
            return result
        }
        let index = GroupCoordinator.partition(
            forGroup: key, count: Int32(topic.partitionCount))
        guard let partition = topic[index], partition.hasLeader,
            let endpoint = view(address.token.connection).endpoint(of: partition.leader)
        else {
            result.errorCode = .coordinatorNotAvailable
            return result
        }
        result.nodeId = partition.leader
        result.host = endpoint.host
        result.port = Int32(endpoint.port)
        return result
    }
}
