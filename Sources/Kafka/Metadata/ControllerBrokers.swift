import KafkaWire
import Timing

// Registration, and what takes a broker out of service and back.

extension Controller {
    // MARK: - Registration

    func registerBroker(
        _ request: BrokerRegistrationRequest
    ) throws(ControllerFailure) -> BrokerRegistrationResponse {
        do throws(ControllerFailure) {
            return try acceptBroker(request)
        } catch {
            // The response has no room for the reason, so it is told here.
            notice(
                .registrationRefused(request.brokerId, error.code, error.message ?? "no reason"))
            throw error
        }
    }

    private func acceptBroker(
        _ request: BrokerRegistrationRequest
    ) throws(ControllerFailure) -> BrokerRegistrationResponse {
        guard request.clusterId == config.clusterId else {
            throw .init(
                .inconsistentClusterId,
                "Expected cluster ID \(config.clusterId), but got \(request.clusterId.prefix(64))")
        }
        let id = request.brokerId
        let existing = image.brokers[id]
        let isNewIncarnation = existing?.incarnation != request.incarnationId
        let isInTheWay = isNewIncarnation && sessions.isValid(id, config: config, now: now)
        if isInTheWay, !canTakeOver(request) {
            throw .init(
                .duplicateBrokerRegistration, "Another broker is registered with that broker id.")
        }
        if request.isMigratingZkBroker {
            throw .init(
                .brokerIdNotRegistered, "Controller does not support registering ZK brokers.")
        }
        try checkRegistration(request)

        var broker = BrokerRegistration(
            id: id, epoch: 0, incarnation: request.incarnationId,
            endpoints: Self.endpoints(of: request),
            features: try featuresOfBroker(request), rack: request.rack,
            directories: request.logDirs)
        if let existing, !isNewIncarnation {
            broker.fenced = existing.fenced
            broker.inControlledShutdown = existing.inControlledShutdown
            broker.epoch = existing.epoch
            append([.registerBroker(broker.record)])
        } else {
            // A broker that can name its last epoch shut down in order, with all that it had
            // acknowledged on its disk; the disk of any other may have lost some.
            if isInTheWay { fence(id, .startedAgain) }
            let wasClean = existing.map { $0.epoch == request.previousBrokerEpoch } ?? false
            appendInPieces(partitionChanges(wasClean ? .removing(id) : .removingUnclean(id)))
            // The epoch is the offset of the registration, so that no two are ever the same.
            broker.epoch = nextOffset
            append([.registerBroker(broker.record)])
        }
        notice(.brokerRegistered(id, epoch: broker.epoch, rack: broker.rack))
        return .init(brokerEpoch: broker.epoch)
    }

    /// Whether it is the registered broker that comes again, whose process has ended: it need not
    /// wait for a session that nobody holds any more. A second one with the same id, which must
    /// wait, has another directory or other endpoints. As long as the heartbeats' connection
    /// stands, this may be a request of an earlier process that was late.
    private func canTakeOver(_ request: BrokerRegistrationRequest) -> Bool {
        let id = request.brokerId
        guard let existing = image.brokers[id], sessions.isDoubtful(id) else { return false }
        return Set(existing.directories) == Set(request.logDirs)
            && existing.endpoints == Self.endpoints(of: request)
    }

    private static func endpoints(of request: BrokerRegistrationRequest) -> [Endpoint] {
        request.listeners.map {
            Endpoint(
                name: $0.name, host: $0.host, port: $0.port, securityProtocol: $0.securityProtocol)
        }
    }

