import BrokerConfig
import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Raft
import Timing

extension QuorumNode {
    static func controllerConfig(
        _ config: BrokerConfig, _ identity: NodeIdentity
    ) -> ControllerConfig {
        var result = ControllerConfig(
            nodeId: config.nodeID, clusterId: identity.clusterID,
            quorumIds: config.voters.map(\.id))
        result.defaultPartitions = Int32(clamping: config.integer("num.partitions"))
        result.defaultReplicationFactor = Int16(
            clamping: config.integer("default.replication.factor"))
        result.deleteTopicsEnabled = config.flag("delete.topic.enable")
        result.heartbeatInterval = .milliseconds(config.integer("broker.heartbeat.interval.ms"))
        result.sessionTimeout = .milliseconds(config.integer("broker.session.timeout.ms"))
        result.leaderBalanceInterval =
            config.flag("auto.leader.rebalance.enable")
            ? .seconds(config.integer("leader.imbalance.check.interval.seconds")) : nil
        result.topicProperties = ConfigTables.topic
        result.brokerProperties = ConfigTables.broker
        result.fileConfigs = ConfigTables.withSynonyms(config.given)
        return result
    }

    // MARK: The controller's effects

    func stepController(_ event: ControllerEvent) {
        guard let controller, !hasFailed else { return }
        for effect in controller.step(event, now: now) {
            switch effect {
            case .append(let records, let baseOffset, let epoch):
                propose(records, baseOffset: baseOffset, epoch: epoch)
            case .reply(let token, let response):
                guard let address = controllerReplies.removeValue(forKey: token) else { continue }
                effects.append(.node(.reply(address.token, address.pieces(response))))
            case .activated(let epoch):
                say(
                    .info, "the controller is active in epoch \(epoch)",
                    about: LogSubject(epoch: epoch))
            case .resign(let epoch, let reason):
                say(.error, "the controller gives up: \(reason)")
                carryOut(raft.step(.resign(epoch: epoch), now: now))
            case .notice(let notice):
                // Whoever is refused asks again ten times a second.
                if case .registrationRefused(let id, let code, _) = notice,
                    !contacts.reminders.isDue("registration \(id) \(code)", now)
                {
                    continue
                }
                say(notice.level, "\(notice)", about: notice.subject)
            }
        }
    }

    private func propose(_ records: [MetadataRecord], baseOffset: Int64, epoch: Int32) {
        guard raft.isLeader, raft.epoch == epoch else { return }
        let version = controller?.image.metadataVersion ?? .newest
        var builder = RecordBatchBuilder()
        for record in records {
            builder.append(key: nil, value: record.encoded(for: version), timestamp: nowMs)
        }
        let batch: ByteBuffer
        do {
            batch = try builder.build()
        } catch {
            return fail("a metadata batch cannot be made: \(error)")
        }
        let token = nextToken
        nextToken += 1
        proposals[token] = baseOffset
        carryOut(raft.step(.propose(batch, token: token), now: now))
    }

    /// The controller has decided on the strength of its offsets: a batch that landed elsewhere, or
    /// nowhere, means that its picture is not the log's.
    func proposed(_ token: UInt64, _ result: ProposalResult) {
        guard let expected = proposals.removeValue(forKey: token) else { return }
        switch result {
        case .appended(let baseOffset, _, _) where baseOffset == expected: break
        case .appended(let baseOffset, _, let epoch):
            say(.error, "a metadata batch meant for offset \(expected) got \(baseOffset)")
            carryOut(raft.step(.resign(epoch: epoch), now: now))
        case .refused(.notLeader): break
        case .refused(let refusal):
            say(.error, "a metadata batch was refused: \(refusal.words)")
            carryOut(raft.step(.resign(epoch: raft.epoch), now: now))
        }
    }

