import BrokerConfig
import KafkaWire
import Metadata
import NIOCore
import Replication
import Timing

extension BrokerNode {
    private var heartbeatInterval: Nanoseconds {
        .milliseconds(config.integer("broker.heartbeat.interval.ms"))
    }

    /// Whether requests of clients are served: the controller knows us and has let us in.
    var isServing: Bool { lifecycle.hasSaidReady }

    // MARK: Requests to the controller

    /// Sends a request to the active controller.
    /// - Returns: false if nobody knows who that is.
    @discardableResult
    func askController<Request: KafkaRequest>(
        _ request: Request, version: Int16? = nil, lane: PeerLane = .control,
        timeout: Nanoseconds = .milliseconds(1500), _ outstanding: Outstanding
    ) -> Bool {
        let version = version ?? Request.validVersions.upperBound
        return askController(
            apiKey: Request.apiKey, version: version, body: request.encoded(version: version),
            lane: lane, timeout: timeout, outstanding)
    }

    @discardableResult
    func askController(
        apiKey: Int16, version: Int16, body: ByteBuffer, lane: PeerLane, timeout: Nanoseconds,
        _ outstanding: Outstanding
    ) -> Bool {
        guard let id = controllerID, let voter = config.voters.first(where: { $0.id == id }) else {
            return false
        }
        send(
            to: id, host: voter.host, port: voter.port, lane: lane, apiKey: apiKey,
            version: version, body: body, timeout: timeout, outstanding)
        return true
    }

    func send(
        to node: Int32, host: String, port: UInt16, lane: PeerLane, apiKey: Int16,
        version: Int16, body: ByteBuffer, timeout: Nanoseconds, _ what: Outstanding
    ) {
        let id = nextRequest
        nextRequest += 1
        outstanding[id] = what
        emit(
            .send(
                PeerRequest(
                    id: id, node: node, host: host, port: port, lane: lane, apiKey: apiKey,
                    version: version, body: body, timeout: timeout)))
    }

    /// Another controller leads, or none does.
    package func controllerChanged(_ id: Int32?, now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        guard id != controllerID else { return }
        controllerID = id
        // A new controller gives every broker a session of full length, but the sooner it hears
        // of us the sooner it is sure.
        if id != nil, lifecycle.state != .ended { lifecycle.nextAttempt = self.now }
    }

    // MARK: Registration and heartbeats

    func advanceLifecycle() {
        if let due = lifecycle.storageDeadline, due <= now { return endWithoutStorage() }
        if let due = lifecycle.registrationDeadline, due <= now { return giveUpRegistration() }
        guard let due = lifecycle.nextAttempt, due <= now else { return }
        switch lifecycle.state {
        case .unregistered: register()
        case .registering, .ended: lifecycle.nextAttempt = nil
        case .registered, .shuttingDown: heartbeat()
        }
    }

    private func register() {
        lifecycle.nextAttempt = now + heartbeatInterval
        var request = BrokerRegistrationRequest(
            brokerId: config.nodeID, clusterId: identity.clusterID,
            incarnationId: identity.incarnation)
        request.listeners = advertisedEndpoints.map {
            .init(name: $0.name, host: $0.host, port: $0.port, securityProtocol: 0)
        }
        request.features = SupportedFeature.ours.map {
            .init(
                name: $0.name, minSupportedVersion: $0.range.lowest,
                maxSupportedVersion: $0.range.highest)
        }
        request.rack = config.rack
        request.logDirs = [identity.directoryID]
        request.previousBrokerEpoch = lifecycle.previousEpoch
        if askController(request, .registration) {
            lifecycle.state = .registering
            lifecycle.nextAttempt = nil
        }
    }

    func registered(_ response: BrokerRegistrationResponse?) {
        guard lifecycle.state == .registering else { return }
        guard let response else {
            lifecycle.state = .unregistered
            lifecycle.nextAttempt = now + .milliseconds(50)
            return
        }
        switch response.errorCode {
        case .none:
            lifecycle.state = .registered
            lifecycle.epoch = response.brokerEpoch
            lifecycle.isFenced = true
            lifecycle.lastRefusal = nil
            lifecycle.registrationDeadline = nil
            lifecycle.nextAttempt = now
            registeredUnder(epoch: response.brokerEpoch)
            actIfCaughtUp()
            say(
                .info, "registered with epoch \(response.brokerEpoch)",
                about: LogSubject(epoch: response.brokerEpoch))
        case .inconsistentClusterId:
            fail(
                "the controllers belong to another cluster than \(logs.path), which was "
                    + "formatted for \(identity.clusterID); check controller.quorum.voters and "
                    + "log.dir")
        default:
            lifecycle.lastRefusal = response.errorCode
            let reason = explain(response.errorCode)
            // Right after an election that is no news.
            let level = response.errorCode == .notController ? NodeLog.Level.debug : .warning
            if reminders.isDue(reason, now) { say(level, reason) }
            lifecycle.state = .unregistered
            lifecycle.nextAttempt = now + .milliseconds(100)
        }
    }