    private func checkRegistration(
        _ request: BrokerRegistrationRequest
    ) throws(ControllerFailure) {
        let limits = config.limits
        guard request.brokerId >= 0 else {
            throw .init(.invalidRegistration, "Negative broker id \(request.brokerId)")
        }
        guard image.brokers[request.brokerId] != nil || image.brokers.count < limits.brokers else {
            throw .init(
                .invalidRegistration, "The cluster has \(limits.brokers) brokers, its limit.")
        }
        guard
            request.listeners.count <= limits.listEntriesPerNode,
            request.features.count <= limits.listEntriesPerNode,
            request.logDirs.count <= limits.listEntriesPerNode,
            (request.rack?.utf8.count ?? 0) <= limits.rackBytes,
            request.listeners.allSatisfy({
                $0.name.utf8.count <= limits.rackBytes && $0.host.utf8.count <= limits.rackBytes
            }), request.features.allSatisfy({ $0.name.utf8.count <= limits.rackBytes })
        else { throw .init(.invalidRegistration, "A list or name in the registration is too long") }
        if request.logDirs.isEmpty {
            throw .init(.invalidRegistration, "No directories specified in request")
        }
        if request.logDirs.contains(where: DirectoryId.isReserved) {
            throw .init(.invalidRegistration, "Reserved directory ID in request")
        }
        if Set(request.logDirs).count != request.logDirs.count {
            throw .init(.invalidRegistration, "Duplicate directory ID in request")
        }
        for id in image.brokerIds where id != request.brokerId {
            guard let other = image.brokers[id] else { continue }
            if let shared = request.logDirs.first(where: other.directories.contains) {
                throw .init(
                    .invalidRegistration,
                    "Broker \(id) is already registered with directory \(shared)")
            }
        }
    }

    /// The features that the broker supports, each of which has to include the cluster's level.
    private func featuresOfBroker(
        _ request: BrokerRegistrationRequest
    ) throws(ControllerFailure) -> [SupportedFeature] {
        var supported: [SupportedFeature] = []
        for feature in request.features
        where !supported.contains(where: { $0.name == feature.name }) {
            supported.append(
                .init(
                    name: feature.name,
                    range: .init(feature.minSupportedVersion, feature.maxSupportedVersion)))
        }
        if !supported.contains(where: { $0.name == FeatureName.metadataVersion }) {
            supported.append(
                .init(
                    name: FeatureName.metadataVersion,
                    range: .init(MetadataVersion.implied.level, MetadataVersion.implied.level)))
        }
        for name in image.features.keys.sorted() {
            let level = image.features[name, default: 0]
            let range = supported.first { $0.name == name }?.range ?? .init(0, 0)
            guard range.contains(level) else {
                throw .init(
                    .unsupportedVersion,
                    "Unable to register because the broker does not support finalized version"
                        + " \(level) of \(name). The broker wants a version from \(range).")
            }
        }
        return supported
    }

    func unregisterBroker(
        _ request: UnregisterBrokerRequest
    ) throws(ControllerFailure) -> UnregisterBrokerResponse {
        let id = request.brokerId
        guard let broker = image.brokers[id] else {
            throw .init(
                .brokerIdNotRegistered, "Broker ID \(id) is not currently registered")
        }
        // Should it ever come back, it comes with nothing that can be relied on.
        appendInPieces(partitionChanges(.removingUnclean(id)))
        append([.unregisterBroker(.init(brokerId: id, brokerEpoch: broker.epoch))])
        return .init()
    }

    // MARK: - Heartbeats

    /// The states that a heartbeat moves a broker between.
    private enum BrokerState {
        case fenced
        case unfenced
        case shuttingDown
        /// Granted: the broker may go.
        case down
    }

    func heartbeat(
        _ request: BrokerHeartbeatRequest
    ) throws(ControllerFailure) -> BrokerHeartbeatResponse {
        let id = request.brokerId
        try checkBrokerEpoch(id, request.brokerEpoch)
        var request = request
        let isCaughtUp =
            request.currentMetadataOffset >= registrationOffsets[id, default: Int64.max]
        if let broker = image.brokers[id], !broker.directories.isEmpty,
            broker.directories.allSatisfy(request.offlineLogDirs.contains)
        {
            // It has nothing left to lead from. That cannot be recorded, as a list of no
            // directories means no change, and in Kafka such a broker ends by itself.
            if !broker.fenced { notice(.directoriesOffline(id, broker.directories)) }
            request.wantFence = true
        }
        let (state, next) = states(of: id, after: request, isCaughtUp: isCaughtUp)
        sessions.touch(id, metadataOffset: request.currentMetadataOffset, now: now)
        if state != next {
            switch next {
            case .fenced: fence(id, .asked)
            case .down:
                if state != .fenced { fence(id, .shutDown) }
                notice(.shutdownGranted(id))
            case .unfenced: unfence(id)
            case .shuttingDown: beginShutdown(id)
            }
        }
        if !request.offlineLogDirs.isEmpty { takeOffline(request.offlineLogDirs, of: id) }
        return .init(
            isCaughtUp: isCaughtUp, isFenced: next == .fenced || next == .down,
            shouldShutDown: next == .down)
    }

