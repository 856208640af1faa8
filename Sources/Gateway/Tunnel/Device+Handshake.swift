import Addresses
import Noise
import Synchronization
import Timing

extension Device {
    // MARK: Initiator

    /// Sends a handshake initiation, unless one left less than RekeyTimeout ago (paper 6.2) or
    /// nobody knows where the peer is.
    func beginHandshake(_ peer: Peer, now: Now, retry: Bool) {
        guard let identity, let remote = peer.remote, let endpoint = peer.endpoint else { return }
        if let sent = peer.initiationSent, now.instant - sent < WireGuard.rekeyTimeout { return }
        if !retry { peer.attempts = 0 }

        releasePending(peer)
        guard remote.isUsable, let index = reserveIndex(for: peer) else { return }
        var timestamp = TAI64N(now.wall)
        // Each initiation must carry a greater timestamp than the one before (5.1), also when
        // the wall clock was set back or two fall into one whitened tick.
        if let last = peer.lastSentTimestamp, timestamp <= last { timestamp = last.successor }
        peer.lastSentTimestamp = timestamp

        guard
            case (var message, let initiator)? = try? Initiator.begin(
                local: identity, remote: remote, ephemeral: PrivateKey(from: entropy),
                senderIndex: index, timestamp: timestamp, suite: .of(peer.suite))
        else {
            releaseIndex(index)
            return
        }
        peer.cookies?.seal(&message, now: now.instant)
        peer.pending = initiator
        peer.initiationSent = now.instant
        peer.retransmitAt = now.instant + WireGuard.rekeyTimeout + jitter()
        schedule(peer)
        peer.path.pointee.markSent(now.instant, data: false)
        effects.append(.send(message, to: endpoint, of: peer.path))
    }

    private func consumeResponse(
        _ message: UnsafeRawBufferPointer, from source: IPEndpoint, now: Now
    ) -> HandshakeRefusal? {
        guard let receiver = ResponseMessage.receiverIndex(of: message),
            let number = indices[receiver], let peer = peer(number),
            let initiator = peer.pending, initiator.senderIndex == receiver
        else { return .unexpected }
        let keys: TransportKeys
        do {
            keys = try initiator.finish(message)
        } catch {
            return .forged
        }
        // The pending index becomes the session's: it stays reserved.
        peer.pending = nil
        peer.retransmitAt = nil
        peer.attempts = 0
        if let sent = peer.initiationSent { peer.handshakeRoundTrip = now.instant - sent }
        let session = Session.make(peer: peer.path, created: now.instant, keys: keys)
        adoptInitiated(session, of: peer)
        finishHandshake(peer, bytes: message.count, from: source, initiator: true, now: now)
        // The first message under the new keys is the responder's confirmation (5.4.4).
        if peer.staged.isEmpty { sendKeepalive(peer, now: now) } else { flush(peer, now: now) }
        return nil
    }

    private func consumeCookie(
        _ message: UnsafeRawBufferPointer, now: Now
    ) -> HandshakeRefusal? {
        guard let receiver = CookieReplyMessage.receiverIndex(of: message),
            let number = indices[receiver], let peer = peer(number)
        else { return .unexpected }
        // Only kept: the retransmission carries it (paper 6.6).
        return peer.cookies?.consume(message, now: now.instant) == true ? nil : .forged
    }

    // MARK: Responder

    /// Who begins a handshake is known only once it is opened, and with the wrong suite it does not
    /// open: so both are tried. Where no peer has the other one it only tells that the two ends
    /// disagree, and is tried seldom: what strangers send must not cost twice.
    private func open(
        _ message: UnsafeRawBufferPointer, _ identity: StaticIdentity, _ now: Instant
    ) -> (ReceivedInitiation, TransportSuite)? {
        if let opened = try? Responder.consume(message, local: identity, suite: .of(usualSuite)) {
            return (opened, usualSuite)
        }
        if !hasBothSuites {
            guard otherSuiteTried.map({ now - $0 >= Self.otherSuiteInterval }) ?? true else {
                return nil
            }
            otherSuiteTried = now
        }
        let other: TransportSuite = usualSuite == .aesGCM ? .chaChaPoly : .aesGCM
        return (try? Responder.consume(message, local: identity, suite: .of(other)))
            .map { ($0, other) }
    }

    private static let otherSuiteInterval = Nanoseconds.milliseconds(20)

