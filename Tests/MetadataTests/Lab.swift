import KafkaWire
import Metadata
import NIOCore
import Testing
import Timing

/// A controller with a log of its own, and brokers played by the test.
final class Lab {
    static let clusterId = "lab-cluster"

    var controller: Controller
    let config: ControllerConfig
    var now = Instant(nanoseconds: 1_000_000_000)
    /// What was appended, each record through its bytes; nil for records of the quorum itself.
    var log: [MetadataRecord?] = []
    /// Applies all that was appended, as a standby would.
    var follower: MetadataReplay
    var replies: [ControllerToken: ControllerResponse] = [:]
    var notices: [ControllerNotice] = []
    var resignations: [String] = []
    var epoch: Int32 = 0
    /// Whether what is appended counts as committed at once.
    var commits = true
    private var tokens: UInt64 = 0
    private var incarnations: UInt64 = 100

    init(
        elr: Bool = true, active: Bool = true, seed: UInt64 = 1,
        _ adjust: (inout ControllerConfig) -> Void = { _ in }
    ) {
        var config = ControllerConfig(nodeId: 1, clusterId: Self.clusterId, quorumIds: [1])
        config.sessionTimeout = .milliseconds(1_500)
        config.firstHeartbeatGrace = .milliseconds(800)
        config.topicProperties = Self.topicProperties
        config.brokerProperties = Self.brokerProperties
        config.maximumIdle = nil
        config.leaderBalanceInterval = nil
        config.uncleanElectionInterval = nil
        config.bootstrap = ControllerConfig.bootstrap(eligibleLeaderReplicas: elr)
        adjust(&config)
        self.config = config
        controller = Controller(config: config, seed: seed)
        follower = MetadataReplay(image: MetadataImage(limits: config.limits))
        if active { elect() }
    }

    static let topicProperties = ConfigTable(
        [
            .init(
                name: "min.insync.replicas", kind: .integer(1...1_000), defaultValue: "1",
                brokerName: "min.insync.replicas"),
            .init(
                name: "unclean.leader.election.enable", kind: .boolean, defaultValue: "false",
                brokerName: "unclean.leader.election.enable"),
            .init(
                name: "cleanup.policy", kind: .list(["compact", "delete"]), defaultValue: "delete",
                brokerName: "log.cleanup.policy"),
            .init(
                name: "retention.ms", kind: .integer(-1...Int64.max), defaultValue: "604800000",
                brokerName: "log.retention.ms"),
            .init(name: "min.compaction.lag.ms", kind: .integer(0...Int64.max), defaultValue: "0"),
            .init(
                name: "max.compaction.lag.ms", kind: .integer(1...Int64.max),
                defaultValue: String(Int64.max)),
            .init(name: "leader.racks", kind: .list([]), defaultValue: ""),
        ],
        ordered: [.init("min.compaction.lag.ms", notAbove: "max.compaction.lag.ms")])

    static let brokerProperties = ConfigTable([
        .init(name: "min.insync.replicas", kind: .integer(1...1_000), defaultValue: "1"),
        .init(name: "unclean.leader.election.enable", kind: .boolean, defaultValue: "false"),
        .init(name: "log.retention.ms", kind: .integer(-1...Int64.max), defaultValue: nil),
        .init(name: "ssl.password", kind: .text, defaultValue: nil, isSensitive: true),
        .init(name: "node.id", kind: .integer(0...1_000), defaultValue: nil, isReadOnly: true),
    ])

    var image: MetadataImage { controller.image }
    var end: Int64 { Int64(log.count) }

    // MARK: - Steps

    /// Makes the controller the leader of the next epoch, its leader change record committed.
    func elect() {
        epoch += 1
        follower.skip(to: end + 1)
        log.append(nil)
        step(.elected(epoch: epoch, logEndOffset: end))
        step(.committed([], nextOffset: end))
    }