    private func states(
        of id: Int32, after request: BrokerHeartbeatRequest, isCaughtUp: Bool
    ) -> (BrokerState, BrokerState) {
        let isFenced = image.brokers[id]?.fenced ?? true
        if isFenced {
            if request.wantShutDown { return (.fenced, .down) }
            return (.fenced, !request.wantFence && isCaughtUp ? .unfenced : .fenced)
        }
        if let shutdownOffset = sessions[id]?.shutdownOffset {
            // Everybody else has to know that they lead before the broker goes.
            let handedOver =
                !leadsAny(id) && shutdownOffset <= sessions.lowestActiveOffset
            return (.shuttingDown, handedOver ? .down : .shuttingDown)
        }
        if request.wantFence { return (.unfenced, request.wantShutDown ? .down : .fenced) }
        if request.wantShutDown { return (.unfenced, leadsAny(id) ? .shuttingDown : .down) }
        return (.unfenced, .unfenced)
    }

    private func leadsAny(_ id: Int32) -> Bool {
        image.topics.contains { topic in topic.partitions.contains { $0?.leader == id } }
    }

    /// Takes the broker out of every ISR, finds other leaders, then records that it is fenced.
    func fence(_ id: Int32, _ reason: ControllerNotice.FencingReason) {
        guard let broker = image.brokers[id] else { return }
        notice(.brokerFenced(id, reason))
        var records = partitionChanges(.removing(id))
        records.append(
            .brokerRegistrationChange(
                .init(brokerId: id, brokerEpoch: broker.epoch, fenced: 1)))
        appendInPieces(records)
    }

    private func unfence(_ id: Int32) {
        guard let broker = image.brokers[id] else { return }
        notice(.brokerUnfenced(id))
        var records: [MetadataRecord] = [
            .brokerRegistrationChange(
                .init(brokerId: id, brokerEpoch: broker.epoch, fenced: -1))
        ]
        records += partitionChanges(.adding(id))
        appendInPieces(records)
    }

    private func beginShutdown(_ id: Int32) {
        guard let broker = image.brokers[id] else { return }
        notice(.shutdownStarted(id))
        var records: [MetadataRecord] = []
        if !broker.inControlledShutdown {
            records.append(
                .brokerRegistrationChange(
                    .init(brokerId: id, brokerEpoch: broker.epoch, inControlledShutdown: 1)))
        }
        records += partitionChanges(.removing(id))
        appendInPieces(records)
        sessions.beginShutdown(id, offset: nextOffset - 1)
    }

    private func takeOffline(_ directories: [KafkaUUID], of id: Int32) {
        guard let broker = image.brokers[id] else { return }
        let lost = broker.directories.filter(directories.contains)
        let left = broker.directories.filter { !directories.contains($0) }
        guard !lost.isEmpty, !left.isEmpty else { return }
        notice(.directoriesOffline(id, lost))
        var records = partitionChanges(.losing(id, lost))
        records.append(
            .brokerRegistrationChange(
                .init(brokerId: id, brokerEpoch: broker.epoch, logDirs: left)))
        appendInPieces(records)
    }

    // MARK: - Silence

    func expireSessions() {
        // One after the other: who takes over from the first may be the next.
        while isActive, let (id, reason) = sessions.oneExpired(config: config, now: now) {
            guard let broker = image.brokers[id], !broker.fenced else {
                sessions.setFenced(id, true, now: now)
                continue
            }
            fence(id, reason)
        }
    }
}
