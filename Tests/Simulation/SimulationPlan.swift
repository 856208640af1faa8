import BrokerConfig
import SimulatedWorld
import Timing

struct SimulationOptions {
    var seed: UInt64
    var seconds: Int64 = 60
    var canary: Canary?
    var isVerbose = false
}

/// What kind of cluster a seed is, and what its faults are like.
struct SimulationPlan {
    /// Nodes 1...brokers are brokers, 1...voters are controllers.
    let brokers: Int
    let voters: Int
    let conditions: LinkConditions
    /// What client does how much.
    let clientPause: ClosedRange<Nanoseconds>
    let producePerMille: Int
    let troublePause: ClosedRange<Nanoseconds>
    /// How long an fsync takes.
    let flushTime: ClosedRange<Nanoseconds>
    /// Small segments, so that they roll, are deleted and compacted.
    let hasSmallSegments: Bool
    /// Snapshots of the metadata after so many bytes.
    let snapshotBytes: Int
    let sessionTimeoutMs: Int32

    init(_ random: inout SeededRandom) {
        brokers = random.pick([3, 3, 3, 4])
        voters = random.pick([3, 3, 3, 5])
        let isFar = random.chance(perMille: 300)
        conditions = LinkConditions(
            delay: isFar
                ? .milliseconds(5) ... .milliseconds(60)
                : .microseconds(200) ... .milliseconds(12),
            lossPerMille: random.pick([0, 2, 10]), duplicationPerMille: random.pick([0, 5]),
            reorders: true)
        clientPause = .milliseconds(5) ... .milliseconds(random.pick([60, 120]))
        producePerMille = random.pick([100, 300, 600])
        troublePause = .milliseconds(100) ... .milliseconds(random.pick([1_500, 4_000, 8_000]))
        flushTime = .microseconds(50) ... .milliseconds(random.pick([1, 1, 10, 80]))
        hasSmallSegments = random.chance(perMille: 500)
        snapshotBytes = random.pick([3_000, 20_000, 20_971_520])
        sessionTimeoutMs = random.pick([1_000, 3_000])
    }

    var nodes: Int { max(brokers, voters) }
    /// Where the clients are: a place of its own, which is never cut off from all.
    var clientPlace: Int { nodes }

    func config(_ id: Int32) throws -> BrokerConfig {
        var roles: [String] = []
        var listeners: [String] = []
        if Int(id) <= brokers {
            roles.append("broker")
            listeners.append("PLAINTEXT://n\(id):9092")
        }
        if Int(id) <= voters {
            roles.append("controller")
            listeners.append("CONTROLLER://n\(id):9093")
        }
        let voters = (1...self.voters).map { "\($0)@n\($0):9093" }
        var text = """
            node.id=\(id)
            process.roles=\(roles.joined(separator: ","))
            controller.quorum.voters=\(voters.joined(separator: ","))
            listeners=\(listeners.joined(separator: ","))
            broker.rack=cluster-\(id)
            default.replication.factor=3
            min.insync.replicas=2
            offsets.topic.num.partitions=2
            offsets.topic.replication.factor=3
            auto.create.topics.enable=false
            log.flush.interval.messages=1
            initial.broker.registration.timeout.ms=600000
            group.initial.rebalance.delay.ms=200
            group.min.session.timeout.ms=500
            log.retention.check.interval.ms=2500
            metadata.log.max.record.bytes.between.snapshots=\(snapshotBytes)

            """
        if hasSmallSegments {
            text += """
                log.roll.ms=2000
                log.segment.delete.delay.ms=1000
                log.cleaner.backoff.ms=1000
                log.cleaner.min.cleanable.ratio=0.05

                """
        }
        return try BrokerConfig(PropertiesFile(parsing: text))
    }
}