    /// After losing the lead the controller is back at what was committed, and follows again.
    func catchControllerUp() {
        guard let controller, !controller.isActive, controller.nextOffset < handedOn else { return }
        do throws(NodeStartError) {
            // A snapshot may stand in for the log only where no transaction is open in it.
            if controller.nextOffset < log.startOffset, follower.isWhole {
                stepController(.snapshot(follower.image, nextOffset: follower.nextOffset))
                return
            }
            while controller.nextOffset < handedOn {
                let batches = try log.records(from: controller.nextOffset, before: handedOn)
                guard let last = batches.last, last.nextOffset > controller.nextOffset else {
                    break
                }
                for batch in batches where batch.nextOffset > controller.nextOffset {
                    stepController(.committed(batch.records, nextOffset: batch.nextOffset))
                }
            }
        } catch {
            fail(error.description)
        }
    }

    // MARK: Requests

    func serve(_ frame: RequestFrame, _ token: ReplyToken) throws(WireError) {
        let address = ReplyAddress(
            token: token, apiKey: frame.apiKey, version: frame.version,
            correlationId: frame.correlationId)
        if frame.apiKey == ApiVersionsRequest.apiKey {
            let (response, version) = ServedAPIs.controller.answer(toVersion: frame.version)
            reply(address, address.pieces(response, version: version))
            return
        }
        requestKind = RequestKind(apiKey: frame.apiKey)
        guard let api = ServedAPIs.controller[frame.apiKey], api.served.contains(frame.version)
        else {
            effects.append(
                .node(
                    .close(
                        connection: token.connection,
                        reason: "a request that controllers do not serve: API key "
                            + "\(frame.apiKey), version \(frame.version)")))
            return
        }
        if let quorum = try QuorumRequestReader.read(frame) {
            serve(quorum, address)
            return
        }
        if frame.apiKey == DescribeClusterRequest.apiKey {
            reply(address, address.pieces(describeControllers()))
            return
        }
        guard let request = try ControllerRequest.read(frame) else {
            throw WireError.unsupportedVersion(message: "\(frame.apiKey)", version: frame.version)
        }
        if case .brokerHeartbeat(let heartbeat) = request {
            heartbeatConnections[token.connection] = heartbeat.brokerId
        }
        let controllerToken = ControllerToken(nextToken)
        nextToken += 1
        controllerReplies[controllerToken] = address
        guard controller != nil else { return }
        stepController(.request(controllerToken, request))
    }

    private func serve(_ request: QuorumRequest, _ address: ReplyAddress) {
        switch request {
        case .refused(let error):
            if let pieces = responseWriter.refusal(error, to: address) { reply(address, pieces) }
        case .raft(let request):
            let token = nextToken
            nextToken += 1
            raftReplies[token] = address
            carryOut(raft.step(.request(request, token: token), now: now))
        }
    }

    private func reply(_ address: ReplyAddress, _ pieces: [Piece]) {
        effects.append(.node(.reply(address.token, pieces)))
    }

    private func describeControllers() -> DescribeClusterResponse {
        DescribeClusterResponse(
            endpointType: 2, clusterId: identity.clusterID, controllerId: raft.leaderID ?? -1,
            brokers: config.voters.map {
                .init(brokerId: $0.id, host: $0.host, port: Int32($0.port))
            })
    }
}

extension ControllerNotice {
    fileprivate var level: NodeLog.Level {
        switch self {
        case .lastKnownLeader: .warning
        case .uncleanLeader, .noLeader: .error
        case .brokerFenced, .directoriesOffline, .stalled, .registrationRefused: .warning
        default: .info
        }
    }

    fileprivate var subject: LogSubject {
        switch self {
        case .brokerRegistered(let id, let epoch, _):
            var subject = LogSubject(epoch: epoch)
            subject.broker = id
            return subject
        case .registrationRefused(let id, _, _), .brokerFenced(let id, _), .brokerUnfenced(let id),
            .shutdownStarted(let id), .shutdownGranted(let id), .directoriesOffline(let id, _):
            return LogSubject(broker: id)
        case .stalled: return LogSubject()
        case .lastKnownLeader(let topic, let partition, let leader),
            .uncleanLeader(let topic, let partition, let leader):
            return LogSubject(broker: leader, topic: topic, partition: partition)
        case .noLeader(let topic, let partition):
            return LogSubject(topic: topic, partition: partition)
        }
    }
}
