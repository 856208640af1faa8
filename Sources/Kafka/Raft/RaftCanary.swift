/// A bug that can be put in on purpose, so that the tests can show that they would find it. Nothing
/// outside of tests names one.
package enum RaftCanary: Sendable, CaseIterable {
    /// Gives its vote to everyone who asks.
    case votesTwice
    /// Takes votes and fetches of any epoch for ones of its own, and answers in that epoch.
    case skipsEpochCheck
    /// Speaks of records that are not flushed as if they were.
    case forgetsFlush
    /// Speaks of votes and epochs that are not on disk.
    case forgetsPersist
    /// Counts replicas of records from earlier epochs (Raft, section 5.4.2, figure 8).
    case commitsOlderEpochs
}
