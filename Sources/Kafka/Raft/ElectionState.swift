/// What survives a restart besides the log: Kafka's QuorumStateData in the file `quorum-state`.
package struct ElectionState: Hashable, Sendable {
    package var epoch: Int32
    package var leaderID: Int32?
    /// To whom this replica gave its vote in `epoch`.
    package var votedKey: ReplicaKey?

    package init(epoch: Int32 = 0, leaderID: Int32? = nil, votedKey: ReplicaKey? = nil) {
        self.epoch = epoch
        self.leaderID = leaderID
        self.votedKey = votedKey
    }
}

extension ElectionState: CustomStringConvertible {
    package var description: String {
        "epoch \(epoch) leader \(leaderID.map { "\($0)" } ?? "-")"
            + " voted \(votedKey.map { "\($0)" } ?? "-")"
    }
}
