import NIOCore
import Raft
import SimulatedWorld
import Testing
import Timing

/// A peer, a clock and a disk without sense: whatever comes, a node neither traps nor answers a
/// question twice, nor says less than it said.
struct Monkey {
    private var bytes: ArraySlice<UInt8>
    private let log = MemoryRaftLog()
    private var node: RaftNode
    private var configuration: RaftConfiguration
    private var stored: ElectionState?
    private var now = Instant(nanoseconds: 1 << 40)
    private var asked: [(to: Int32, id: UInt64, request: RaftRequest)] = []
    private var nextToken: UInt64 = 0
    private var open: Set<UInt64> = []
    private(set) var problems: [String] = []
    private(set) var roles: Set<String> = []

    /// Plays until the bytes are used up.
    static func play(_ bytes: [UInt8]) -> Monkey {
        var monkey = Monkey(bytes)
        while !monkey.bytes.isEmpty { monkey.act() }
        return monkey
    }

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes[...]
        let first = bytes.first ?? 0
        configuration = RaftConfiguration(
            nodeID: first & 1 == 0 ? 1 : 7, directoryID: DirectoryID(high: 0, low: 1),
            clusterID: "c", voters: VoterSet(ids: first & 2 == 0 ? [1, 2, 3] : [1]))
        configuration.limits.parkedFetches = 3
        configuration.limits.pendingProposals = 3
        configuration.limits.observers = 2
        log.flushesLater = first & 4 != 0
        node = RaftNode(
            configuration: configuration, log: log, election: nil, seed: UInt64(first), now: now)
    }

    private mutating func byte() -> Int { Int(bytes.popFirst() ?? 0) }
    private mutating func flag() -> Bool { byte() & 1 == 1 }

    private mutating func number() -> Int64 {
        let some: [Int64] = [.min, .min + 1, -2, -1, 0, 1, 2, 3, 4, 5, 8, 1 << 31, .max - 1, .max]
        let near = [log.endOffset, log.startOffset, log.endOffset - 1, node.highWatermark]
        let index = byte() % (some.count + 2 * near.count)
        return index < some.count ? some[index] : near[(index - some.count) % near.count]
    }

    private mutating func epoch() -> Int32 {
        let own = node.epoch
        let some = [
            .min, -1, 0, own, own, own, own, own, own - 1, own + 1, own + 1, .max - 1, .max,
        ]
        return some[byte() % some.count]
    }

    private mutating func id() -> Int32 {
        let some: [Int32] = [1, 2, 3, 2, 3, 2, 3, 7, 8, -1, .min, .max]
        return some[byte() % some.count]
    }

    private mutating func position() -> OffsetAndEpoch {
        OffsetAndEpoch(offset: number(), epoch: epoch())
    }

    private mutating func cluster() -> String? { [nil, "c", "c", "c", "d"][byte() % 5] }

    private mutating func key() -> ReplicaKey {
        ReplicaKey(
            id: id(), directoryID: flag() ? DirectoryID(high: 0, low: UInt64(byte() & 3)) : nil)
    }

    private mutating func error() -> RaftError {
        byte() & 3 != 0 ? .none : RaftError.allCases[byte() % RaftError.allCases.count]
    }

    private mutating func records() -> ByteBuffer {
        var buffer = ByteBuffer()
        for index in 0..<byte() % 4 {
            buffer.writeInteger(byte() & 7 == 0 ? number() : log.endOffset + Int64(index))
            buffer.writeInteger(epoch())
            buffer.writeInteger(UInt8(byte() & 1))
            buffer.writeInteger(UInt64(byte()))
        }
        return byte() & 15 == 0 ? buffer.getSlice(at: 0, length: buffer.readableBytes / 2)! : buffer
    }

    private mutating func act() {
        switch byte() % 16 {
        case 0, 1: step(.timer)
        case 2:
            if let deadline = node.nextDeadline { now = max(now, deadline) }
            step(.timer)
        case 3:
            now = now + Nanoseconds(flag() ? Int64(byte()) * 10_000_000 : -5_000_000_000)
            step(.timer)
        case 4, 5, 6: request()
        case 7, 8, 9, 10, 11: response()
        case 12: step(.sendFailed(requestID: asked.last?.id ?? 0))
        case 13:
            nextToken += 1
            step(.propose(MemoryRaftLog.encode([UInt64(byte())]), token: nextToken))
        case 14:
            log.finishFlush(to: number())
            step(.flushed)
        default: rare()
        }
    }

    private mutating func rare() {
        switch byte() % 8 {
        case 0: step(.resign(epoch: epoch()))
        case 1: step(.shutDown(timeout: .milliseconds(Int64(byte()))))
        case 2: log.failsNext = true
        case 3:
            step(.cancelled(token: nextToken))
            open.remove(nextToken)
        case 4: log.takeSnapshot(at: node.highWatermark, padding: byte())
        case 5: log.clean()
        default:
            var random = SeededRandom(seed: UInt64(byte()))
            log.crash(random: &random)
            open = []
            node = RaftNode(
                configuration: configuration, log: log, election: stored, seed: 1, now: now)
        }
    }

    private mutating func step(_ event: RaftEvent) {
        let before = (node.epoch, node.highWatermark)
        let effects = node.step(event, now: now)
        roles.insert(node.roleName)
        if node.epoch < before.0 { problems.append("epoch falls") }
        if node.highWatermark < before.1 { problems.append("high watermark falls") }
        if node.highWatermark > log.endOffset { problems.append("high watermark beyond the log") }
        if effects.count > 40 { problems.append("\(effects.count) effects") }
        for effect in effects {
            switch effect {
            case .persist(let state): stored = state
            case .send(let request, let to, let id):
                asked.append((to, id, request))
                if to == configuration.nodeID { problems.append("speaks to itself") }
                if asked.count > 8 { asked.removeFirst() }
                if stored?.epoch ?? 0 != node.epoch { problems.append("speaks before it wrote") }
            case .reply(_, let token):
                if open.remove(token) == nil { problems.append("answers \(token) twice") }
            default: break
            }
        }
    }

    private mutating func request() {
        let maxWait = Nanoseconds(number())
        let maxBytes = Int(number())
        let request: RaftRequest =
            switch byte() % 6 {
            case 0:
                .vote(
                    VoteRequest(
                        clusterID: cluster(), voter: flag() ? key() : nil, replicaEpoch: epoch(),
                        replica: key(), lastOffsetEpoch: epoch(), lastOffset: number(),
                        preVote: flag()))
            case 1:
                .beginQuorumEpoch(
                    BeginQuorumEpochRequest(
                        clusterID: cluster(), voter: flag() ? key() : nil, leaderID: id(),
                        leaderEpoch: epoch()))
            case 2:
                .endQuorumEpoch(
                    EndQuorumEpochRequest(
                        clusterID: cluster(), leaderID: id(), leaderEpoch: epoch(),
                        preferredCandidates: (0..<byte() % 4).map { _ in key() }))
            case 3:
                .fetchSnapshot(
                    FetchSnapshotRequest(
                        clusterID: cluster(), replica: key(), maxBytes: maxBytes,
                        currentLeaderEpoch: epoch(),
                        snapshotID: flag() ? log.latestSnapshot ?? position() : position(),
                        position: number()))
            default:
                .fetch(
                    FetchRequest(
                        clusterID: cluster(), replica: key(), currentLeaderEpoch: epoch(),
                        fetchOffset: number(), lastFetchedEpoch: epoch(), highWatermark: number(),
                        maxWait: maxWait, maxBytes: maxBytes))
            }
        nextToken += 1
        open.insert(nextToken)
        step(.request(request, token: nextToken))
    }

    private mutating func response() {
        guard let last = asked.last else { return step(.timer) }
        let question = byte() & 7 == 0 ? asked[byte() % asked.count] : last
        let leader = flag() ? question.to : flag() ? nil : id()
        let top: RaftError = byte() & 15 == 0 ? error() : .none
        let error = error()
        let epoch = epoch()
        let response: RaftResponse
        switch question.request {
        case .vote:
            response = .vote(
                VoteResponse(
                    topLevelError: top, error: error, leaderID: leader, leaderEpoch: epoch,
                    voteGranted: byte() & 3 != 0))
        case .beginQuorumEpoch:
            response = .beginQuorumEpoch(
                QuorumEpochResponse(
                    topLevelError: top, error: error, leaderID: leader, leaderEpoch: epoch))
        case .endQuorumEpoch, .describeQuorum:
            response = .endQuorumEpoch(
                QuorumEpochResponse(
                    topLevelError: top, error: error, leaderID: leader, leaderEpoch: epoch))
        case .fetch:
            response = .fetch(
                FetchResponse(
                    topLevelError: top, error: error, leaderID: leader, leaderEpoch: epoch,
                    highWatermark: number(), logStartOffset: number(),
                    divergingEpoch: byte() & 7 == 0 ? position() : nil,
                    snapshotID: byte() & 7 == 0 ? position() : nil, records: records()))
        case .fetchSnapshot(let asked):
            let whole = MemoryRaftLog.encode(asked.snapshotID, state: 0, padding: 0)
            response = .fetchSnapshot(
                FetchSnapshotResponse(
                    topLevelError: top, error: error, leaderID: leader, leaderEpoch: epoch,
                    snapshotID: flag() ? asked.snapshotID : position(),
                    size: byte() & 3 == 0 ? number() : Int64(whole.readableBytes),
                    position: byte() & 3 == 0 ? number() : asked.position,
                    unalignedRecords: byte() & 3 == 0 ? records() : whole))
        }
        let kind = byte() & 31 == 0 ? RaftResponse.vote(VoteResponse()) : response
        step(.response(kind, from: question.to, requestID: question.id))
    }
}

@Suite struct MonkeyTests {
    @Test func nonsenseIsSurvived() {
        var roles: Set<String> = []
        for seed in UInt64(1)...(seedsPerTest * 5) {
            var random = SeededRandom(seed: seed)
            let bytes = (0..<2_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let monkey = Monkey.play(bytes)
            roles.formUnion(monkey.roles)
            if let problem = monkey.problems.first { Issue.record("seed \(seed): \(problem)") }
        }
        let all: Set<String> = [
            "unattached", "unattached-voted", "prospective", "candidate", "leader", "follower",
            "observer", "resigned",
        ]
        #expect(roles == all)
    }
}
