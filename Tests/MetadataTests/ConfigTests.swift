import KafkaWire
import Metadata
import Testing

@Suite struct ConfigTests {
    private func incremental(
        _ lab: Lab, _ resource: ConfigResource, _ changes: [(String, Int8, String?)],
        validateOnly: Bool = false
    ) -> (ErrorCode?, String?) {
        let request = IncrementalAlterConfigsRequest(
            resources: [
                .init(
                    resourceType: resource.type, resourceName: resource.name,
                    configs: changes.map { .init(name: $0.0, configOperation: $0.1, value: $0.2) })
            ], validateOnly: validateOnly)
        guard
            case .incrementalAlterConfigs(let response)? = lab.ask(
                .incrementalAlterConfigs(request))
        else { return (nil, nil) }
        return (response.responses.first?.errorCode, response.responses.first?.errorMessage)
    }

    private func legacy(
        _ lab: Lab, _ resource: ConfigResource, _ values: [(String, String?)]
    ) -> ErrorCode? {
        let request = AlterConfigsRequest(resources: [
            .init(
                resourceType: resource.type, resourceName: resource.name,
                configs: values.map { .init(name: $0.0, value: $0.1) })
        ])
        guard case .alterConfigs(let response)? = lab.ask(.alterConfigs(request)) else {
            return nil
        }
        return response.responses.first?.errorCode
    }