    /// As Kafka: a broker that was never let in ends, so that who started it hears of it.
    private func giveUpRegistration() {
        let limit = config.integer("initial.broker.registration.timeout.ms")
        let voters = config.voters.map { "\($0.id) at \($0.host):\($0.port)" }
        let reason =
            lifecycle.lastRefusal.map(explain)
            ?? "no controller that leads can be reached. controller.quorum.voters has "
            + "\(voters.joined(separator: ", ")): a majority of them must run and reach each "
            + "other, and this broker the one that leads"
        fail(
            "this broker was not registered within \(limit) ms "
                + "(initial.broker.registration.timeout.ms): \(reason)")
    }

    private func explain(_ error: ErrorCode) -> String {
        switch error {
        case .duplicateBrokerRegistration:
            "another broker with node.id \(config.nodeID) is running, or ended a moment ago: its "
                + "session must end before this one is let in"
        case .unsupportedVersion:
            "the cluster is at a metadata version that this broker does not know"
        case .notController: "the controller that this broker knew does not lead any more"
        default: "the controller does not register this broker: \(error)"
        }
    }

    private func heartbeat() {
        lifecycle.nextAttempt = now + heartbeatInterval
        // A controller that has fallen silent must not keep its successor waiting: the session
        // that the new one gives us may be over before the old one is given up.
        guard let controllerID, lifecycle.heartbeatUnderWay != controllerID else { return }
        var request = BrokerHeartbeatRequest(
            brokerId: config.nodeID, brokerEpoch: lifecycle.epoch,
            currentMetadataOffset: cluster.replay.nextOffset - 1)
        request.wantFence = false
        request.wantShutDown = lifecycle.state == .shuttingDown
        request.offlineLogDirs = logs.isOffline ? [identity.directoryID] : []
        lifecycle.hasToldOffline = logs.isOffline
        let isAsked = askController(
            request, timeout: .milliseconds(config.integer("broker.session.timeout.ms") * 2 / 3),
            .heartbeat(controller: controllerID))
        lifecycle.heartbeatUnderWay = isAsked ? controllerID : nil
    }

    func heartbeatAnswered(by controller: Int32, _ response: BrokerHeartbeatResponse?) {
        // Another has been asked since: what an earlier one knows is no news.
        guard lifecycle.heartbeatUnderWay == controller else { return }
        lifecycle.heartbeatUnderWay = nil
        if lifecycle.hasToldOffline, response?.errorCode == ErrorCode.none {
            return endWithoutStorage()
        }
        if logs.isOffline { lifecycle.nextAttempt = now }
        guard lifecycle.state == .registered || lifecycle.state == .shuttingDown else { return }
        guard let response else {
            lifecycle.nextAttempt = now + .milliseconds(50)
            return
        }
        switch response.errorCode {
        case .none:
            lifecycle.isFenced = response.isFenced
            if !response.isFenced, !lifecycle.hasSaidReady {
                becomeReadyIfWhole()
            } else if response.isFenced, !response.isCaughtUp {
                lifecycle.nextAttempt = now + .milliseconds(20)
            }
            if response.shouldShutDown, lifecycle.state == .shuttingDown { endShutDown() }
        case .staleBrokerEpoch, .brokerIdNotRegistered:
            // Registered over, or removed: begin again as a new incarnation of the registration.
            say(
                .warning,
                "the controller no longer knows this broker's registration, which was replaced or "
                    + "removed: it registers again")
            lifecycle.previousEpoch = lifecycle.epoch
            if lifecycle.state == .shuttingDown { return endShutDown() }
            lifecycle.state = .unregistered
            lifecycle.epoch = -1
            lifecycle.nextAttempt = now
        default:
            lifecycle.nextAttempt = now + .milliseconds(50)
        }
    }

    private func endWithoutStorage() {
        lifecycle.storageDeadline = nil
        fail(
            "the log directory \(logs.path) is offline, and this broker has no other: "
                + "\(logs.offlineReason ?? "it failed"). What is in it was left as it is. Mend the "
                + "disk, or make room on it, and start again")
    }

    /// Ready is: let in by the controller, and knowing of it ourselves.
    func becomeReadyIfWhole() {
        guard !lifecycle.hasSaidReady, !lifecycle.isFenced,
            let own = image.brokers[config.nodeID], own.epoch == lifecycle.epoch, !own.fenced
        else { return }
        lifecycle.hasSaidReady = true
        logs.putStraysAside { replicas.replica($0) != nil }
        effects.append(.ready)
    }

    // MARK: Shutdown

    /// SIGTERM: hands leaderships over, then `.stopped`.
    package func shutDown(now: Instant, nowMs: Int64) {
        setTime(now, nowMs)
        guard lifecycle.state != .shuttingDown, lifecycle.state != .ended else { return }
        guard lifecycle.state == .registered, config.flag("controlled.shutdown.enable") else {
            return endShutDown()
        }
        lifecycle.state = .shuttingDown
        lifecycle.registrationDeadline = nil
        lifecycle.nextAttempt = self.now
        lifecycle.shutdownDeadline = self.now + .seconds(5)
    }

    func endShutDown() {
        guard lifecycle.state != .ended else { return }
        lifecycle.state = .ended
        lifecycle.registrationDeadline = nil
        lifecycle.nextAttempt = nil
        lifecycle.shutdownDeadline = nil
        emit(.stopped)
    }
}
