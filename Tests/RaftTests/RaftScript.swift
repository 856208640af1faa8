import NIOCore
import Raft
import Testing
import Timing

/// Runs a conversation with one node: lines that begin with `>` go in, the lines after each are
/// what must come out. Meant to be read.
struct RaftScript {
    private var node: RaftNode?
    private var log = MemoryRaftLog()
    private var stored: ElectionState?
    private var configuration = RaftConfiguration(
        nodeID: 1, directoryID: DirectoryID(high: 0, low: 1), clusterID: "c",
        voters: VoterSet(ids: [1, 2, 3]))
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var asked: [Int32: UInt64] = [:]
    private var nextToken: UInt64 = 0
    private var out: [String] = []

    /// The script as it should be.
    static func replay(_ script: String) -> String {
        var runner = RaftScript()
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") || line.isEmpty {
                runner.out.append(String(line))
            } else if line.hasPrefix(">") {
                runner.out.append(String(line))
                runner.run(Words(line.dropFirst()))
            }
        }
        return runner.out.joined(separator: "\n")
    }

    static func expect(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let actual = replay(script)
        if actual != script {
            Issue.record("the conversation went:\n\(actual)", sourceLocation: sourceLocation)
        }
    }

    // MARK: In

    private mutating func run(_ words: Words) {
        switch words.first {
        case "node": start(words)
        case "restart":
            node = nil
            boot()
        case "timer": step(.timer)
        case "wait": wait(words)
        case "log": out.append(describeLog())
        case "quorum": describeQuorum()
        case "vote", "begin", "end", "fetch", "chunk": request(words)
        case "answer": answer(words)
        case "refuse":
            step(.sendFailed(requestID: asked[words.number("refuse")] ?? 0))
        case "propose":
            let values = (0..<UInt64(words.number("propose") as Int64)).map { $0 }
            nextToken += 1
            step(.propose(MemoryRaftLog.encode(values), token: nextToken))
        case "snapshot":
            log.takeSnapshot(at: words.number("snapshot"), padding: 0)
            log.clean()
            out.append(describeLog())
        case "resign": step(.resign(epoch: words.number("epoch")))
        case "shutdown": step(.shutDown(timeout: .seconds(1)))
        case "fail":
            log.failsNext = true
            step(.timer)
        case "flushed":
            log.finishFlush(to: log.endOffset)
            step(.flushed)
        default: out.append("? \(words.first)")
        }
    }

    private mutating func start(_ words: Words) {
        configuration.nodeID = words.number("node")
        configuration.directoryID = DirectoryID(high: 0, low: UInt64(configuration.nodeID))
        configuration.voters = VoterSet(ids: words.numbers("voters"))
        log = MemoryRaftLog()
        for epoch in words.numbers("log") {
            var record = ByteBuffer()
            record.writeInteger(log.endOffset)
            record.writeInteger(epoch)
            record.writeInteger(UInt8(0))
            record.writeInteger(UInt64(0))
            try? log.appendAsFollower(record, leaderEpoch: epoch)
        }
        try? log.flush()
        log.flushesLater = words.has("lazy")
        stored =
            words.has("epoch")
            ? ElectionState(
                epoch: words.number("epoch"), leaderID: words.id("leader"),
                votedKey: words.id("voted").map { ReplicaKey(id: $0) }) : nil
        boot()
    }

    private mutating func boot() {
        node = RaftNode(
            configuration: configuration, log: log, election: stored, seed: 7, now: now)
        asked = [:]
        step(.timer)
    }

    private mutating func wait(_ words: Words) {
        if words.has("ms") {
            now = now + .milliseconds(words.number("ms"))
            return step(.timer)
        }
        guard let deadline = node?.nextDeadline else { return out.append("  nothing to wait for") }
        out.append("  after \(((deadline - now).count + 999_999) / 1_000_000) ms")
        now = max(now, deadline)
        step(.timer)
    }

    private mutating func step(_ event: RaftEvent) {
        guard let node else { return }
        let role = node.roleName
        for effect in node.step(event, now: now) { carryOut(effect) }
        if node.roleName != role { out.append("  is \(node.roleName)") }
    }

    private mutating func carryOut(_ effect: RaftEffect) {
        switch effect {
        case .persist(let state): stored = state
        case .send(_, let to, let requestID): asked[to] = requestID
        default: break
        }
        out.append("  " + RaftText.describe(effect))
    }

    private mutating func request(_ words: Words) {
        let from: Int32 = words.number("from")
        let cluster = words.has("cluster") ? words.word("cluster") : "c"
        let replica = ReplicaKey(
            id: from, directoryID: DirectoryID(high: 0, low: UInt64(max(0, from))))
        let epoch: Int32 = words.number("epoch")
        let request: RaftRequest
        switch words.first {
        case "vote":
            let last = words.position("last")
            let voter = words.has("voter") ? ReplicaKey(id: words.number("voter")) : nil
            request = .vote(
                VoteRequest(
                    clusterID: cluster, voter: voter, replicaEpoch: epoch, replica: replica,
                    lastOffsetEpoch: last.epoch, lastOffset: last.offset,
                    preVote: words.has("pre")))
        case "begin":
            request = .beginQuorumEpoch(
                BeginQuorumEpochRequest(
                    clusterID: cluster, voter: nil, leaderID: from, leaderEpoch: epoch))
        case "end":
            request = .endQuorumEpoch(
                EndQuorumEpochRequest(
                    clusterID: cluster, leaderID: from, leaderEpoch: epoch,
                    preferredCandidates: words.numbers("preferred").map { ReplicaKey(id: $0) }))
        case "fetch":
            let at = words.position("at")
            request = .fetch(
                FetchRequest(
                    clusterID: cluster, replica: replica, currentLeaderEpoch: epoch,
                    fetchOffset: at.offset, lastFetchedEpoch: at.epoch,
                    highWatermark: words.has("hw") ? words.number("hw") : .max,
                    maxWait: .milliseconds(words.has("ms") ? words.number("ms") : 200),
                    maxBytes: 1 << 20))
        default:
            request = .fetchSnapshot(
                FetchSnapshotRequest(
                    clusterID: cluster, replica: replica,
                    maxBytes: words.has("max") ? words.number("max") : 1 << 20,
                    currentLeaderEpoch: epoch, snapshotID: words.position("of"),
                    position: words.number("position")))
        }
        nextToken += 1
        step(.request(request, token: nextToken))
    }

    private mutating func answer(_ words: Words) {
        let from: Int32 = words.number("answer")
        let error = words.has("error") ? RaftText.error(words.word("error")) : RaftError.none
        let leader = words.id("leader")
        let epoch: Int32 = words.number("epoch")
        let response: RaftResponse
        switch words.second {
        case "vote":
            response = .vote(
                VoteResponse(
                    error: error, leaderID: leader, leaderEpoch: epoch,
                    voteGranted: words.has("granted")))
        case "begin":
            response = .beginQuorumEpoch(
                QuorumEpochResponse(error: error, leaderID: leader, leaderEpoch: epoch))
        case "end":
            response = .endQuorumEpoch(
                QuorumEpochResponse(error: error, leaderID: leader, leaderEpoch: epoch))
        case "fetch":
            var records = ByteBuffer()
            for position in words.positions("records") {
                records.writeInteger(position.offset)
                records.writeInteger(position.epoch)
                records.writeInteger(UInt8(0))
                records.writeInteger(UInt64(0))
            }
            response = .fetch(
                FetchResponse(
                    error: error, leaderID: leader, leaderEpoch: epoch,
                    highWatermark: words.has("hw") ? words.number("hw") : -1, logStartOffset: 0,
                    divergingEpoch: words.has("diverging") ? words.position("diverging") : nil,
                    snapshotID: words.has("snapshot") ? words.position("snapshot") : nil,
                    records: records))
        default:
            let id = words.position("of")
            let whole = MemoryRaftLog.encode(id, state: 0, padding: 0)
            let from: Int64 = words.number("position")
            let count = words.has("count") ? words.number("count") : whole.readableBytes
            let part = whole.getSlice(
                at: Int(from), length: min(count, whole.readableBytes - Int(from)))
            response = .fetchSnapshot(
                FetchSnapshotResponse(
                    error: error, leaderID: leader, leaderEpoch: epoch, snapshotID: id,
                    size: words.has("size") ? words.number("size") : Int64(whole.readableBytes),
                    position: from, unalignedRecords: part ?? ByteBuffer()))
        }
        step(.response(response, from: from, requestID: asked[from] ?? 0))
    }

    // MARK: Out

    private func describeLog() -> String {
        let epochs = log.records.map { "\($0.epoch)\($0.isLeaderChange ? "L" : "")" }
        return "  log \(log.startOffset)..\(log.endOffset) flushed \(log.flushedOffset)"
            + " epochs [\(epochs.joined(separator: " "))] hw \(node?.highWatermark ?? -1)"
    }

    private mutating func describeQuorum() {
        guard let description = node?.describe() else { return }
        out.append(
            "  \(description.error) leader \(RaftText.id(description.leaderID))"
                + " epoch \(description.leaderEpoch) hw \(description.highWatermark)")
        for (kind, replicas) in [
            ("voter", description.currentVoters), ("observer", description.observers),
        ] {
            for replica in replicas {
                out.append(
                    "  \(kind) \(replica.key.id) end \(replica.logEndOffset)"
                        + " fetched \(RaftText.age(replica.lastFetchAge))"
                        + " caught up \(RaftText.age(replica.lastCaughtUpAge))")
            }
        }
    }
}

