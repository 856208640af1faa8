import Timing

/// When the active controller last heard from each broker. Not part of the log: after a failover
/// every session begins anew.
struct BrokerSessions {
    struct Session {
        var lastContact: Instant
        /// How far the broker has read the metadata log, by its last heartbeat.
        var metadataOffset: Int64 = -1
        /// Set in a controlled shutdown: where all others have to get to before it may end.
        var shutdownOffset: Int64?
        /// When the connection that its heartbeats came on broke.
        var lostConnection: Instant?
        var fenced = true
        /// A heartbeat has come since the session was opened.
        var heard = false
        /// Nothing tells that who holds it still runs.
        var isDoubtful: Bool { lostConnection != nil || !heard }
    }

    private(set) var byId: [Int32: Session] = [:]

    subscript(id: Int32) -> Session? { byId[id] }

    mutating func open(_ id: Int32, fenced: Bool = true, now: Instant) {
        byId[id] = Session(lastContact: now, fenced: fenced)
    }

    mutating func close(_ id: Int32) { byId[id] = nil }

    /// A heartbeat came.
    mutating func touch(_ id: Int32, metadataOffset: Int64, now: Instant) {
        byId[id]?.lastContact = now
        byId[id]?.metadataOffset = metadataOffset
        byId[id]?.lostConnection = nil
        byId[id]?.heard = true
    }

    mutating func setFenced(_ id: Int32, _ fenced: Bool, now: Instant) {
        byId[id]?.fenced = fenced
        byId[id]?.lastContact = now
        if fenced {
            byId[id]?.shutdownOffset = nil
            byId[id]?.lostConnection = nil
        }
    }

    mutating func beginShutdown(_ id: Int32, offset: Int64) {
        if byId[id]?.shutdownOffset == nil { byId[id]?.shutdownOffset = offset }
    }

    mutating func suspect(_ id: Int32, now: Instant) {
        if byId[id]?.lostConnection == nil { byId[id]?.lostConnection = now }
    }

    func isValid(_ id: Int32, config: ControllerConfig, now: Instant) -> Bool {
        guard let session = byId[id], !session.fenced else { return false }
        return now < session.lastContact + config.sessionTimeout
    }

    /// Whether nothing tells that who holds the session still runs: its connection broke, or it has
    /// not been heard of since this controller is active. While that is so of most, all have ended,
    /// or it is this controller that was cut off. Then nobody is to give way before the sessions
    /// are over: of those that were in sync the last to do so is who must come back, and may be the
    /// one that does not.
    func isDoubtful(_ id: Int32) -> Bool {
        guard let session = byId[id], session.isDoubtful else { return false }
        let (live, doubtful) = countLive(\.isDoubtful)
        return live == 1 || doubtful * 2 <= live
    }

    /// The lowest offset of those that are to take over from a broker that shuts down.
    var lowestActiveOffset: Int64 {
        var lowest = Int64.max
        for session in byId.values where !session.fenced && session.shutdownOffset == nil {
            lowest = min(lowest, session.metadataOffset)
        }
        return lowest
    }

    // MARK: - Silence

    /// Broken connections count only while no more than half of the live brokers have one: else it
    /// is rather this controller that was cut off, and the whole session has to pass.
    private var countsLostConnections: Bool {
        let (live, lost) = countLive { $0.lostConnection != nil }
        return lost * 2 <= live
    }

    /// The sessions of live brokers, and of how many of them something is so.
    private func countLive(_ isSo: (Session) -> Bool) -> (all: Int, so: Int) {
        var all = 0
        var so = 0
        for session in byId.values where !session.fenced {
            all += 1
            if isSo(session) { so += 1 }
        }
        return (all, so)
    }

    private func expiry(
        of session: Session, config: ControllerConfig, countsLost: Bool
    ) -> Instant {
        let end =
            session.lastContact
            + (session.heard
                ? config.sessionTimeout : min(config.sessionTimeout, config.firstHeartbeatGrace))
        guard countsLost, let lost = session.lostConnection else { return end }
        return min(end, lost + config.connectionLossGrace)
    }

    func nextExpiry(config: ControllerConfig) -> Instant? {
        let countsLost = countsLostConnections
        var soonest: Instant?
        for session in byId.values where !session.fenced {
            let end = expiry(of: session, config: config, countsLost: countsLost)
            soonest = soonest.map { min($0, end) } ?? end
        }
        return soonest
    }

    /// One broker whose session is over, the longest silent first.
    func oneExpired(
        config: ControllerConfig, now: Instant
    ) -> (id: Int32, reason: ControllerNotice.FencingReason)? {
        let countsLost = countsLostConnections
        var found: (id: Int32, end: Instant)?
        for (id, session) in byId where !session.fenced {
            let end = expiry(of: session, config: config, countsLost: countsLost)
            guard end <= now else { continue }
            if let best = found, (best.end, best.id) < (end, id) { continue }
            found = (id, end)
        }
        guard let found, let session = byId[found.id] else { return nil }
        if found.end < session.lastContact + config.sessionTimeout,
            let lost = session.lostConnection
        {
            return (found.id, .connectionLost(milliseconds: (now - lost).count / 1_000_000))
        }
        return (found.id, .silent(milliseconds: (now - session.lastContact).count / 1_000_000))
    }

    /// Gives every session two more heartbeats.
    mutating func forgive(now: Instant, config: ControllerConfig) {
        let spared = now + config.heartbeatInterval * 2 - config.sessionTimeout
        for id in byId.keys {
            byId[id]?.lostConnection = nil
            if let last = byId[id]?.lastContact, last < spared { byId[id]?.lastContact = spared }
        }
    }
}