    @Test func setDeleteAppendSubtract() {
        let lab = Lab()
        lab.start(1...1)
        lab.create("t", factor: 1)
        let t = ConfigResource.topic("t")
        #expect(incremental(lab, t, [("retention.ms", 0, "5")]).0 == ErrorCode.none)
        #expect(lab.image.config(t, "retention.ms") == "5")
        // Appended to the default.
        #expect(incremental(lab, t, [("cleanup.policy", 2, "compact")]).0 == ErrorCode.none)
        #expect(lab.image.config(t, "cleanup.policy") == "delete,compact")
        #expect(incremental(lab, t, [("cleanup.policy", 2, "compact")]).0 == ErrorCode.none)
        #expect(lab.image.config(t, "cleanup.policy") == "delete,compact")
        #expect(incremental(lab, t, [("cleanup.policy", 3, "delete")]).0 == ErrorCode.none)
        #expect(lab.image.config(t, "cleanup.policy") == "compact")
        #expect(incremental(lab, t, [("cleanup.policy", 1, nil)]).0 == ErrorCode.none)
        #expect(lab.image.config(t, "cleanup.policy") == nil)
        // What is so already is not written again.
        let end = lab.end
        #expect(incremental(lab, t, [("retention.ms", 0, "5")]).0 == ErrorCode.none)
        #expect(
            incremental(lab, t, [("retention.ms", 0, "6")], validateOnly: true).0 == ErrorCode.none)
        #expect(lab.end == end)
    }

    @Test func legacyReplacesAll() {
        let lab = Lab()
        lab.start(1...1)
        lab.create("t", factor: 1, configs: ["retention.ms": "5", "min.insync.replicas": "2"])
        #expect(legacy(lab, .topic("t"), [("retention.ms", "6")]) == ErrorCode.none)
        #expect(lab.image.configs[.topic("t")] == ["retention.ms": "6"])
        #expect(legacy(lab, .topic("t"), [("retention.ms", nil)]) == .invalidRequest)
        #expect(legacy(lab, .topic("t"), []) == ErrorCode.none)
        #expect(lab.image.configs[.topic("t")] == nil)
    }

    @Test func brokers() {
        let lab = Lab()
        lab.start(1...1)
        #expect(
            incremental(lab, .everyBroker, [("log.retention.ms", 0, "7")]).0 == ErrorCode.none)
        #expect(incremental(lab, .broker(1), [("log.retention.ms", 0, "8")]).0 == ErrorCode.none)
        // Recorded again, so that the broker reads it again.
        let end = lab.end
        #expect(incremental(lab, .broker(1), [("log.retention.ms", 0, "8")]).0 == ErrorCode.none)
        #expect(lab.end == end + 1)
        let result = lab.create("t", factor: 1)
        let retention = result.configs?.first { $0.name == "retention.ms" }
        #expect((retention?.value, retention?.configSource) == ("8", 2))
        incremental(lab, .broker(1), [("log.retention.ms", 1, nil)]).0.map {
            #expect($0 == ErrorCode.none)
        }
        #expect(
            lab.create("u", factor: 1).configs?.first { $0.name == "retention.ms" }?.configSource
                == 3)
        let file = Lab { $0.fileConfigs = ["log.retention.ms": "9"] }
        file.start(1...1)
        let fromFile = file.create("t", factor: 1).configs?.first { $0.name == "retention.ms" }
        #expect((fromFile?.value, fromFile?.configSource) == ("9", 4))
    }

    @Test func whatIsRefused() {
        let lab = Lab { $0.limits.configsPerResource = 3 }
        lab.start(1...1)
        lab.create("t", factor: 1)
        let t = ConfigResource.topic("t")
        let table: [(ConfigResource, [(String, Int8, String?)], ErrorCode, String)] = [
            (.topic("nope"), [("retention.ms", 0, "5")], .unknownTopicOrPartition, "not exist"),
            (.topic(""), [], .invalidRequest, "Default topic"),
            (.topic("a b"), [], .invalidTopicException, "invalid"),
            (t, [("nope", 0, "5")], .invalidConfig, "Unknown topic config name: nope"),
            (t, [("retention.ms", 0, nil)], .invalidRequest, "Null value"),
            (t, [("retention.ms", 9, "5")], .invalidRequest, "Unknown operations type 9"),
            (t, [("retention.ms", 2, "5")], .invalidConfig, "not LIST"),
            (t, [("retention.ms", 0, "-2")], .invalidConfig, "at least -1"),
            (t, [("cleanup.policy", 2, "shred")], .invalidConfig, "one of"),
            (
                t, [("retention.ms", 0, "5"), ("retention.ms", 1, nil)], .invalidRequest,
                "duplicate config keys"
            ),
            (
                .init(type: 4, name: "x"), [("log.retention.ms", 0, "5")], .invalidRequest,
                "base 10"
            ),
            (
                .init(type: 4, name: "-1"), [("log.retention.ms", 0, "5")], .invalidRequest,
                "negative"
            ),
            (.broker(8), [("log.retention.ms", 0, "5")], .brokerIdNotRegistered, "8"),
            (.broker(1), [("node.id", 0, "5")], .invalidConfig, "dynamically"),
            (.init(type: 8, name: "1"), [], .invalidRequest, "Unknown resource type 8"),
        ]
        let end = lab.end
        for (resource, changes, code, words) in table {
            let (got, message) = incremental(lab, resource, changes)
            #expect(got == code, "\(words)")
            #expect(message?.contains(words) == true, "\(message ?? "") not \(words)")
        }
        let many = (0..<4).map { ("c\($0)", Int8(0), Optional("1")) }
        #expect(incremental(lab, t, many).0 == .invalidConfig)
        let twice = IncrementalAlterConfigsRequest(resources: [
            .init(resourceType: 2, resourceName: "t"), .init(resourceType: 2, resourceName: "t"),
        ])
        guard
            case .incrementalAlterConfigs(let response)? = lab.ask(.incrementalAlterConfigs(twice))
        else { return }
        #expect(response.responses.map(\.errorCode) == [.invalidRequest, .invalidRequest])
        #expect(lab.end == end)
    }

    @Test func kinds() {
        let table: [(ConfigKind, [String], [String])] = [
            (.boolean, ["true", "FALSE"], ["yes", "", "1"]),
            (.integer(-1...5), ["-1", "5"], ["6", "-2", "x", "", "99999999999999999999"]),
            (.real(0...1), ["0", "0.5", "1"], ["1.1", "nan", "x"]),
            (.text, ["", "anything"], []),
            (.choice(["a", "b"]), ["a"], ["c", "a,b"]),
            (.list(["a", "b"]), ["a", "a, b", ""], ["c", "a,c"]),
            (.list([]), ["x,y"], []),
        ]
        for (kind, good, bad) in table {
            let property = ConfigProperty(name: "p", kind: kind, defaultValue: nil)
            for value in good { #expect(property.flaw(in: value) == nil, "\(kind) \(value)") }
            for value in bad { #expect(property.flaw(in: value) != nil, "\(kind) \(value)") }
        }
        let secret = ConfigProperty(
            name: "p", kind: .boolean, defaultValue: nil, isSensitive: true)
        #expect(secret.flaw(in: "hunter2")?.contains("hunter2") == false)
    }

    // MARK: - What follows

    @Test func allowingUncleanElectionsElects() {
        let lab = Lab(elr: false)
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]])
        lab.alterIsr("t", to: [1])
        lab.beat(1, wantFence: true)
        #expect((lab.partition("t").leader, lab.partition("t").isr) == (-1, [1]))
        lab.setConfig(.topic("t"), "unclean.leader.election.enable", "true")
        #expect((lab.partition("t").leader, lab.partition("t").isr) == (2, [2]))
        #expect(lab.partition("t").recovery == .recovering)
        #expect(lab.notices.contains(.uncleanLeader(topic: "t", partition: 0, leader: 2)))
    }

    @Test func aLowerMinimumEndsEligibility() {
        let lab = Lab()
        lab.start(1...2)
        lab.create("t", assignments: [[1, 2]], configs: ["min.insync.replicas": "2"])
        lab.alterIsr("t", to: [1])
        #expect(lab.partition("t").eligibleLeaderReplicas == [2])
        // From here on 1 acknowledges alone.
        lab.setConfig(.topic("t"), "min.insync.replicas", "1")
        #expect(lab.partition("t").eligibleLeaderReplicas == [])
    }

    // MARK: - The minimum of in-sync replicas

    /// Leaders acknowledge by it and controllers find eligible leaders by it: from one place.
    @Test func theMinimumIsTheLogsOnly() {
        let name = "min.insync.replicas"
        let lab = Lab { $0.fileConfigs = [name: "2"] }
        #expect(lab.image.configs[.everyBroker]?[name] == "2")
        lab.start(1...1)
        #expect(lab.setConfig(.broker(1), name, "1") == .invalidConfig)
        #expect(lab.setConfig(.everyBroker, name, nil) == .invalidConfig)
        #expect(lab.setConfig(.everyBroker, name, "3") == .none)
        #expect(lab.setConfig(.broker(1), "log.retention.ms", "5") == .none)
        // The file of another controller does not change it any more.
        let before = lab.end
        lab.step(.resigned)
        lab.elect()
        #expect(lab.image.configs[.everyBroker]?[name] == "3")
        #expect(lab.end == before + 1)
    }

    @Test func theMinimumBecomesTheLogsWithTheFeature() {
        let name = "min.insync.replicas"
        let lab = Lab(elr: false) { $0.fileConfigs = [name: "2"] }
        lab.start(1...1)
        #expect(lab.image.configs[.everyBroker] == nil)
        #expect(lab.setConfig(.broker(1), name, "1") == .none)
        lab.ask(
            .updateFeatures(
                .init(featureUpdates: [
                    .init(
                        feature: FeatureName.eligibleLeaderReplicas, maxVersionLevel: 1,
                        upgradeType: 1)
                ])))
        #expect(lab.image.electsEligibleReplicas)
        #expect(lab.image.configs[.everyBroker]?[name] == "2")
        #expect(lab.image.configs[.broker(1)]?[name] == nil)
    }
}