    private func consumeInitiation(
        _ message: UnsafeRawBufferPointer, from source: IPEndpoint, now: Now
    ) -> HandshakeRefusal? {
        guard let identity else { return .noPrivateKey }
        guard let (opened, suite) = open(message, identity, now.instant) else { return .forged }
        guard let number = numbers[opened.remotePublicKey], let peer = peer(number),
            let remote = peer.remote
        else { return .unknownPeer }
        let responder: AuthenticatedInitiation
        do {
            responder = try opened.authenticate(remote)
        } catch {
            return .forged
        }
        guard suite == peer.suite else {
            effects.append(
                .note(.suitesDiffer(peer.publicKey, theirs: suite, ours: peer.suite)))
            return .otherSuite
        }
        if let greatest = peer.greatestTimestamp, responder.timestamp <= greatest {
            return .replayed
        }
        if let last = peer.lastConsumed, now.instant - last < WireGuard.initiationInterval {
            return .tooFrequent
        }
        guard let index = reserveIndex(for: peer) else { return .underLoad }
        var response: [UInt8]
        let keys: TransportKeys
        do {
            (response, keys) = try responder.respond(
                ephemeral: PrivateKey(from: entropy), senderIndex: index)
        } catch {
            releaseIndex(index)
            return .forged
        }
        peer.greatestTimestamp = responder.timestamp
        peer.lastConsumed = now.instant
        peer.cookies?.seal(&response, now: now.instant)
        let session = Session.make(peer: peer.path, created: now.instant, keys: keys)
        retire(&peer.next)
        retire(&peer.previous)
        peer.next = session
        forwarding.pointee.sessions.publish(session)
        finishHandshake(peer, bytes: message.count, from: source, initiator: false, now: now)
        peer.path.pointee.markSent(now.instant, data: false)
        effects.append(.send(response, to: source, of: peer.path))
        return nil
    }

    /// Data came under the responder's new keys: they may be used from now on.
    func confirm(_ index: UInt32, now: Now) {
        guard let number = indices[index], let peer = peer(number), let session = peer.next,
            session.pointee.localIndex == index
        else { return }
        retire(&peer.previous)
        peer.previous = peer.current
        peer.current = session
        peer.next = nil
        session.pointee.confirmed.store(true, ordering: .relaxed)
        peer.path.pointee.sending.store(session, ordering: .sequentiallyConsistent)
        // Whatever this side had asked for is answered by the peer's handshake.
        releasePending(peer)
        peer.retransmitAt = nil
        peer.attempts = 0
        flush(peer, now: now)
    }

    // MARK: Both

    /// A handshake message or cookie reply from the underlay. `underLoad`: more of them wait
    /// than can be served.
    package func handshakeMessage(
        _ message: UnsafeRawBufferPointer, from source: IPEndpoint, underLoad: Bool, now: Now
    ) {
        let refusal = consume(message, from: source, underLoad: underLoad, now: now)
        if let refusal {
            refuse(refusal)
            effects.append(.note(.handshakeRefused(refusal, from: source)))
        }
    }

    package func refuse(_ refusal: HandshakeRefusal) {
        guard let i = HandshakeRefusal.allCases.firstIndex(of: refusal) else { return }
        refusals[i] += 1
    }

    private func consume(
        _ message: UnsafeRawBufferPointer, from source: IPEndpoint, underLoad: Bool, now: Now
    ) -> HandshakeRefusal? {
        guard let type = MessageType.peek(message) else { return .malformed }
        switch type {
        case .cookieReply: return consumeCookie(message, now: now)
        case .transport: return .malformed
        case .initiation, .response: break
        }
        guard let cookies else { return .noPrivateKey }
        guard cookies.verifyMAC1(message) else { return .wrongMAC }
        let isInitiation = type == .initiation
        if underLoad {
            let until = now.instant + .seconds(1)
            if isInitiation { initiationsLoadedUntil = until } else { responsesLoadedUntil = until }
        }
        let loadedUntil = isInitiation ? initiationsLoadedUntil : responsesLoadedUntil
        if let loadedUntil, now.instant < loadedUntil,
            let refusal = admitUnderLoad(message, from: source, now: now)
        {
            return refusal
        }
        return isInitiation
            ? consumeInitiation(message, from: source, now: now)
            : consumeResponse(message, from: source, now: now)
    }

