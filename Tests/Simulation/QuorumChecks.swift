import BrokerCore
import CommitLog
import KafkaWire
import Metadata
import NIOCore
import Replication

/// Who asks for a vote, and in which epoch.
struct Candidate {
    let id: Int32
    let epoch: Int32
    let isPreVote: Bool

    init?(_ frame: ClusterSimulation.Frame) {
        guard frame.apiKey == VoteRequest.apiKey else { return nil }
        var reader = WireReader(frame.bytes)
        let header = HeaderVersion.request(apiKey: frame.apiKey, version: frame.version)
        guard (try? RequestHeader(from: &reader, version: header)) != nil,
            let request = try? VoteRequest(from: &reader, version: frame.version),
            let asked = request.topics.first?.partitions.first
        else { return nil }
        id = asked.candidateId
        epoch = asked.candidateEpoch
        isPreVote = asked.preVote
    }
}

/// What must hold of the metadata quorum (Raft, figure 3).
final class QuorumChecks {
    private struct Vote: Hashable {
        var voter: Int32
        var epoch: Int32
    }

    /// A stretch of the log that some node took for committed.
    private struct Committed {
        var records: [MetadataRecord]
        /// The epoch it was written in, and the one in which it was committed.
        var epoch: Int32?
        var committedIn: Int32
    }

    private struct Known {
        var epoch: Int32 = 0
        /// The largest epoch that it has answered with.
        var saidEpoch: Int32 = 0
        /// Of its process.
        var highWatermark: Int64 = 0
        var leads: Int32 = -1
    }

    private var known: [Known]
    private var leaders: [Int32: Int32] = [:]
    private var votes: [Vote: Int32] = [:]
    /// By the offset behind each.
    private var committed: [Int64: Committed] = [:]
    private var committedEnds: [Int64] = []

    init(nodes: Int) { known = Array(repeating: Known(), count: nodes) }

    func started(_ node: SimulatedNode) {
        // What a process takes for committed it learns anew.
        known[node.index].highWatermark = 0
        known[node.index].leads = -1
    }

    /// An observer with a new disk has promised nothing.
    func forgot(_ node: SimulatedNode) { known[node.index] = Known() }

    // MARK: State

    func check(_ node: SimulatedNode, _ quorum: QuorumNode) throws {
        let before = known[node.index]
        let epoch = quorum.epoch
        guard epoch >= before.epoch else {
            throw Violation("the epoch of node \(node.id) fell from \(before.epoch) to \(epoch)")
        }
        known[node.index].epoch = epoch
        let highWatermark = quorum.highWatermark
        if highWatermark != before.highWatermark {
            guard highWatermark >= before.highWatermark else {
                throw Violation(
                    "the high watermark of node \(node.id) fell from \(before.highWatermark) to "
                        + "\(highWatermark)")
            }
            known[node.index].highWatermark = highWatermark
        }
        if let log = node.metadataLog, log.logEndOffset < highWatermark {
            throw Violation(
                "the metadata log of node \(node.id) ends at \(log.logEndOffset), below its high "
                    + "watermark \(highWatermark)")
        }
        guard quorum.isLeader, before.leads != epoch else { return }
        known[node.index].leads = epoch
        if let other = leaders.updateValue(node.id, forKey: epoch), other != node.id {
            throw Violation("epoch \(epoch) has two leaders, \(other) and \(node.id)")
        }
        try checkComplete(node, epoch)
    }

    /// A leader has everything that was committed in earlier epochs. One that has been replaced
    /// without knowing it need not have more.
    private func checkComplete(_ node: SimulatedNode, _ epoch: Int32) throws {
        guard let log = node.metadataLog else { return }
        let last = committedEnds.last { (committed[$0]?.committedIn ?? .max) < epoch }
        guard let last, let entry = committed[last], last > log.logStartOffset else { return }
        guard log.logEndOffset >= last,
            entry.epoch == nil || log.epoch(at: last - 1) == entry.epoch
        else {
            throw Violation(
                "controller \(node.id) leads in epoch \(epoch) without what was committed up to "
                    + "\(last) in epoch \(entry.epoch ?? -1)")
        }
    }

    func committed(_ update: MetadataUpdate, on node: SimulatedNode) -> String? {
        guard update.image == nil, let quorum = node.quorum else { return nil }
        let epoch = node.metadataLog?.epoch(at: update.nextOffset - 1)
        guard let other = committed[update.nextOffset] else {
            committed[update.nextOffset] = Committed(
                records: update.records, epoch: epoch, committedIn: quorum.epoch)
            // Nodes tell in their own time, but each in order.
            let place = committedEnds.lastIndex { $0 < update.nextOffset }
            committedEnds.insert(update.nextOffset, at: place.map { $0 + 1 } ?? 0)
            return nil
        }
        guard other.records == update.records,
            epoch == nil || other.epoch == nil || epoch == other.epoch
        else {
            return "node \(node.id) committed other metadata than another up to offset "
                + "\(update.nextOffset)"
        }
        committed[update.nextOffset]?.committedIn = min(other.committedIn, quorum.epoch)
        return nil
    }

    // MARK: Answers

    /// What a node says to others it must hold to, whatever becomes of its process.
    func answered(
        _ debt: ClusterSimulation.Owed, _ body: ByteBuffer?, by node: SimulatedNode
    ) -> String? {
        guard let body else { return nil }
        let version = debt.version
        switch debt.apiKey {
        case VoteRequest.apiKey:
            guard let answer = try? VoteResponse(body, version: version),
                let partition = answer.topics.first?.partitions.first
            else { return nil }
            return says(partition.leaderEpoch, node)
                ?? granted(partition.voteGranted, debt.candidate, node)
        case BeginQuorumEpochRequest.apiKey:
            let answer = try? BeginQuorumEpochResponse(body, version: version)
            return says(answer?.topics.first?.partitions.first?.leaderEpoch, node)
        case EndQuorumEpochRequest.apiKey:
            let answer = try? EndQuorumEpochResponse(body, version: version)
            return says(answer?.topics.first?.partitions.first?.leaderEpoch, node)
        case FetchRequest.apiKey:
            let answer = try? FetchResponse(body, version: version)
            let partition = answer?.responses.first?.partitions.first
            return says(partition?.currentLeader.leaderEpoch, node)
        default: return nil
        }
    }

    private func says(_ epoch: Int32?, _ node: SimulatedNode) -> String? {
        guard let epoch, epoch >= 0 else { return nil }
        let before = known[node.index].saidEpoch
        known[node.index].saidEpoch = max(before, epoch)
        return epoch >= before
            ? nil : "node \(node.id) answers in epoch \(epoch), and has answered in \(before)"
    }

    private func granted(
        _ isGranted: Bool, _ candidate: Candidate?, _ node: SimulatedNode
    ) -> String? {
        guard isGranted, let candidate, !candidate.isPreVote else { return nil }
        let vote = Vote(voter: node.id, epoch: candidate.epoch)
        guard let other = votes.updateValue(candidate.id, forKey: vote), other != candidate.id
        else { return nil }
        return "node \(node.id) votes for \(other) and for \(candidate.id) in epoch "
            + "\(candidate.epoch)"
    }
}
