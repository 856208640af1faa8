import BrokerConfig
import CommitLog
import KafkaWire
import Metadata
import NIOCore
import Raft
import Timing

/// What a metadata update tells the broker beside it, or a standby: everything up to an offset.
package struct MetadataUpdate: Sendable {
    /// Set when a snapshot took the place of what was known: the image as of `nextOffset`.
    package var image: MetadataImage?
    /// Committed records in order, each with the offset after it.
    package var records: [MetadataRecord]
    package var nextOffset: Int64

    package init(image: MetadataImage?, records: [MetadataRecord], nextOffset: Int64) {
        self.image = image
        self.records = records
        self.nextOffset = nextOffset
    }
}

package enum QuorumEffect {
    case node(NodeEffect)
    /// For the broker in the same process.
    case metadata(MetadataUpdate)
    case leader(id: Int32?, epoch: Int32)
    /// The active controller knows this one, which has read so itself: it has caught up.
    case ready
}

/// The metadata quorum's part of a node: a voter with its controller, or a broker's observer.
///
/// Stepped like everything pure: frames and times go in, effects come out and are carried out in
/// order. Only the metadata log and the quorum's state are written directly, through `Disk`,
/// because nothing may be said before they are.
package final class QuorumNode: SteppedNode {
    let config: BrokerConfig
    let identity: NodeIdentity
    let log: MetadataLog
    let stateFile: QuorumStateFile
    let raft: RaftNode
    var controller: Controller?
    /// Requests that wait for the controller, by its token.
    var controllerReplies: [ControllerToken: ReplyAddress] = [:]
    /// Batches the controller wanted appended, by Raft's token, with the offset each must get.
    var proposals: [UInt64: Int64] = [:]
    /// Which broker's heartbeats come on which connection.
    var heartbeatConnections: [UInt64: Int32] = [:]
    var now: Instant
    /// The same for the metadata log, which stamps its batches.
    private let clock: WallClockReading
    var nowMs: Int64 {
        get { clock.nowMs }
        set { clock.nowMs = newValue }
    }

    /// Requests that wait for Raft, by Raft's token.
    var raftReplies: [UInt64: ReplyAddress] = [:]
    var nextToken: UInt64 = 1
    /// Requests sent to other nodes: Raft's id of each by ours.
    var sent: [UInt64: (raftID: UInt64, to: Int32, apiKey: Int16, version: Int16)] = [:]
    var nextRequest: UInt64 = 1
    var registration = ControllerRegistrationState()
    private var hasSaidReady = false
    /// Committed records up to here have been read and handed on.
    var handedOn: Int64
    var follower = MetadataFollower()
    package internal(set) var requestKind: RequestKind?
    /// Where the records begin that this controller has made: those before are not its elections.
    private var leadsFrom: Int64?
    var hasFailed = false
    var contacts: VoterContacts
    var effects: [QuorumEffect] = []

    package init(
        config: BrokerConfig, identity: NodeIdentity, disk: any Disk, metadataLog: PartitionLog,
        seed: UInt64, now: Instant, nowMs: Int64, canary: RaftCanary? = nil
    ) throws(NodeStartError) {
        self.config = config
        self.identity = identity
        self.now = now
        contacts = VoterContacts(now: now)
        let clock = WallClockReading(nowMs)
        self.clock = clock
        log = try MetadataLog(log: metadataLog, disk: disk, nowMs: { clock.nowMs })
        stateFile = QuorumStateFile(directory: log.path, disk: disk)
        let election: ElectionState
        do {
            election = try stateFile.read()
        } catch {
            throw NodeStartError("\(error)")
        }
        raft = RaftNode(
            configuration: Self.configuration(config, identity), log: log, election: election,
            seed: seed, now: now, canary: canary)
        handedOn = 0
        if config.isController {
            controller = Controller(
                config: Self.controllerConfig(config, identity), seed: seed &+ 1)
        }
        try loadSnapshot()
        carryOut(raft.step(.timer, now: now))
    }

    /// The metadata log lets go of whole segments only, so they are small; and of nothing that no
    /// snapshot covers, however old it is.
    package static func logConfig(_ config: BrokerConfig) -> LogConfig {
        var result = LogConfig()
        result.segmentBytes = Int(config.integer("metadata.log.segment.bytes"))
        result.retentionMs = -1
        result.retentionBytes = -1
        return result
    }

    private static func configuration(
        _ config: BrokerConfig, _ identity: NodeIdentity
    ) -> RaftConfiguration {
        var timing = RaftTiming()
        func milliseconds(_ name: String) -> Nanoseconds? {
            config.given[name] == nil ? nil : .milliseconds(config.integer(name))
        }
        timing.electionTimeout =
            milliseconds("controller.quorum.election.timeout.ms") ?? timing.electionTimeout
        timing.electionBackoffMax =
            milliseconds("controller.quorum.election.backoff.max.ms") ?? timing.electionBackoffMax
        timing.requestTimeout =
            milliseconds("controller.quorum.request.timeout.ms") ?? timing.requestTimeout
        if let fetch = milliseconds("controller.quorum.fetch.timeout.ms") {
            timing.fetchTimeout = fetch
            timing.fetchTimeoutJitter = Nanoseconds(fetch.count / 4)
            timing.fetchMaxWait = Nanoseconds(fetch.count / 4)
        }
        return RaftConfiguration(
            nodeID: config.nodeID,
            directoryID: DirectoryID(
                high: identity.metadataDirectoryID.high, low: identity.metadataDirectoryID.low),
            clusterID: identity.clusterID, voters: VoterSet(ids: config.voters.map(\.id)),
            timing: timing)
    }

    package var leaderID: Int32? { raft.leaderID }
    package var isLeader: Bool { raft.isLeader }
    package var epoch: Int32 { raft.epoch }
    package var highWatermark: Int64 { raft.highWatermark }
    package var roleName: String { raft.roleName }
    package var image: MetadataImage { follower.image }

    package func takeEffects() -> [QuorumEffect] {
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package static func common(_ effect: QuorumEffect) -> NodeEffect? {
        if case .node(let effect) = effect { effect } else { nil }
    }

    // MARK: Events

    package func connectionOpened(_ connection: ConnectionInfo) {}

    package func receive(
        _ frame: ByteBuffer, token: ReplyToken, now: Instant, nowMs: Int64
    ) {
        setTime(now, nowMs)
        requestKind = nil
        do {
            try serve(RequestFrame(frame), token)
        } catch {
            effects.append(
                .node(.close(connection: token.connection, reason: "malformed request: \(error)")))
        }
    }

    package func connectionClosed(_ connection: UInt64, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        let orphans = raftReplies.filter { $0.value.token.connection == connection }.keys.sorted()
        for token in orphans {
            raftReplies[token] = nil
            carryOut(raft.step(.cancelled(token: token), now: self.now))
        }
        if let broker = heartbeatConnections.removeValue(forKey: connection) {
            stepController(.brokerConnectionLost(broker))
        }
    }

    /// What became of a request this node had sent: its body, or nil if there is no answer.
    package func peerReplied(
        _ id: UInt64, _ body: ByteBuffer?, now: Instant, nowMs: Int64
    ) {
        setTime(now, nowMs)
        if id == registration.request { return registrationAnswered(body) }
        if let voter = contacts.questions.removeValue(forKey: id) {
            let version = DescribeClusterRequest.validVersions.upperBound
            return strangerAnswered(
                voter, body.flatMap { try? DescribeClusterResponse($0, version: version) })
        }
        guard let request = sent.removeValue(forKey: id) else { return }
        guard let body,
            let response =
                (try? QuorumResponseReader.read(
                    apiKey: request.apiKey, version: request.version, body)).flatMap({ $0 })
        else {
            carryOut(raft.step(.sendFailed(requestID: request.raftID), now: self.now))
            return
        }
        carryOut(
            raft.step(
                .response(response, from: request.to, requestID: request.raftID), now: self.now))
        heard(response, from: request.to)
    }

    package func peerFailed(_ id: UInt64, _ reason: String, now: Instant, nowMs: Int64) {
        if let request = sent[id] { contacts.failures[request.to] = reason }
        peerReplied(id, nil, now: now, nowMs: nowMs)
    }

    /// To be called at the end of every burst of events and when `nextDeadline` has come.
    package func settle(now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        // Bounded: what is due again at once is due again in the next call.
        for _ in 0..<8 {
            guard let deadline = nextDeadline, deadline <= self.now else { break }
            if let raftDeadline = raft.nextDeadline, raftDeadline <= self.now {
                carryOut(raft.step(.timer, now: self.now))
            }
            if let due = controller?.nextDeadline, due <= self.now { stepController(.tick) }
        }
        registerIfDue()
        complainIfAlone()
    }

    package var nextDeadline: Instant? {
        guard !hasFailed else { return nil }
        let deadlines = [
            raft.nextDeadline, controller?.nextDeadline, registration.due,
            raft.isLeader ? nil : contacts.nextLine,
        ]
        return deadlines.compactMap { $0 }.min()
    }

    package func shutDown(now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        carryOut(raft.step(.shutDown(timeout: .seconds(1)), now: self.now))
    }

    func setTime(_ now: Instant, _ nowMs: Int64) {
        self.now = max(self.now, now)
        self.nowMs = nowMs
    }

    // MARK: Raft's effects

    func carryOut(_ raftEffects: [RaftEffect]) {
        for effect in raftEffects { carryOut(effect) }
    }

    private func carryOut(_ effect: RaftEffect) {
        guard !hasFailed else { return }
        switch effect {
        case .persist(let state):
            do {
                try stateFile.write(state)
            } catch {
                fail("cannot write down whom this controller voted for: \(error)")
            }
        case .send(let request, let to, let requestID): send(request, to: to, requestID)
        case .reply(let response, let token):
            guard let address = raftReplies.removeValue(forKey: token) else { return }
            effects.append(
                .node(.reply(address.token, responseWriter.pieces(response, to: address))))
        case .leaderChanged(let leaderID, let epoch):
            effects.append(.leader(id: leaderID, epoch: epoch))
            registration.due = now
            say(
                .notice,
                leaderID.map { "controller \($0) leads in epoch \(epoch)" }
                    ?? "no controller leads in epoch \(epoch)",
                about: LogSubject(epoch: epoch))
        case .becameLeader(let epoch, let startOffset):
            say(
                .notice, "this controller leads in epoch \(epoch)",
                about: LogSubject(epoch: epoch))
            leadsFrom = startOffset
            stepController(.elected(epoch: epoch, logEndOffset: startOffset + 1))
        case .lostLeadership(let epoch):
            say(
                .notice, "this controller does not lead any more in epoch \(epoch)",
                about: LogSubject(epoch: epoch))
            proposals.removeAll()
            leadsFrom = nil
            stepController(.resigned)
            catchControllerUp()
        case .proposalResult(let token, let result): proposed(token, result)
        case .committed(let offset): handOn(upTo: offset)
        case .truncated: break
        case .snapshotInstalled:
            do throws(NodeStartError) {
                try loadSnapshot()
            } catch {
                fail(error.description)
            }
        case .warning(let warning): warn(warning)
        case .halted(let error):
            fail(
                "the metadata log failed: \(error.words). What is in it was left as it is. Mend "
                    + "the disk, or make room on it, and start again")
        case .shutDownComplete: effects.append(.node(.stopped))
        }
    }

    private func send(_ request: RaftRequest, to: Int32, _ raftID: UInt64) {
        guard let voter = config.voters.first(where: { $0.id == to }) else {
            carryOut(raft.step(.sendFailed(requestID: raftID), now: now))
            return
        }
        let encoded = QuorumRequestWriter.write(request, to: to)
        let id = nextRequest
        nextRequest += 1
        sent[id] = (raftID, to, encoded.apiKey, encoded.version)
        var wait = raft.configuration.timing.requestTimeout
        var lane = PeerLane.quorum
        switch request {
        case .fetch(let fetch):
            wait = wait + fetch.maxWait
            lane = .metadata
        case .fetchSnapshot: lane = .metadata
        default: break
        }
        effects.append(
            .node(
                .send(
                    PeerRequest(
                        id: id, node: to, host: voter.host, port: voter.port, lane: lane,
                        apiKey: encoded.apiKey, version: encoded.version, body: encoded.body,
                        timeout: wait))))
    }

    var responseWriter: QuorumResponseWriter {
        QuorumResponseWriter(
            nodes: config.voters.map { voter in
                .init(
                    nodeId: voter.id,
                    listeners: [
                        .init(
                            name: config.controllerListenerNames.first ?? "CONTROLLER",
                            host: voter.host, port: voter.port)
                    ])
            }, nowMs: nowMs)
    }

    // MARK: Committed records

    private func loadSnapshot() throws(NodeStartError) {
        guard let id = log.latestSnapshot, id.offset > handedOn else { return }
        let image = try log.image(of: id)
        handedOn = id.offset
        follower.reset(to: image, nextOffset: id.offset)
        stepController(.snapshot(image, nextOffset: id.offset))
        effects.append(
            .metadata(MetadataUpdate(image: image, records: [], nextOffset: id.offset)))
    }

    private func handOn(upTo offset: Int64) {
        do throws(NodeStartError) {
            while handedOn < offset {
                let batches = try log.records(from: handedOn, before: offset)
                guard !batches.isEmpty else { break }
                for batch in batches where batch.nextOffset > handedOn {
                    handedOn = batch.nextOffset
                    try follower.apply(
                        batch.records, nextOffset: batch.nextOffset,
                        countsElections: leadsFrom.map { batch.nextOffset > $0 } ?? false)
                    stepController(.committed(batch.records, nextOffset: batch.nextOffset))
                    effects.append(
                        .metadata(
                            MetadataUpdate(
                                image: nil, records: batch.records, nextOffset: batch.nextOffset)))
                }
            }
            if !hasSaidReady, config.isController, isRegistered {
                hasSaidReady = true
                effects.append(.ready)
            }
            stepController(.highWatermark(offset))
            try snapshotIfDue()
        } catch {
            fail(error.description)
        }
    }

    private func snapshotIfDue() throws(NodeStartError) {
        let limit = config.integer("metadata.log.max.record.bytes.between.snapshots")
        guard log.bytesSinceSnapshot >= limit, follower.isWhole else { return }
        try log.writeSnapshot(follower.image, nextOffset: handedOn, nowMs: nowMs)
        say(.info, "wrote a snapshot of the metadata up to offset \(handedOn)")
    }
}