    /// Paper 5.3: under load a sender must first show that it receives at its address, and
    /// then may not come too often.
    private func admitUnderLoad(
        _ message: UnsafeRawBufferPointer, from source: IPEndpoint, now: Now
    ) -> HandshakeRefusal? {
        var address = SourceBytes(source)
        return withUnsafeBytes(of: &address) { address in
            guard cookies?.verifyMAC2(message, source: address, now: now.instant) == true else {
                guard cookieLimiter.allow(source.address, now: now.instant) else {
                    return .rateLimited
                }
                let reply = cookies?.reply(
                    to: message, source: address, now: now.instant, entropy: entropy)
                if let reply { effects.append(.send(reply, to: source, of: nil)) }
                return .underLoad
            }
            return handshakeLimiter.allow(source.address, now: now.instant) ? nil : .rateLimited
        }
    }

    private func finishHandshake(
        _ peer: Peer, bytes: Int, from source: IPEndpoint, initiator: Bool, now: Now
    ) {
        peer.lastHandshake = now.wall
        peer.eraseAt = now.instant + WireGuard.eraseAfterTime
        schedule(peer)
        expectMarks(now: now.instant)
        peer.path.pointee.markReceived(now.instant, data: false)
        peer.path.pointee.countReceived(bytes: bytes, packets: 0)
        setEndpoint(source, of: peer, heard: now.instant)
        effects.append(.note(.handshakeCompleted(peer.publicKey, initiator: initiator)))
    }

    private func adoptInitiated(_ session: UnsafeMutablePointer<Session>, of peer: Peer) {
        retire(&peer.previous)
        if peer.next != nil {
            // A responder's session that waited for its confirmation: kept as the previous one,
            // so that data already on its way under it is still read.
            peer.previous = peer.next
            peer.next = nil
            // Nobody waits for its confirmation any more.
            peer.previous?.pointee.confirmed.store(true, ordering: .relaxed)
            retire(&peer.current)
        } else {
            peer.previous = peer.current
        }
        peer.current = session
        forwarding.pointee.sessions.publish(session)
        peer.path.pointee.sending.store(session, ordering: .sequentiallyConsistent)
    }

    // MARK: Indices and sessions

    /// A fresh receiver index: random (5.4.2), unused, with a free slot in the session table.
    /// Nil when the table is too full, which its size rules out.
    private func reserveIndex(for peer: Peer) -> UInt32? {
        for _ in 0..<64 {
            let index = entropy.uint32()
            let slot = forwarding.pointee.sessions.slot(of: index)
            guard index != 0, !slotsInUse[slot] else { continue }
            slotsInUse[slot] = true
            indices[index] = peer.number
            return index
        }
        return nil
    }

    private func releaseIndex(_ index: UInt32) {
        if indices.removeValue(forKey: index) != nil {
            slotsInUse[forwarding.pointee.sessions.slot(of: index)] = false
        }
    }

    func releasePending(_ peer: Peer) {
        guard let pending = peer.pending else { return }
        peer.pending = nil
        releaseIndex(pending.senderIndex)
    }

    func retire(_ slot: inout UnsafeMutablePointer<Session>?) {
        guard let session = slot else { return }
        slot = nil
        releaseIndex(session.pointee.localIndex)
        forwarding.pointee.sessions.withdraw(session)
        let path = session.pointee.peer
        if path.pointee.sending.load(ordering: .relaxed) == session {
            path.pointee.sending.store(nil, ordering: .sequentiallyConsistent)
        }
        effects.append(.retire(.session(session)))
    }

    /// Up to a third of a second, so that two ends that begin at once drift apart (6.1).
    func jitter() -> Nanoseconds {
        Nanoseconds(Int64(entropy.uint32() % 334) * 1_000_000)
    }
}

/// A source address and port in the fixed form that cookies are bound to.
private struct SourceBytes: BitwiseCopyable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var port: UInt32

    init(_ source: IPEndpoint) {
        switch source.address {
        case .v4(let a): low = 0xffff_0000_0000 | UInt64(a.value)
        case .v6(let a): (high, low) = (a.high, a.low)
        }
        port = UInt32(source.port)
    }
}

extension TAI64N {
    /// The least timestamp that is greater at the resolution of whitened clocks (16.8 ms).
    fileprivate var successor: TAI64N {
        let next = nanoseconds + (1 << 24)
        return next < 1_000_000_000
            ? TAI64N(label: label, nanoseconds: next) : TAI64N(label: label + 1, nanoseconds: 0)
    }
}
