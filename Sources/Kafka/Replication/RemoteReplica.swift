import Timing

/// A follower as its leader knows it, from the follower's fetches.
package struct RemoteReplica: Equatable, Sendable {
    package let brokerId: Int32
    /// The follower's log end offset; -1 until it has fetched.
    package internal(set) var logEndOffset: Int64 = -1
    package internal(set) var logStartOffset: Int64 = -1
    /// Under which broker epoch it fetched last (KIP-903); -1 where the fetch carried none.
    package internal(set) var brokerEpoch: Int64?
    /// The latest moment at which the follower had all that the leader had then.
    package internal(set) var lastCaughtUp: Instant?
    package internal(set) var isInISR = false
    /// In the ISR, or about to be: an AlterPartition that adds it is under way (KIP-497).
    package internal(set) var isInMaximalISR = false

    var lastFetch: Instant?
    /// Where the leader's log ended at a fetch that the follower has not reached yet. Kafka
    /// compares with the fetch before; of a follower that keeps several fetches under way, none
    /// has what the leader had at the one before.
    private var mark: Mark?

    private struct Mark: Equatable, Sendable {
        var time: Instant
        var leaderEnd: Int64
    }

    init(brokerId: Int32) { self.brokerId = brokerId }

    /// A follower is behind when it has not been at the leader's log end for longer than
    /// `replica.lag.time.max.ms`; one that is at the end is never behind.
    func isCaughtUp(leaderEnd: Int64, now: Instant, maxLag: Nanoseconds) -> Bool {
        if logEndOffset == leaderEnd { return true }
        guard let lastCaughtUp else { return false }
        return now - lastCaughtUp <= maxLag
    }

    /// A fetch at `offset` arrived: the follower has everything below it.
    mutating func fetched(
        at offset: Int64, logStart: Int64, leaderEnd: Int64, brokerEpoch: Int64, now: Instant
    ) {
        if offset >= leaderEnd {
            caughtUp(at: now)
            mark = Mark(time: now, leaderEnd: leaderEnd)
        } else if let reached = mark {
            if offset >= reached.leaderEnd {
                // It now has all that the leader had then.
                caughtUp(at: reached.time)
                mark = Mark(time: now, leaderEnd: leaderEnd)
            }
        } else {
            mark = Mark(time: now, leaderEnd: leaderEnd)
        }
        logStartOffset = logStart
        logEndOffset = offset
        lastFetch = now
        self.brokerEpoch = brokerEpoch
    }

    /// The follower's session asked for this partition up to `time` and was at the end all along,
    /// which an incremental fetch does not say again.
    mutating func remainedCaughtUp(until time: Instant) {
        caughtUp(at: time)
        if let last = lastFetch, last >= time { return }
        lastFetch = time
    }

    private mutating func caughtUp(at time: Instant) {
        if let last = lastCaughtUp, last >= time { return }
        lastCaughtUp = time
    }

    /// A new leader epoch began. A leader that led before keeps what it knows of its followers,
    /// but none is brought back into the ISR before it has fetched again.
    mutating func beginEpoch(isNewLeader: Bool, leaderEnd: Int64, now: Instant) {
        lastCaughtUp = isInISR ? now : nil
        if isNewLeader {
            logEndOffset = -1
            logStartOffset = -1
            brokerEpoch = nil
            lastFetch = nil
            mark = nil
        } else {
            lastFetch = isInISR ? now : nil
            mark = isInISR ? Mark(time: now, leaderEnd: leaderEnd) : nil
        }
    }
}
