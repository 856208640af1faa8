import Raft
import Timing

// What Raft has to say, in words.

extension QuorumNode {
    /// What Raft warns of, once and then at growing intervals.
    func warn(_ warning: RaftWarning) {
        let subject: String
        let words: String
        switch warning {
        case .refused(_, .inconsistentClusterID): return  // See `refusedAsStranger`.
        case .refused(let id, let error):
            subject = "refused \(id) \(error)"
            words = "controller \(place(of: id)) refuses what this node asks: \(error)"
        case .inconsistentLeader(let epoch, let known, let claimed):
            subject = "leader \(claimed)"
            words =
                "controller \(claimed) is said to lead in epoch \(epoch), in which "
                + (known.map { "\($0) does" } ?? "this one has voted otherwise")
        case .unknownVoter(let key):
            subject = "voter \(key.id)"
            words =
                "node \(key.id) speaks as a controller, and controller.quorum.voters does not "
                + "have it: that must be the same on all nodes"
        case .truncationBelowHighWatermark(let asked, let highWatermark):
            subject = "truncation"
            words =
                "the leader wants the metadata log cut at offset \(asked), below what is "
                + "committed, \(highWatermark): that is refused. Has a controller lost its disk?"
        case .snapshotBelowHighWatermark(let id, let highWatermark):
            subject = "snapshot below"
            words =
                "the leader offers a snapshot up to offset \(id.offset), below what is committed "
                + "here, \(highWatermark): that is refused. Has a controller lost its disk?"
        case .implausibleSnapshot(let id):
            subject = "snapshot"
            words = "the leader offers a snapshot that cannot be, up to offset \(id.offset)"
        case .invalidRecords(let id, let reason):
            subject = "records \(id)"
            words = "records from controller \(place(of: id)) are refused: \(reason)"
        case .invalidSnapshot(let id, let snapshot, let reason):
            subject = "snapshot \(id)"
            words =
                "the snapshot up to offset \(snapshot.offset) from controller \(place(of: id)) is "
                + "refused: \(reason)"
        case .lostQuorum(let epoch):
            subject = "quorum \(epoch)"
            words =
                "this controller stops leading in epoch \(epoch): a majority of "
                + "controller.quorum.voters does not fetch from it any more"
        case .leaderConnectionRefused(let id):
            subject = "connection \(id)"
            words = "controller \(place(of: id)), which leads, takes no connections"
        }
        if contacts.reminders.isDue(subject, now) { say(.warning, words) }
    }
}

extension RaftLogError {
    var words: String {
        switch self {
        case .invalidRecords(let reason): "invalid records: \(reason)"
        case .storage(let reason): reason
        }
    }
}

extension ProposalRefusal {
    var words: String {
        switch self {
        case .notLeader: "this controller does not lead"
        case .empty: "there is nothing in it"
        case .tooLarge: "it is too large"
        case .tooManyPending: "too many wait to be committed"
        case .invalidRecords(let reason): "its records are invalid: \(reason)"
        }
    }
}

extension QuorumNode {
    // MARK: Log and failure

    func say(_ level: NodeLog.Level, _ message: String, about: LogSubject = LogSubject()) {
        effects.append(.node(.log(NodeLog(level, message, about))))
    }

    func fail(_ message: String) {
        guard !hasFailed else { return }
        hasFailed = true
        effects.append(.node(.fail(message)))
    }
}
