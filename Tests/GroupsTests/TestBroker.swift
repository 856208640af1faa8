import Groups
import KafkaWire
import NIOCore
import Timing

struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension GroupCoordinatorConfig {
    static func with(_ change: (inout Self) -> Void) -> Self {
        var config = Self()
        change(&config)
        return config
    }
}

/// A coordinator with a log of its own, in place of a broker.
final class TestBroker {
    struct InFlight {
        var partition: Int32
        var batch: ByteBuffer
        var token: UInt64
    }

    let coordinator: GroupCoordinator
    let partitionCount: Int32
    var now = Instant(nanoseconds: 1_000_000_000)
    /// Milliseconds since the start are what scripts see.
    static let startMs: Int64 = 1_700_000_000_000
    var wallMs: Int64 {
        Self.startMs + Int64(now.nanoseconds / 1_000_000) - 1_000
    }

    /// What is committed, batch by batch.
    var logs: [Int32: [ByteBuffer]] = [:]
    var inFlight: [InFlight] = []
    /// Batches wait for `commit`; else they are committed as they come.
    var holds = false
    var replies: [(token: UInt64, response: GroupResponse)] = []
    var onBatch: ((Int32, ByteBuffer) -> Void)?
    var onReply: ((UInt64, GroupResponse) -> Void)?
    private var epochs: [Int32: Int32] = [:]
    private var lastToken: UInt64 = 0

    init(config: GroupCoordinatorConfig = .init(), partitions: Int32 = 1, seed: UInt64 = 1) {
        partitionCount = partitions
        coordinator = GroupCoordinator(
            config: config, partitionCount: partitions, random: SplitMix64(state: seed))
    }

    func leadAll() {
        for index in 0..<partitionCount { lead(index) }
    }

    func lead(_ index: Int32) {
        startLeading(index)
        for batch in logs[index] ?? [] { step(.loadRecords(index, epoch: epoch(index), batch)) }
        step(.loadFinished(index, epoch: epoch(index)))
    }

    func startLeading(_ index: Int32) {
        epochs[index, default: 0] += 1
        step(.partitionLed(index, epoch: epoch(index)))
    }

    func epoch(_ index: Int32) -> Int32 { epochs[index] ?? 0 }

    func lose(_ index: Int32) {
        step(.partitionLost(index, epoch: epoch(index)))
        inFlight.removeAll { $0.partition == index }
    }

    func step(_ event: GroupEvent) {
        for effect in coordinator.step(event, now: now, wallMs: wallMs) {
            switch effect {
            case .append(let partition, let batch, let token):
                onBatch?(partition, batch)
                inFlight.append(InFlight(partition: partition, batch: batch, token: token))
            case .reply(let token, let response):
                replies.append((token, response))
                onReply?(token, response)
            }
        }
        if !holds { commitAll() }
    }

    func commitAll() {
        while !inFlight.isEmpty { commit() }
    }

    /// The oldest batch in flight.
    func commit(_ index: Int = 0) {
        guard inFlight.indices.contains(index) else { return }
        let batch = inFlight.remove(at: index)
        logs[batch.partition, default: []].append(batch.batch)
        step(.appended(token: batch.token, .committed))
    }

    func refuse(_ error: ErrorCode, _ index: Int = 0) {
        guard inFlight.indices.contains(index) else { return }
        let batch = inFlight.remove(at: index)
        step(.appended(token: batch.token, .refused(error)))
    }

    /// Lets time pass, and wakes the coordinator whenever it asked for that.
    func wait(milliseconds: Int64) {
        let end = now + .milliseconds(milliseconds)
        while let deadline = coordinator.nextDeadline, deadline <= end {
            now = max(now, deadline)
            step(.timer)
        }
        now = end
    }

    func send(_ request: GroupRequest, _ client: GroupClient) -> UInt64 {
        lastToken += 1
        step(.request(token: lastToken, request, client))
        return lastToken
    }

    /// Sends a request that is answered at once.
    func ask(_ request: GroupRequest, version: Int16, clientId: String = "test") -> GroupResponse? {
        let token = send(
            request, GroupClient(version: version, clientId: clientId, host: "/10.0.0.1"))
        return replies.last { $0.token == token }?.response
    }
}

extension ByteBuffer {
    var text: String { String(decoding: readableBytesView, as: UTF8.self) }
}

/// A consumer's subscription of version 0 and its user data.
func subscription(_ topics: [String]) -> ByteBuffer {
    ConsumerProtocolSubscription(topics: topics).versionPrefixed(version: 0)
}
