import Noise
import Synchronization
import Timing

extension Device {
    /// How often the marks of packet threads are compared with the clock while any session
    /// lives: the timers of seconds that depend on them are late by no more than this.
    package static let markInterval = Nanoseconds.milliseconds(250)

    /// RekeyAttemptTime in units of RekeyTimeout (paper 6.4).
    private static let maxAttempts = Int(
        WireGuard.rekeyAttemptTime.count / WireGuard.rekeyTimeout.count)

    /// Runs every timer that is due.
    package func tick(now: Now) {
        while let number = deadlines.popDue(now.instant) {
            guard let peer = peer(number) else { continue }
            runDeadlines(peer, now: now)
            schedule(peer)
        }
        if let due = marksDue, due <= now.instant { compareMarks(now: now) }
    }

    private func runDeadlines(_ peer: Peer, now: Now) {
        let t = now.instant
        if let due = peer.retransmitAt, due <= t { retransmit(peer, now: now) }
        if let due = persistentDeadline(peer), due <= t {
            // The mark moves also when nothing can be sent now, so that this fires once an
            // interval and not at every tick.
            peer.path.pointee.lastTraversal.store(t.nanoseconds, ordering: .relaxed)
            sendKeepalive(peer, now: now)
        }
        if let due = peer.eraseAt, due <= t {
            peer.eraseAt = nil
            releasePending(peer)
            retire(&peer.previous)
            retire(&peer.current)
            retire(&peer.next)
            effects.append(.note(.keysErased(peer.publicKey)))
        }
    }

    /// What packet threads have marked, of all peers: nobody tells when they do.
    private func compareMarks(now: Now) {
        let t = now.instant
        var live = false
        for case .some(let peer) in peers where peer.current != nil || peer.next != nil {
            live = true
            let path = peer.path
            if let since = path.mark(.unrepliedSince), t - since >= WireGuard.keepaliveTimeout {
                path.pointee.unrepliedSince.store(0, ordering: .relaxed)
                if peer.sendingSession(t) != nil { sendKeepalive(peer, now: now) }
            }
            if let since = path.mark(.unansweredSince),
                t - since >= WireGuard.newHandshakeTime
            {
                path.pointee.unansweredSince.store(0, ordering: .relaxed)
                beginHandshake(peer, now: now, retry: false)
            }
            if peer.persistentKeepalive > 0 { schedule(peer) }
        }
        marksDue = live ? t + Self.markInterval : nil
    }

    /// To be called when a deadline of the peer may have come nearer.
    func schedule(_ peer: Peer) {
        let all = [peer.retransmitAt, peer.eraseAt, persistentDeadline(peer)]
        deadlines.set(peer.number, at: all.lazy.compactMap { $0 }.min())
    }

    /// A session has begun: packets may leave marks from now on.
    func expectMarks(now: Instant) {
        if marksDue == nil { marksDue = now + Self.markInterval }
    }

    private func retransmit(_ peer: Peer, now: Now) {
        peer.retransmitAt = nil
        guard peer.attempts < Self.maxAttempts else {
            // RekeyAttemptTime has passed (6.1): what waited is gone, and so is the attempt.
            peer.attempts = 0
            droppedWithoutSession += UInt64(peer.staged.count)
            peer.staged.removeAll()
            releasePending(peer)
            if peer.eraseAt == nil { peer.eraseAt = now.instant + WireGuard.eraseAfterTime }
            peer.current?.pointee.rekeyRequested.store(false, ordering: .relaxed)
            effects.append(.note(.handshakeGivenUp(peer.publicKey)))
            return
        }
        peer.attempts += 1
        beginHandshake(peer, now: now, retry: true)
    }

    private func persistentDeadline(_ peer: Peer) -> Instant? {
        guard peer.persistentKeepalive > 0, identity != nil else { return nil }
        let interval = Nanoseconds.seconds(Int64(peer.persistentKeepalive))
        guard let last = peer.path.mark(.lastTraversal) else { return nil }
        return last + interval
    }

    /// When to call `tick` next; nil when nothing can become due by itself.
    package var nextDeadline: Instant? {
        guard let marksDue else { return deadlines.next }
        return deadlines.next.map { min($0, marksDue) } ?? marksDue
    }
}

extension UnsafeMutablePointer<PeerPath> {
    fileprivate enum Mark { case unrepliedSince, unansweredSince, lastTraversal }

    fileprivate func mark(_ which: Mark) -> Instant? {
        let t =
            switch which {
            case .unrepliedSince: pointee.unrepliedSince.load(ordering: .relaxed)
            case .unansweredSince: pointee.unansweredSince.load(ordering: .relaxed)
            case .lastTraversal: pointee.lastTraversal.load(ordering: .relaxed)
            }
        return t == 0 ? nil : Instant(nanoseconds: t)
    }
}
