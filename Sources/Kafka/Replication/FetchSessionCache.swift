import Timing

/// Randomness from a seed (Steele, Lea, Flood: SplitMix64).
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The sessions that fetchers may go on with, as many as
/// `max.incremental.fetch.session.cache.slots` (KIP-227).
struct FetchSessionCache {
    private var sessions: [Int32: FetchSession] = [:]
    private var random: SplitMix64
    private let eviction: Nanoseconds
    var maxCount: Int
    private(set) var evictions = 0
    private(set) var partitionCount = 0

    init(maxCount: Int, eviction: Nanoseconds, seed: UInt64) {
        self.maxCount = maxCount
        self.eviction = eviction
        random = SplitMix64(seed: seed)
    }

    var count: Int { sessions.count }

    subscript(id: Int32) -> FetchSession? { sessions[id] }

    /// Takes a session in, at the cost of a lesser one if need be. False: there is no room.
    mutating func insert(_ session: FetchSession, now: Instant) -> Bool {
        if sessions.count >= maxCount {
            guard let victim = victim(for: session, now: now) else { return false }
            evictions += 1
            remove(victim)
            victim.evict()
        }
        var id: Int32
        repeat {
            id = Int32(truncatingIfNeeded: random.next() >> 33)
        } while id <= 0 || sessions[id] != nil
        session.id = id
        session.epoch = 1
        session.createdAt = now
        session.lastUsed = now
        sessions[id] = session
        return true
    }

    mutating func remove(_ session: FetchSession) { sessions[session.id] = nil }

    mutating func removeAll() {
        for session in sessions.values { session.close() }
        sessions.removeAll()
    }

    /// Whom a new session displaces: one not used for a while; else a smaller one, a consumer's
    /// before a follower's. Sessions are left alone in their first minutes, except that a
    /// follower may displace a consumer at any time.
    private func victim(for new: FetchSession, now: Instant) -> FetchSession? {
        var oldest: FetchSession?
        var least: FetchSession?
        // The order of the dictionary does not matter: ids decide between equals.
        for session in sessions.values {
            if oldest.map({ Self.used(session, before: $0) }) ?? true { oldest = session }
            let isOpen =
                now - session.createdAt > eviction || (new.isFollower && !session.isFollower)
            if isOpen, least.map({ Self.isLess(session, $0) }) ?? true { least = session }
        }
        if let oldest, now - oldest.lastUsed > eviction { return oldest }
        guard let least else { return nil }
        if new.isFollower != least.isFollower { return new.isFollower ? least : nil }
        return new.count > least.count ? least : nil
    }

    private static func used(_ a: FetchSession, before b: FetchSession) -> Bool {
        (a.lastUsed, a.id) < (b.lastUsed, b.id)
    }

    private static func isLess(_ a: FetchSession, _ b: FetchSession) -> Bool {
        if a.isFollower != b.isFollower { return !a.isFollower }
        return (a.count, a.id) < (b.count, b.id)
    }

    /// An epoch follows the last; after the largest comes 1 (0 and -1 have meanings).
    static func epoch(after epoch: Int32) -> Int32 { epoch == Int32.max ? 1 : epoch + 1 }
}

extension FetchSession {
    /// The cache has let go of it: it ends now, or with the answer that is still owed.
    func evict() {
        if waiting != nil {
            isEvicted = true
        } else {
            id = 0
            close()
        }
    }
}
