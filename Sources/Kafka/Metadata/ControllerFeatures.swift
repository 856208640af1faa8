import KafkaWire

// Feature levels, controllers' registrations, and producer ids.

extension Controller {
    // MARK: - UpdateFeatures

    private enum UpgradeType: Int8 {
        case upgrade = 1
        case safeDowngrade = 2
        case unsafeDowngrade = 3
    }

    func updateFeatures(
        _ request: UpdateFeaturesRequest
    ) throws(ControllerFailure) -> UpdateFeaturesResponse {
        guard !request.featureUpdates.isEmpty else {
            throw .init(
                .invalidRequest, "Can not provide empty feature updates.")
        }
        try checkItemCount(request.featureUpdates.count, "features")
        var records: [MetadataRecord] = []
        var proposed = image.features
        for update in request.featureUpdates { proposed[update.feature] = update.maxVersionLevel }
        var seen: Set<String> = []
        for update in request.featureUpdates {
            guard seen.insert(update.feature).inserted else {
                throw .init(
                    .invalidRequest, "The feature \(update.feature) is named more than once.")
            }
            // Before version 1 there was only the flag for a downgrade.
            let type =
                update.allowDowngrade
                ? UpgradeType.safeDowngrade : UpgradeType(rawValue: update.upgradeType)
            try checkUpdate(update.feature, update.maxVersionLevel, type, proposed)
            records.append(
                .featureLevel(.init(name: update.feature, featureLevel: update.maxVersionLevel)))
        }
        if proposed[FeatureName.eligibleLeaderReplicas, default: 0] > 0,
            !image.electsEligibleReplicas
        {
            records += minimumIsrRecords()
        }
        if !request.validateOnly { append(records) }
        return .init(results: request.featureUpdates.map { .init(feature: $0.feature) })
    }

    private func checkUpdate(
        _ name: String, _ level: Int16, _ type: UpgradeType?, _ proposed: [String: Int16]
    ) throws(ControllerFailure) {
        func refuse(_ why: String) -> ControllerFailure {
            .init(
                .invalidUpdateVersion,
                "Invalid update version \(level) for feature \(name). \(why)")
        }
        guard let type else {
            throw refuse("The controller does not support the given upgrade type.")
        }
        if level < 0 { throw refuse("A feature version cannot be less than 0.") }
        let isVersion = name == FeatureName.metadataVersion
        let current = isVersion ? image.metadataVersion.level : image.features[name, default: 0]
        if let reason = reasonNotSupported(name, level) { throw refuse(reason) }
        if level < current, type == .upgrade {
            throw refuse(
                "Can't downgrade the version of this feature without setting the upgrade type to"
                    + " either safe or unsafe downgrade.")
        }
        if level > current, type != .upgrade { throw refuse("Can't downgrade to a newer version.") }
        let version = MetadataVersion(
            level: proposed[FeatureName.metadataVersion] ?? image.metadataVersion.level)
        if isVersion, level < current, image.metadataVersion.losesMetadata(goingBackTo: version) {
            throw refuse(
                "Refusing to perform the requested downgrade because it might delete metadata"
                    + " information.")
        }
        if proposed[FeatureName.eligibleLeaderReplicas, default: 0] > 0,
            !version.mayRecordEligibleLeaders
        {
            throw refuse(
                "\(FeatureName.eligibleLeaderReplicas) needs \(FeatureName.metadataVersion) at"
                    + " \(MetadataVersion.firstWithEligibleLeaderReplicas.level) or above.")
        }
    }

    /// Nobody may be left behind who does not know the level.
    private func reasonNotSupported(_ name: String, _ level: Int16) -> String? {
        func reason(_ who: String, _ features: [SupportedFeature]) -> String? {
            let range = features.first { $0.name == name }?.range ?? .init(0, 0)
            // Level 0 is a feature that is off, and for that nobody has to know it.
            if level == 0 && name != FeatureName.metadataVersion || range.contains(level) {
                return nil
            }
            return "\(who) does not support this version; it supports versions \(range)."
        }
        if let reason = reason("Local controller \(config.nodeId)", config.supportedFeatures) {
            return reason
        }
        for id in image.brokerIds {
            if let reason = reason("Broker \(id)", image.brokers[id]?.features ?? []) {
                return reason
            }
        }
        for id in config.quorumIds.sorted() where id != config.nodeId {
            guard let controller = image.controllers[id] else {
                return "controller \(id) has not registered, and may not support this feature"
            }
            if let reason = reason("Controller \(id)", controller.features) { return reason }
        }
        return nil
    }

    // MARK: - ControllerRegistration

    func registerController(
        _ request: ControllerRegistrationRequest
    ) throws(ControllerFailure) -> ControllerRegistrationResponse {
        let limits = config.limits
        guard config.quorumIds.contains(request.controllerId) else {
            throw .init(
                .invalidRegistration, "\(request.controllerId) is not a voter of the quorum.")
        }
        guard request.listeners.count <= limits.listEntriesPerNode,
            request.features.count <= limits.listEntriesPerNode,
            request.listeners.allSatisfy({
                $0.name.utf8.count <= limits.rackBytes && $0.host.utf8.count <= limits.rackBytes
            }), request.features.allSatisfy({ $0.name.utf8.count <= limits.rackBytes })
        else { throw .init(.invalidRegistration, "A list or name in the registration is too long") }
        let registration = ControllerRegistration(
            id: request.controllerId, incarnation: request.incarnationId,
            endpoints: request.listeners.map {
                Endpoint(
                    name: $0.name, host: $0.host, port: $0.port,
                    securityProtocol: $0.securityProtocol)
            },
            features: request.features.map {
                SupportedFeature(
                    name: $0.name, range: .init($0.minSupportedVersion, $0.maxSupportedVersion))
            })
        for name in image.features.keys.sorted() {
            let level = image.features[name, default: 0]
            let range = registration.features.first { $0.name == name }?.range ?? .init(0, 0)
            guard range.contains(level) else {
                throw .init(
                    .unsupportedVersion,
                    "Unable to register because the controller does not support finalized version"
                        + " \(level) of \(name). It supports \(range).")
            }
        }
        append([.registerController(registration.record)])
        return .init()
    }

    // MARK: - AllocateProducerIds

    /// Producer ids that one broker gets at a time.
    static var producerIdBlock: Int64 { 1_000 }

    func allocateProducerIds(
        _ request: AllocateProducerIdsRequest
    ) throws(ControllerFailure) -> AllocateProducerIdsResponse {
        try checkBrokerEpoch(request.brokerId, request.brokerEpoch)
        let first = image.producerIds?.nextProducerId ?? 0
        guard first >= 0, first <= Int64.max - Self.producerIdBlock else {
            throw .init(.unknownServerError, "All producer ids are used up.")
        }
        append([
            .producerIds(
                .init(
                    brokerId: request.brokerId, brokerEpoch: request.brokerEpoch,
                    nextProducerId: first + Self.producerIdBlock))
        ])
        return .init(producerIdStart: first, producerIdLen: Int32(Self.producerIdBlock))
    }
}