    @discardableResult
    func step(_ event: ControllerEvent) -> [ControllerEffect] {
        let effects = controller.step(event, now: now)
        for effect in effects {
            switch effect {
            case .append(let records, let base, let epoch):
                #expect(base == end)
                #expect(epoch == self.epoch)
                for record in records {
                    let bytes = record.encoded(for: follower.image.metadataVersion)
                    guard let decoded = try? MetadataRecord(decoding: bytes) else {
                        Issue.record("cannot read back \(record)")
                        continue
                    }
                    #expect(decoded == record)
                    log.append(decoded)
                    var changes: [MetadataChange] = []
                    #expect(throws: Never.self) {
                        try follower.replay(decoded, into: &changes)
                    }
                }
            case .reply(let token, let response): replies[token] = response
            case .notice(let notice): notices.append(notice)
            case .activated(let epoch): #expect(epoch == self.epoch)
            case .resign(_, let reason): resignations.append(reason)
            }
        }
        if commits, controller.isActive, controller.highWatermark < end {
            step(.highWatermark(end))
        }
        return effects
    }

    /// A request and its answer; nil while the answer waits.
    @discardableResult
    func ask(_ request: ControllerRequest) -> ControllerResponse? {
        let token = send(request)
        return replies[token]
    }

    func send(_ request: ControllerRequest) -> ControllerToken {
        tokens += 1
        let token = ControllerToken(tokens)
        step(.request(token, request))
        return token
    }

    func pass(_ time: Nanoseconds) {
        now = now + time
        step(.tick)
    }

    // MARK: - Brokers

    static func directory(_ id: Int32) -> KafkaUUID {
        KafkaUUID(high: 0xD1, low: UInt64(truncatingIfNeeded: id) + 1_000)
    }

    func registration(
        _ id: Int32, rack: String? = nil, incarnation: KafkaUUID? = nil, previousEpoch: Int64 = -1
    ) -> BrokerRegistrationRequest {
        incarnations += 1
        return BrokerRegistrationRequest(
            brokerId: id, clusterId: Self.clusterId,
            incarnationId: incarnation ?? KafkaUUID(high: 7, low: incarnations),
            listeners: [.init(name: "PLAINTEXT", host: "broker-\(id)", port: 9_092)],
            features: SupportedFeature.ours.map {
                .init(
                    name: $0.name, minSupportedVersion: $0.range.lowest,
                    maxSupportedVersion: $0.range.highest)
            },
            rack: rack, logDirs: [Self.directory(id)], previousBrokerEpoch: previousEpoch)
    }

    @discardableResult
    func register(_ request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
        guard case .brokerRegistration(let response) = ask(.brokerRegistration(request)) else {
            Issue.record("no answer to a registration")
            return .init(errorCode: .unknownServerError)
        }
        return response
    }

    @discardableResult
    func beat(
        _ id: Int32, offset: Int64? = nil, wantFence: Bool = false, wantShutDown: Bool = false,
        offline: [KafkaUUID] = []
    ) -> BrokerHeartbeatResponse {
        let request = BrokerHeartbeatRequest(
            brokerId: id, brokerEpoch: image.brokers[id]?.epoch ?? -1,
            currentMetadataOffset: offset ?? end - 1, wantFence: wantFence,
            wantShutDown: wantShutDown, offlineLogDirs: offline)
        guard case .brokerHeartbeat(let response) = ask(.brokerHeartbeat(request)) else {
            Issue.record("no answer to a heartbeat")
            return .init(errorCode: .unknownServerError)
        }
        return response
    }

    /// Registers and unfences brokers, each in the rack that the function names.
    func start(_ ids: ClosedRange<Int32>, rack: (Int32) -> String? = { _ in nil }) {
        for id in ids {
            register(registration(id, rack: rack(id)))
            beat(id)
        }
    }

    /// A broker tells where its replicas are: what is said to each.
    @discardableResult
    func assign(
        _ topic: String, _ partitions: [Int32], to directory: KafkaUUID, of broker: Int32
    ) -> [ErrorCode] {
        let request = AssignReplicasToDirsRequest(
            brokerId: broker, brokerEpoch: image.brokers[broker]?.epoch ?? -1,
            directories: [
                .init(
                    id: directory,
                    topics: [
                        .init(
                            topicId: image.topicId(named: topic) ?? .zero,
                            partitions: partitions.map { .init(partitionIndex: $0) })
                    ])
            ])
        guard case .assignReplicasToDirs(let response)? = ask(.assignReplicasToDirs(request)),
            response.errorCode == .none
        else { return [] }
        return response.directories.flatMap(\.topics).flatMap(\.partitions).map(\.errorCode)
    }

    /// A broker is not heard of until its session is over; the others are.
    func silence(_ id: Int32, others: ClosedRange<Int32>) {
        for _ in 0..<20 {
            pass(.milliseconds(100))
            for other in others where other != id { beat(other) }
        }
        #expect(image.brokers[id]?.fenced == true)
    }

    // MARK: - Topics

    @discardableResult
    func create(
        _ name: String, partitions: Int32 = -1, factor: Int16 = -1,
        assignments: [[Int32]] = [], configs: [String: String] = [:], validateOnly: Bool = false
    ) -> CreateTopicsResponse.CreatableTopicResult {
        let request = CreateTopicsRequest(
            topics: [
                .init(
                    name: name, numPartitions: partitions, replicationFactor: factor,
                    assignments: assignments.enumerated().map {
                        .init(partitionIndex: Int32($0.offset), brokerIds: $0.element)
                    },
                    configs: configs.keys.sorted().map { .init(name: $0, value: configs[$0]) })
            ], validateOnly: validateOnly)
        guard case .createTopics(let response) = ask(.createTopics(request)),
            let topic = response.topics.first
        else {
            Issue.record("no answer to a topic's creation")
            return .init(errorCode: .unknownServerError)
        }
        return topic
    }

    func partition(_ topic: String, _ index: Int32 = 0) -> PartitionRegistration {
        image.topic(named: topic)?[index]
            ?? PartitionRegistration(replicas: [], isr: [], leader: -9)
    }

    /// The leader asks for another ISR, with epochs as they are.
    @discardableResult
    func alterIsr(_ topic: String, _ index: Int32 = 0, to isr: [Int32]) -> ErrorCode {
        let now = partition(topic, index)
        return alterIsr(
            topic, index, to: isr, leader: now.leader, leaderEpoch: now.leaderEpoch,
            partitionEpoch: now.partitionEpoch)
    }

    @discardableResult
    func alterIsr(
        _ topic: String, _ index: Int32 = 0, to isr: [Int32], leader: Int32, leaderEpoch: Int32,
        partitionEpoch: Int32, recovery: Int8 = 0, memberEpochs: [Int32: Int64] = [:]
    ) -> ErrorCode {
        let request = AlterPartitionRequest(
            brokerId: leader, brokerEpoch: image.brokers[leader]?.epoch ?? -1,
            topics: [
                .init(
                    topicId: image.topicId(named: topic) ?? KafkaUUID(high: 9, low: 9),
                    partitions: [
                        .init(
                            partitionIndex: index, leaderEpoch: leaderEpoch,
                            newIsrWithEpochs: isr.map {
                                .init(
                                    brokerId: $0,
                                    brokerEpoch: memberEpochs[$0] ?? image.brokers[$0]?.epoch ?? -1)
                            }, leaderRecoveryState: recovery, partitionEpoch: partitionEpoch)
                    ])
            ])
        guard case .alterPartition(let response) = ask(.alterPartition(request, version: 3)) else {
            Issue.record("no answer to AlterPartition")
            return .unknownServerError
        }
        return response.errorCode != .none
            ? response.errorCode : response.topics.first?.partitions.first?.errorCode ?? .none
    }

    @discardableResult
    func setConfig(_ resource: ConfigResource, _ name: String, _ value: String?) -> ErrorCode {
        let request = IncrementalAlterConfigsRequest(resources: [
            .init(
                resourceType: resource.type, resourceName: resource.name,
                configs: [
                    .init(name: name, configOperation: value == nil ? 1 : 0, value: value)
                ])
        ])
        guard
            case .incrementalAlterConfigs(let response) = ask(.incrementalAlterConfigs(request))
        else { return .unknownServerError }
        return response.responses.first?.errorCode ?? .unknownServerError
    }

    // MARK: - Checks

    /// What must hold of the cluster's state at all times.
    static func check(
        _ image: MetadataImage, after before: MetadataImage? = nil,
        _ location: SourceLocation = #_sourceLocation
    ) {
        for topic in image.topics {
            for (index, partition) in topic.partitions.enumerated() {
                guard let p = partition else {
                    Issue.record("gap in \(topic.name)", sourceLocation: location)
                    continue
                }
                let where_ = "\(topic.name)-\(index): \(p)"
                func hold(_ condition: Bool, _ what: String) {
                    if !condition { Issue.record("\(what): \(where_)", sourceLocation: location) }
                }
                hold(Set(p.replicas).count == p.replicas.count, "replica twice")
                hold(p.isr.allSatisfy(p.replicas.contains), "ISR beyond replicas")
                hold(Set(p.isr).count == p.isr.count, "ISR member twice")
                hold(
                    p.eligibleLeaderReplicas.allSatisfy {
                        p.replicas.contains($0) && !p.isr.contains($0)
                    }, "eligible leaders")
                hold(p.addingReplicas.allSatisfy(p.replicas.contains), "adding beyond replicas")
                hold(p.removingReplicas.allSatisfy(p.replicas.contains), "removing beyond replicas")
                hold(p.leader == -1 || p.isr.contains(p.leader), "leader out of ISR")
                hold(p.leader == -1 || image.isActive(p.leader), "leader not active")
                hold(
                    p.isr.allSatisfy { image.brokers[$0]?.fenced == false }
                        || (p.leader == -1 && p.isr.count == 1), "fenced broker in ISR")
                hold(
                    p.leader != -1 || !p.isr.contains(where: image.isActive),
                    "no leader though one in sync is there")
                hold(
                    p.leader != -1 || !p.isr.isEmpty
                        || !p.eligibleLeaderReplicas.contains(where: image.isActive),
                    "no leader though an eligible one is there")
                hold(p.leader != -1 || p.isr.count <= 1, "ISR of several without a leader")
                hold(
                    p.directories.isEmpty || p.directories.count == p.replicas.count, "directories")
                if let was = before?.partition(topic.id, Int32(index)), was != p {
                    hold(p.partitionEpoch > was.partitionEpoch, "partition epoch")
                    hold(p.leaderEpoch >= was.leaderEpoch, "leader epoch")
                    hold(p.leader == was.leader || p.leaderEpoch > was.leaderEpoch, "leader, epoch")
                }
            }
        }
    }
}

extension MetadataReplay {
    /// Over a record of the quorum itself.
    fileprivate mutating func skip(to offset: Int64) {
        var changes: [MetadataChange] = []
        try? replay([], nextOffset: offset, into: &changes)
    }
}

/// A small generator for tests (SplitMix64).
struct TestRandom: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
