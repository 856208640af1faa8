import KafkaWire
import Metadata
import Testing
import Timing

/// Taking and losing the lead, features, producer ids.
@Suite struct ControllerTests {
    private let notController: (ControllerResponse?) -> Bool = { response in
        if case .brokerRegistration(let r) = response { return r.errorCode == .notController }
        return false
    }

    @Test func aStandbyAnswersNothing() {
        let lab = Lab(active: false)
        #expect(notController(lab.ask(.brokerRegistration(lab.registration(1)))))
        #expect(lab.controller.nextDeadline == nil)
        // Elected, but with records of earlier epochs to apply.
        lab.step(.elected(epoch: 1, logEndOffset: 3))
        #expect(lab.controller.role == .catchingUp(epoch: 1, until: 3))
        #expect(notController(lab.ask(.brokerRegistration(lab.registration(1)))))
    }

    @Test func everyRequestHasAnAnswerThatSaysNo() {
        let lab = Lab(active: false)
        let requests: [ControllerRequest] = [
            .brokerRegistration(.init()), .brokerHeartbeat(.init()), .unregisterBroker(.init()),
            .controllerRegistration(.init()),
            .createTopics(.init(topics: [.init(name: "t")])),
            .deleteTopics(.init(topics: [.init(name: "t")], topicNames: ["u"])),
            .createPartitions(.init(topics: [.init(name: "t")])),
            .alterConfigs(.init(resources: [.init(resourceType: 2)])),
            .incrementalAlterConfigs(.init(resources: [.init(resourceType: 2)])),
            .alterPartition(.init(), version: 3), .assignReplicasToDirs(.init()),
            .electLeaders(.init()), .alterPartitionReassignments(.init()),
            .listPartitionReassignments(.init()), .allocateProducerIds(.init()),
            .updateFeatures(.init(featureUpdates: [.init(feature: "f")])),
        ]
        for request in requests {
            let response = lab.ask(request)
            #expect(response == request.failed(.init(.notController, message(response))))
            #expect("\(response.map { "\($0)" } ?? "")".contains("NOT_CONTROLLER"))
        }
    }

    private func message(_ response: ControllerResponse?) -> String? {
        "This is not the correct controller for this cluster."
    }

    @Test func bootstrap() {
        let lab = Lab()
        #expect(lab.log.count == 4)
        #expect(lab.image.metadataVersion == .newest)
        #expect(lab.image.electsEligibleReplicas)
        // Only once.
        lab.step(.resigned)
        lab.elect()
        #expect(lab.log.count == 5)
    }

    @Test func answersWaitForTheCommit() {
        let lab = Lab()
        lab.commits = false
        let first = lab.send(.brokerRegistration(lab.registration(1)))
        // An error too, for it may rest on what is not committed.
        let second = lab.send(.brokerRegistration(lab.registration(1)))
        let end = lab.end
        #expect(lab.replies.isEmpty)
        lab.step(.highWatermark(end - 2))
        #expect(lab.replies.isEmpty)
        lab.step(.highWatermark(end - 1))
        #expect(Set(lab.replies.keys) == [first])
        lab.step(.highWatermark(end))
        #expect(Set(lab.replies.keys) == [first, second])
        #expect(lab.controller.highWatermark == end)
        // The next one is not kept waiting by what is done.
        #expect(lab.ask(.listPartitionReassignments(.init())) != nil)
    }

    @Test func losingTheLeadTakesBackWhatIsNotCommitted() {
        let lab = Lab()
        lab.start(1...2)
        lab.create("kept", factor: 1)
        let before = lab.image
        let end = lab.end
        lab.commits = false
        let request = ControllerRequest.createTopics(
            .init(topics: [.init(name: "lost", numPartitions: 3, replicationFactor: 2)]))
        let token = lab.send(request)
        _ = lab.send(.deleteTopics(.init(topicNames: ["kept"])))
        _ = lab.send(.brokerRegistration(lab.registration(3)))
        #expect(lab.image != before)
        lab.step(.resigned)
        #expect(lab.image == before)
        #expect(lab.controller.nextOffset == end)
        #expect(lab.controller.role == .standby)
        guard case .createTopics(let response)? = lab.replies[token] else {
            Issue.record("no answer")
            return
        }
        #expect(response.topics.map(\.errorCode) == [.notController])
        // Another controller wrote something else there.
        let other: [MetadataRecord] = [
            .topic(.init(name: "theirs", topicId: KafkaUUID(high: 6, low: 6)))
        ]
        lab.step(.committed(other, nextOffset: end + 1))
        #expect(lab.image.topicNames == ["kept", "theirs"])
        // What was told before is not applied twice.
        lab.step(.committed(other, nextOffset: end + 1))
        #expect(lab.image.topicCount == 2)
    }

    @Test func sessionsBeginAnewAfterAFailover() {
        let lab = Lab()
        lab.start(1...2)
        lab.pass(.milliseconds(1_400))
        lab.step(.resigned)
        lab.elect()
        lab.pass(.milliseconds(799))
        #expect(lab.image.isActive(1))
        lab.pass(.milliseconds(1))
        #expect(!lab.image.isActive(1))
    }

