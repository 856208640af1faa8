import Addresses
import SliceModel
import Timing

/// One connection's state that both directions have.
struct DirectoryLink: Sendable {
    let stream: DirectoryStream
    let openedAt: Instant
    var decoder = DirectoryFrameDecoder()
    var lastHeard: Instant
    /// Given to the connection and not yet gone.
    var inFlight = 0
    /// Since when it has not moved.
    var blockedSince: Instant?

    init(_ stream: DirectoryStream, now: Instant) {
        self.stream = stream
        openedAt = now
        lastHeard = now
    }

    mutating func sent(_ count: Int, now: Instant) {
        if inFlight == 0 { blockedSince = now }
        inFlight += count
    }

    mutating func drained(_ count: Int, now: Instant) {
        inFlight = max(0, inFlight - max(0, count))
        blockedSince = inFlight == 0 ? nil : now
    }

    func isSlow(at now: Instant, after limit: Nanoseconds) -> Bool {
        blockedSince.map { now - $0 >= limit } ?? false
    }
}

/// The stream on which a peer's records come.
struct Following: Sendable {
    enum Phase: Sendable {
        case idle
        case connecting
        /// Hello is said.
        case greeted
        case live
    }

    var phase = Phase.idle
    var link: DirectoryLink?
    var retryAt: Instant
    /// In a row; the next attempt waits the longer.
    var failures = 0
    /// Which of the peer's addresses is next.
    var turn = 0
    var lastError: String?
    /// Of this stream.
    var incarnation: UInt64 = 0
    /// The version at which the peer was when it welcomed us.
    var target: UInt64 = 0
    /// Since the stream began we have been where the peer was.
    var isSynced = false
    /// A snapshot that is being received, and how far it is.
    var shadow: ClusterEntries?
    /// The version up to which all was heard.
    var heard: UInt64 = 0
    /// Changes that belong together and have not all come.
    var held: [DirectoryChange] = []

    init(now: Instant) { retryAt = now }
}

/// The stream on which a peer follows us.
struct Serving: Sendable {
    /// A snapshot under way: keys in order, as they are when it is their turn, and what changed
    /// meanwhile once more at the end. So nothing is kept for a slow reader.
    struct Walk: Sendable {
        var hasBegun = false
        var last: DirectoryKey?
        var isThrough = false
    }

    var link: DirectoryLink
    var incarnation: UInt64 = 0
    var walk: Walk?
    /// Own changes up to this version are sent.
    var sent: UInt64 = 0
    /// What the peer says that it has.
    var acknowledged: UInt64 = 0
    var manifest: (document: [UInt8], place: Int)?

    init(link: DirectoryLink) { self.link = link }
}

/// Another cluster: what it is by the manifest, what it says, and the streams to and from it.
struct DirectoryPeer: Sendable {
    var cluster: DirectorySlice.Cluster
    var entries: ClusterEntries
    /// What `entries` are of: 0 is nothing.
    var entriesIncarnation: UInt64 = 0
    var version: UInt64 = 0
    /// What is there cannot be added to: all has to be said anew.
    var needsAll = false
    /// The newest that was heard of.
    var incarnation: UInt64 = 0
    var lastWord: Instant?
    var facts: DirectoryFacts?
    var following: Following
    var serving: Serving?
    /// Accepted, and silent so far.
    var waiting: Serving?
    var nextJudging: Instant
    var faults: [(kind: DirectoryProblem.Kind, at: Instant)] = []
    var refusedManifests: [DirectoryDigest] = []
    var manifestRefusals = 0
    var manifestNotBefore: Instant
    var lastReport: [(kind: DirectoryProblem.Kind, at: Instant)] = []

    init(_ cluster: DirectorySlice.Cluster, entries: ClusterEntries, now: Instant) {
        self.cluster = cluster
        self.entries = entries
        following = Following(now: now)
        nextJudging = now
        manifestNotBefore = now
    }

    var name: ClusterName { cluster.name }

    /// The same number may come again: what matters is that it is not forgotten which.
    mutating func remember(_ digest: DirectoryDigest) {
        if refusedManifests.count >= 16 { refusedManifests.removeFirst() }
        refusedManifests.append(digest)
        manifestRefusals += 1
    }
}