/// One line of a script: words, of which some name the next.
struct Words {
    private let words: [String]

    init(_ line: Substring) { words = line.split(separator: " ").map(String.init) }

    var first: String { words.first ?? "" }
    var second: String { words.count > 2 ? words[2] : "" }
    func has(_ name: String) -> Bool { words.contains(name) }

    func word(_ name: String) -> String {
        guard let index = words.firstIndex(of: name), index + 1 < words.count else { return "" }
        return words[index + 1]
    }

    func number<T: FixedWidthInteger>(_ name: String) -> T { T(word(name)) ?? 0 }
    func id(_ name: String) -> Int32? { Int32(word(name)) }

    func numbers(_ name: String) -> [Int32] {
        word(name).split(separator: ",").compactMap { Int32($0) }
    }

    /// `offset@epoch`
    func position(_ name: String) -> OffsetAndEpoch {
        positions(name).first ?? OffsetAndEpoch(offset: 0, epoch: 0)
    }

    func positions(_ name: String) -> [OffsetAndEpoch] {
        word(name).split(separator: ",").compactMap { part in
            let numbers = part.split(separator: "@")
            guard numbers.count == 2, let offset = Int64(numbers[0]), let epoch = Int32(numbers[1])
            else { return nil }
            return OffsetAndEpoch(offset: offset, epoch: epoch)
        }
    }
}