    @Test func aSnapshotTakesTheLogsPlace() {
        let source = Lab()
        source.start(1...2)
        source.create("t", factor: 2)
        let lab = Lab(active: false)
        lab.step(.snapshot(source.image, nextOffset: 50))
        #expect(lab.image == source.image)
        #expect(lab.controller.nextOffset == 50)
        lab.step(.elected(epoch: 3, logEndOffset: 51))
        let effects = lab.controller.step(.committed([], nextOffset: 51), now: lab.now)
        #expect(effects == [.activated(epoch: 3)])
    }

    @Test func anOpenTransactionIsAborted() {
        let lab = Lab(active: false)
        let topic = MetadataRecord.topic(.init(name: "t", topicId: KafkaUUID(high: 1, low: 1)))
        let level = MetadataRecord.featureLevel(.init(name: "metadata.version", featureLevel: 25))
        lab.step(.committed([level, .beginTransaction(.init()), topic], nextOffset: 3))
        lab.step(.elected(epoch: 1, logEndOffset: 4))
        let effects = lab.controller.step(.committed([], nextOffset: 4), now: lab.now)
        #expect(
            effects == [
                .activated(epoch: 1),
                .append(
                    [.abortTransaction(.init(reason: "Controller failover"))], baseOffset: 4,
                    epoch: 1),
            ])
        #expect(lab.image.topicCount == 0)
        // Not committed, it has to be aborted again.
        _ = lab.controller.step(.resigned, now: lab.now)
        _ = lab.controller.step(.elected(epoch: 2, logEndOffset: 5), now: lab.now)
        let again = lab.controller.step(.committed([], nextOffset: 5), now: lab.now)
        #expect(again.count == 2)
        _ = lab.controller.step(.highWatermark(6), now: lab.now)
        _ = lab.controller.step(.resigned, now: lab.now)
        _ = lab.controller.step(.elected(epoch: 3, logEndOffset: 7), now: lab.now)
        let third = lab.controller.step(.committed([], nextOffset: 7), now: lab.now)
        #expect(third == [.activated(epoch: 3)])
    }

    @Test func recordsThatCannotBeAppliedEndIt() {
        let lab = Lab(active: false)
        lab.step(.elected(epoch: 1, logEndOffset: 9))
        lab.step(.committed([.removeTopic(.init(topicId: .clusterMetadata))], nextOffset: 1))
        #expect(lab.resignations.count == 1)
        #expect(lab.controller.role == .standby)
        // A cluster held at a level that this software does not lead.
        let old = Lab(active: false)
        old.step(
            .committed(
                [.featureLevel(.init(name: "metadata.version", featureLevel: 11))], nextOffset: 1))
        old.step(.elected(epoch: 1, logEndOffset: 1))
        #expect(old.resignations.first?.contains("level 11 of metadata.version") == true)
    }

    @Test func theLogNeverRestsLong() {
        let lab = Lab { $0.maximumIdle = .milliseconds(500) }
        let end = lab.end
        lab.pass(.milliseconds(499))
        #expect(lab.end == end)
        lab.pass(.milliseconds(1))
        #expect(lab.log.last == .noOp(.init()))
        #expect(lab.controller.nextDeadline == lab.now + .milliseconds(500))
    }

    @Test func recordsOfTheQuorumMoveTheEnd() {
        let lab = Lab()
        lab.log.append(nil)
        lab.step(.logAdvanced(lab.end))
        let effects = lab.controller.step(
            .request(.init(77), .brokerRegistration(lab.registration(1))), now: lab.now)
        guard case .append(_, let base, _)? = effects.first else {
            Issue.record("nothing appended")
            return
        }
        #expect(base == lab.end)
    }

    /// A broker with thousands of partitions goes in several batches.
    @Test func largeChangesAreSplit() {
        let lab = Lab { $0.limits.recordsPerBatch = 10 }
        lab.start(1...2)
        lab.create("t", partitions: 25, factor: 2)
        let effects = lab.step(
            .request(
                .init(1_000),
                .brokerHeartbeat(
                    .init(
                        brokerId: 1, brokerEpoch: lab.image.brokers[1]?.epoch ?? -1,
                        currentMetadataOffset: lab.end, wantFence: true))))
        let sizes = effects.compactMap { effect -> Int? in
            if case .append(let records, _, _) = effect { return records.count }
            return nil
        }
        #expect(sizes == [10, 10, 6])
    }

    // MARK: - Producer ids

    @Test func producerIds() {
        let lab = Lab()
        lab.start(1...1)
        let epoch = lab.image.brokers[1]?.epoch ?? -1
        let request = ControllerRequest.allocateProducerIds(
            .init(brokerId: 1, brokerEpoch: epoch))
        #expect(
            lab.ask(request)
                == .allocateProducerIds(.init(producerIdStart: 0, producerIdLen: 1_000)))
        #expect(
            lab.ask(request)
                == .allocateProducerIds(.init(producerIdStart: 1_000, producerIdLen: 1_000)))
        #expect(
            lab.ask(.allocateProducerIds(.init(brokerId: 1, brokerEpoch: epoch + 1)))
                == .allocateProducerIds(.init(errorCode: .staleBrokerEpoch)))
        let spent = Lab(active: false)
        spent.step(
            .committed(
                [
                    .featureLevel(.init(name: "metadata.version", featureLevel: 25)),
                    .producerIds(.init(nextProducerId: Int64.max - 5)),
                    .registerBroker(.init(brokerId: 1, brokerEpoch: 1)),
                ], nextOffset: 3))
        spent.log = [nil, nil, nil]
        spent.elect()
        let last = spent.ask(.allocateProducerIds(.init(brokerId: 1, brokerEpoch: 1)))
        #expect(last == .allocateProducerIds(.init(errorCode: .unknownServerError)))
    }

    // MARK: - Features

    private func update(
        _ lab: Lab, _ name: String, _ level: Int16, type: Int8 = 1, allowDowngrade: Bool = false,
        validateOnly: Bool = false
    ) -> (ErrorCode?, String?) {
        let request = UpdateFeaturesRequest(
            featureUpdates: [
                .init(
                    feature: name, maxVersionLevel: level, allowDowngrade: allowDowngrade,
                    upgradeType: type)
            ], validateOnly: validateOnly)
        guard case .updateFeatures(let response)? = lab.ask(.updateFeatures(request)) else {
            return (nil, nil)
        }
        return (response.errorCode, response.errorMessage)
    }

    @Test func features() {
        let lab = Lab {
            $0.bootstrap = ControllerConfig.bootstrap(metadataVersion: .init(level: 22))
        }
        lab.start(1...1)
        #expect(!lab.image.electsEligibleReplicas)
        let elr = FeatureName.eligibleLeaderReplicas
        let table: [(String, Int16, Int8, String)] = [
            (elr, 1, 1, "needs metadata.version at 23"),
            (elr, 2, 1, "does not support"),
            (elr, -1, 1, "less than 0"),
            ("no.such", 1, 1, "does not support"),
            ("metadata.version", 26, 1, "does not support"),
            ("metadata.version", 16, 2, "does not support"),
            ("metadata.version", 21, 1, "Can't downgrade"),
            ("metadata.version", 23, 2, "to a newer version"),
            ("metadata.version", 23, 9, "upgrade type"),
        ]
        for (name, level, type, words) in table {
            let (code, message) = update(lab, name, level, type: type)
            #expect(code == .invalidUpdateVersion, "\(words)")
            #expect(message?.contains(words) == true, "\(message ?? "") not \(words)")
        }
        #expect(update(lab, "metadata.version", 21, type: 2).0 == ErrorCode.none)
        #expect(
            update(lab, "metadata.version", 25, validateOnly: true).0 == ErrorCode.none)
        #expect(lab.image.metadataVersion.level == 21)
        #expect(update(lab, "metadata.version", 25).0 == ErrorCode.none)
        #expect(update(lab, elr, 1).0 == ErrorCode.none)
        #expect(lab.image.electsEligibleReplicas)
        #expect(
            update(lab, "metadata.version", 22, allowDowngrade: true).1?.contains("delete metadata")
                == true)
        #expect(update(lab, elr, 0, type: 2).0 == ErrorCode.none)
        #expect(!lab.image.electsEligibleReplicas)
        #expect(lab.ask(.updateFeatures(.init())) != nil)
    }

    @Test func featuresNeedEverybody() {
        let lab = Lab(elr: false) { $0.quorumIds = [1, 2] }
        lab.start(1...1)
        let elr = FeatureName.eligibleLeaderReplicas
        #expect(update(lab, elr, 1).1?.contains("controller 2 has not registered") == true)
        func register(_ id: Int32, _ highest: Int16) -> ErrorCode? {
            guard
                case .controllerRegistration(let response)? = lab.ask(
                    .controllerRegistration(
                        .init(
                            controllerId: id, incarnationId: KafkaUUID(high: 1, low: 1),
                            listeners: [.init(name: "CONTROLLER", host: "c", port: 9_093)],
                            features: [
                                .init(
                                    name: "metadata.version", minSupportedVersion: 17,
                                    maxSupportedVersion: 25),
                                .init(
                                    name: elr, minSupportedVersion: 0,
                                    maxSupportedVersion: highest),
                            ])))
            else { return nil }
            return response.errorCode
        }
        #expect(register(3, 1) == .invalidRegistration)
        #expect(register(2, 0) == ErrorCode.none)
        #expect(lab.image.controllers[2]?.endpoints.first?.port == 9_093)
        #expect(update(lab, elr, 1).1?.contains("Controller 2 does not support") == true)
        #expect(register(2, 1) == ErrorCode.none)
        #expect(update(lab, elr, 1).0 == ErrorCode.none)
        // From now on it is needed.
        #expect(register(2, 0) == .unsupportedVersion)
    }
}
