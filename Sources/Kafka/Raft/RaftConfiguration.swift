import Timing

/// How long to wait for what.
///
/// The defaults are for a quorum stretched over up to 100 ms of round trip that must have a new
/// leader well within 2 s of losing one:
///
/// - A follower's long poll lasts 200 ms, so that an idle leader is heard of every 300 ms at 100 ms
///   round trip. The fetch timeout of 800 ms (Kafka: 2 s) spans that and a lost segment (TCP's
///   first retransmission comes about 300 ms after it) with 200 ms to spare; up to an eighth more
///   of jitter lets one follower be first.
/// - A false alarm of one follower costs nothing: the others, who hear the leader, refuse its
///   pre-vote (KIP-996), and its epoch stays. Only when a majority has heard nothing for 800 ms is
///   there an election.
/// - An election is two round trips, pre-vote and vote, and two flushes: 200 to 250 ms at 100 ms.
///   Its timeout of 400 ms plus as much jitter (Kafka: 1 s) covers that. Of two who ask at once
///   one yields, so that hardly a vote is split.
/// - So a leader behind a cut is replaced after 0.8 to 1.3 s. One whose process died is found
///   sooner, because its connections are refused: three refusals, 50 ms apart, are taken for its
///   end, unless a majority still hears it.
/// - The old leader steps down 1.2 s after a majority stopped fetching (Kafka's factor 1.5).
package struct RaftTiming: Hashable, Sendable {
    /// `controller.quorum.election.timeout.ms`; as much again, at most, is added at random.
    package var electionTimeout: Nanoseconds
    /// `controller.quorum.election.backoff.max.ms`
    package var electionBackoffMax: Nanoseconds
    /// `controller.quorum.fetch.timeout.ms`
    package var fetchTimeout: Nanoseconds
    /// At most so much is added to the fetch timeout at random.
    package var fetchTimeoutJitter: Nanoseconds
    package var fetchMaxWait: Nanoseconds
    /// `controller.quorum.request.timeout.ms`: then a request is taken for lost and sent again.
    package var requestTimeout: Nanoseconds
    /// `controller.quorum.retry.backoff.ms`
    package var retryBackoff: Nanoseconds
    /// `controller.quorum.append.linger.ms`: how long proposals wait for company. Zero still
    /// gathers those that come before the next timer event.
    package var appendLinger: Nanoseconds
    /// So many refused connections in a row end a follower's trust in its leader.
    package var refusalsBeforeElection: Int
    /// An observer that did not fetch for so long is forgotten.
    package var observerSession: Nanoseconds

    package init(
        electionTimeout: Nanoseconds = .milliseconds(400),
        electionBackoffMax: Nanoseconds = .milliseconds(400),
        fetchTimeout: Nanoseconds = .milliseconds(800),
        requestTimeout: Nanoseconds = .milliseconds(500),
        retryBackoff: Nanoseconds = .milliseconds(50),
        appendLinger: Nanoseconds = .zero
    ) {
        self.electionTimeout = electionTimeout
        self.electionBackoffMax = electionBackoffMax
        self.fetchTimeout = fetchTimeout
        self.requestTimeout = requestTimeout
        self.retryBackoff = retryBackoff
        self.appendLinger = appendLinger
        fetchTimeoutJitter = Nanoseconds(fetchTimeout.count / 8)
        fetchMaxWait = Nanoseconds(fetchTimeout.count / 4)
        refusalsBeforeElection = 3
        observerSession = .seconds(300)
    }

    /// Within it a majority must have fetched, or the leader resigns.
    package var checkQuorumTimeout: Nanoseconds {
        fetchTimeout + Nanoseconds(fetchTimeout.count / 2)
    }

    /// A voter that has not fetched for so long is told again who leads.
    package var beginQuorumEpochInterval: Nanoseconds { Nanoseconds(fetchTimeout.count / 2) }
}

package struct RaftLimits: Hashable, Sendable {
    /// Of one fetch, and of one part of a snapshot (Kafka: 8 MiB). A whole answer must come within
    /// the request timeout: 1 MiB does over 20 Mbit/s, and slower links are asked for less.
    package var maxFetchBytes = 1 << 20
    package var minFetchBytes = 16 << 10
    /// Kafka's 8 MiB.
    package var maxProposalBytes = 8 << 20
    package var pendingProposals = 10_000
    package var pendingProposalBytes = 64 << 20
    /// Long polls that wait; one more is answered at once.
    package var parkedFetches = 1_000
    /// Observers that are remembered; one more is served and not remembered.
    package var observers = 1_000
    package var maxSnapshotBytes: Int64 = 1 << 32

    package init() {}
}

package struct RaftConfiguration: Hashable, Sendable {
    package var nodeID: Int32
    package var directoryID: DirectoryID
    package var clusterID: String
    package var voters: VoterSet
    package var timing: RaftTiming
    package var limits: RaftLimits

    package init(
        nodeID: Int32, directoryID: DirectoryID, clusterID: String, voters: VoterSet,
        timing: RaftTiming = RaftTiming(), limits: RaftLimits = RaftLimits()
    ) {
        self.nodeID = nodeID
        self.directoryID = directoryID
        self.clusterID = clusterID
        self.voters = voters
        self.timing = timing
        self.limits = limits
    }

    package var key: ReplicaKey { ReplicaKey(id: nodeID, directoryID: directoryID) }
}
