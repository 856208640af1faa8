import KafkaWire
import Timing

/// The active controller, or one that stands by to become it.
///
/// Decides on the state with everything appended, committed or not, and answers when what it wrote
/// is committed: so one decision can rest on another that is still under way. A journal of what was
/// there before lets it go back to what is committed when it loses the leadership.
package final class Controller {
    package enum Role: Equatable, Sendable {
        case standby
        /// Leader of the quorum, with records of earlier epochs still to apply.
        case catchingUp(epoch: Int32, until: Int64)
        case active(epoch: Int32)
    }

    package let config: ControllerConfig
    package internal(set) var role = Role.standby
    var replay: MetadataReplay
    /// Everything below is committed (while active).
    package internal(set) var highWatermark: Int64 = 0
    var sessions = BrokerSessions()
    /// Where each broker's registration stands in the log: a broker that has read that far may be
    /// unfenced.
    var registrationOffsets: [Int32: Int64] = [:]
    var random: SplitMix64
    var effects: [ControllerEffect] = []
    var now = Instant(nanoseconds: 0)
    var timers = ControllerTimers()

    private var journal = Journal()
    private var pending = Queue<PendingReply>()
    /// The offset of the record that ends the transaction that an earlier controller left open.
    private var abortOffset: Int64?
    /// When the shell should have stepped the controller at the latest.
    private var promised: Instant?

    private struct PendingReply {
        var token: ControllerToken
        var request: ControllerRequest
        var response: ControllerResponse
        /// Sent once everything below this is committed.
        var after: Int64
    }

    /// - Parameter seed: random; decides topic ids and ties of placement.
    package init(
        config: ControllerConfig, image: MetadataImage? = nil, nextOffset: Int64 = 0,
        seed: UInt64
    ) {
        self.config = config
        replay = MetadataReplay(
            image: image ?? MetadataImage(limits: config.limits), nextOffset: nextOffset)
        random = SplitMix64(seed: seed)
        for (id, broker) in replay.image.brokers { registrationOffsets[id] = broker.epoch }
    }

    /// The state with all that was appended here; on a standby, all that is committed.
    package var image: MetadataImage { replay.image }

    /// Where the next record goes, or is expected from.
    package var nextOffset: Int64 { replay.nextOffset }

    package var isActive: Bool {
        if case .active = role { true } else { false }
    }

    package var activeEpoch: Int32? {
        if case .active(let epoch) = role { epoch } else { nil }
    }

    /// When to step with `.tick` if nothing else happens before.
    package var nextDeadline: Instant? {
        guard isActive else { return nil }
        let session = sessions.nextExpiry(config: config)
        let timer = timers.next
        guard let session else { return timer }
        guard let timer else { return session }
        return min(session, timer)
    }

    package func step(_ event: ControllerEvent, now: Instant) -> [ControllerEffect] {
        self.now = now
        if isActive { forgiveStall() }
        switch event {
        case .elected(let epoch, let logEndOffset): elected(epoch, logEndOffset)
        case .resigned: standDown()
        case .committed(let records, let nextOffset): follow(records, nextOffset)
        case .snapshot(let image, let nextOffset): load(image, nextOffset)
        case .highWatermark(let offset): commit(below: offset)
        case .logAdvanced(let offset):
            if isActive { replay.nextOffset = max(replay.nextOffset, offset) }
        case .request(let token, let request): handle(token, request)
        case .brokerConnectionLost(let broker):
            if isActive, let registration = image.brokers[broker], !registration.fenced {
                sessions.suspect(broker, now: now)
            }
        case .tick: break
        }
        if isActive { runTimers() }
        promised = nextDeadline
        defer { effects = [] }
        return effects
    }

    // MARK: - Standing by

    private func follow(_ records: [MetadataRecord], _ nextOffset: Int64) {
        guard !isActive, nextOffset > replay.nextOffset else { return }
        var offset = replay.nextOffset
        var changes: [MetadataChange] = []
        do throws(MetadataError) {
            for record in records {
                noteRegistration(record, offset)
                offset += 1
            }
            try replay.replay(records, nextOffset: nextOffset, into: &changes)
        } catch {
            fail("the metadata log cannot be applied at \(replay.nextOffset): \(error)")
            return
        }
        activateIfCaughtUp()
    }

    private func load(_ image: MetadataImage, _ nextOffset: Int64) {
        guard !isActive else { return }
        replay = MetadataReplay(image: image, nextOffset: nextOffset)
        registrationOffsets = image.brokers.mapValues(\.epoch)
        activateIfCaughtUp()
    }

    private func noteRegistration(_ record: MetadataRecord, _ offset: Int64) {
        if case .registerBroker(let r) = record { registrationOffsets[r.brokerId] = offset }
        if case .unregisterBroker(let r) = record { registrationOffsets[r.brokerId] = nil }
    }

    // MARK: - Taking and losing the lead

    private func elected(_ epoch: Int32, _ logEndOffset: Int64) {
        if isActive { standDown() }
        role = .catchingUp(epoch: epoch, until: logEndOffset)
        activateIfCaughtUp()
    }

    private func activateIfCaughtUp() {
        guard case .catchingUp(let epoch, let end) = role, replay.nextOffset >= end else { return }
        let image = replay.image
        guard replay.nextOffset == end else {
            fail("applied up to \(replay.nextOffset), beyond the log's end at \(end)")
            return
        }
        if !image.isEmpty, let flaw = unsupportedFeature(of: image) {
            fail(flaw)
            return
        }
        role = .active(epoch: epoch)
        highWatermark = end
        journal = Journal()
        abortOffset = nil
        promised = nil
        // Every broker gets a whole session before its silence counts.
        sessions = BrokerSessions()
        for (id, broker) in image.brokers { sessions.open(id, fenced: broker.fenced, now: now) }
        timers = ControllerTimers(config: config, now: now)
        effects.append(.activated(epoch: epoch))
        if replay.transactionStart != nil {
            abortOffset = replay.nextOffset
            append([.abortTransaction(.init(reason: "Controller failover"))])
        }
        if image.isEmpty { append(config.bootstrap) }
        if replay.image.electsEligibleReplicas { append(minimumIsrRecords()) }
    }

    private func unsupportedFeature(of image: MetadataImage) -> String? {
        for name in ([FeatureName.metadataVersion] + image.features.keys.sorted()) {
            let level =
                name == FeatureName.metadataVersion
                ? image.metadataVersion.level : image.features[name, default: 0]
            let range = config.supportedFeatures.first { $0.name == name }?.range
            if !(range ?? .init(0, 0)).contains(level) {
                return "the cluster is at level \(level) of \(name); this controller supports"
                    + " \(range?.description ?? "none")"
            }
        }
        return nil
    }

    /// Back to what is committed; whoever waits for the rest has to ask the next controller.
    private func standDown() {
        defer { role = .standby }
        guard isActive else { return }
        journal.takeBack(in: &replay.image)
        replay.nextOffset = highWatermark
        sessions = BrokerSessions()
        timers = ControllerTimers()
        abortOffset = nil
        while let waiting = pending.popFirst() {
            effects.append(.reply(waiting.token, waiting.request.failed(.notController)))
        }
    }

    private func fail(_ reason: String) {
        let epoch: Int32
        switch role {
        case .standby: epoch = -1
        case .catchingUp(let e, _), .active(let e): epoch = e
        }
        standDown()
        effects.append(.resign(epoch: epoch, reason: reason))
    }

    // MARK: - Writing

    /// Appends records as one batch and applies them at once.
    @discardableResult
    func append(_ records: [MetadataRecord]) -> Bool {
        guard let epoch = activeEpoch else { return false }
        guard !records.isEmpty else { return true }
        let base = replay.nextOffset
        var changes: [MetadataChange] = []
        for (index, record) in records.enumerated() {
            do throws(MetadataError) {
                // The end of another controller's transaction changes nothing that was applied.
                if case .abortTransaction = record { continue }
                changes.removeAll(keepingCapacity: true)
                try replay.image.apply(record, into: &changes)
                journal.add(changes, offset: base + Int64(index))
                noteRegistration(record, base + Int64(index))
                noteSession(record)
            } catch {
                journal.takeBack(from: base, in: &replay.image)
                fail("a record of its own cannot be applied: \(error)")
                return false
            }
        }
        replay.nextOffset = base + Int64(records.count)
        timers.appended(now: now, config: config)
        effects.append(.append(records, baseOffset: base, epoch: epoch))
        return true
    }

    private func noteSession(_ record: MetadataRecord) {
        switch record {
        case .registerBroker(let r): sessions.open(r.brokerId, fenced: r.fenced, now: now)
        case .unregisterBroker(let r): sessions.close(r.brokerId)
        case .brokerRegistrationChange(let r) where r.fenced != 0:
            sessions.setFenced(r.brokerId, r.fenced > 0, now: now)
        default: break
        }
    }

    /// Appends records that need not stand or fall together, in batches of bounded size.
    func appendInPieces(_ records: [MetadataRecord]) {
        var rest = records[...]
        while !rest.isEmpty {
            guard append(Array(rest.prefix(config.limits.recordsPerBatch))) else { return }
            rest = rest.dropFirst(config.limits.recordsPerBatch)
        }
    }

    private func commit(below offset: Int64) {
        guard isActive, offset > highWatermark else { return }
        highWatermark = min(offset, replay.nextOffset)
        journal.forget(below: highWatermark)
        if let abort = abortOffset, abort < highWatermark {
            replay.dropTransaction()
            abortOffset = nil
        }
        while let waiting = pending.first, waiting.after <= highWatermark {
            effects.append(.reply(waiting.token, waiting.response))
            pending.removeFirst()
        }
    }

    // MARK: - Requests

    private func handle(_ token: ControllerToken, _ request: ControllerRequest) {
        guard isActive else {
            effects.append(.reply(token, request.failed(.notController)))
            return
        }
        let response: ControllerResponse
        do throws(ControllerFailure) {
            response = try decide(request)
        } catch {
            response = request.failed(error)
        }
        guard isActive else {
            effects.append(.reply(token, request.failed(.notController)))
            return
        }
        // Even an answer that changed nothing may rest on what is not committed yet.
        if replay.nextOffset <= highWatermark {
            effects.append(.reply(token, response))
        } else {
            pending.append(
                .init(
                    token: token, request: request, response: response, after: replay.nextOffset))
        }
    }

    private func decide(
        _ request: ControllerRequest
    ) throws(ControllerFailure) -> ControllerResponse {
        switch request {
        case .brokerRegistration(let r): .brokerRegistration(try registerBroker(r))
        case .brokerHeartbeat(let r): .brokerHeartbeat(try heartbeat(r))
        case .unregisterBroker(let r): .unregisterBroker(try unregisterBroker(r))
        case .controllerRegistration(let r): .controllerRegistration(try registerController(r))
        case .createTopics(let r): .createTopics(try createTopics(r))
        case .deleteTopics(let r): .deleteTopics(try deleteTopics(r))
        case .createPartitions(let r): .createPartitions(try createPartitions(r))
        case .alterConfigs(let r): .alterConfigs(try alterConfigs(r))
        case .incrementalAlterConfigs(let r):
            .incrementalAlterConfigs(try incrementalAlterConfigs(r))
        case .alterPartition(let r, let version):
            .alterPartition(try alterPartition(r, version: version))
        case .assignReplicasToDirs(let r): .assignReplicasToDirs(try assignReplicasToDirs(r))
        case .electLeaders(let r): .electLeaders(try electLeaders(r))
        case .alterPartitionReassignments(let r):
            .alterPartitionReassignments(try alterReassignments(r))
        case .listPartitionReassignments(let r): .listPartitionReassignments(listReassignments(r))
        case .allocateProducerIds(let r): .allocateProducerIds(try allocateProducerIds(r))
        case .updateFeatures(let r): .updateFeatures(try updateFeatures(r))
        }
    }

    /// The records of one request are one batch; there is a limit to that.
    func checkRecordCount(_ count: Int) throws(ControllerFailure) {
        guard count <= config.limits.recordsPerRequest else {
            throw .init(
                .policyViolation,
                "The request needs \(count) metadata records, more than the"
                    + " \(config.limits.recordsPerRequest) of one request.")
        }
    }

    func checkBrokerEpoch(_ id: Int32, _ epoch: Int64) throws(ControllerFailure) {
        guard let broker = image.brokers[id] else {
            throw .init(.staleBrokerEpoch, "No broker registration found for broker id \(id)")
        }
        guard broker.epoch == epoch else {
            throw .init(
                .staleBrokerEpoch, "Expected broker epoch \(broker.epoch), but got \(epoch)")
        }
    }

    func notice(_ notice: ControllerNotice) { effects.append(.notice(notice)) }

    // MARK: - Time

    /// If the shell stepped the controller much later than it was to, the process stood still, and
    /// heartbeats that came meanwhile are yet to be read. Brokers get the time to be heard.
    private func forgiveStall() {
        guard let promised, now > promised + config.heartbeatInterval else { return }
        notice(.stalled(milliseconds: (now - promised).count / 1_000_000))
        sessions.forgive(now: now, config: config)
    }

    private func runTimers() {
        expireSessions()
        if timers.isDue(\.balance, now) { balanceLeaders() }
        if timers.isDue(\.uncleanElection, now) {
            timers.uncleanElection = config.uncleanElectionInterval.map { now + $0 }
            electUncleanLeaders()
        }
        if timers.isDue(\.idle, now) { append([.noOp(.init())]) }
    }
}

extension ControllerFailure {
    static let notController = ControllerFailure(
        .notController, "This is not the correct controller for this cluster.")
}
