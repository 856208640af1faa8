import Addresses
import Noise
import Synchronization
import Timing

extension Device {
    /// Applies a change whole, or refuses it whole.
    package func apply(_ change: DeviceChange, now: Now) throws(DeviceChangeError) {
        try check(change)
        if let port = change.listenPort { listenPort = port }
        if let mark = change.firewallMark { firewallMark = mark }
        if let key = change.privateKey { setPrivateKey(key) }
        var routesChanged = false
        if change.replacePeers {
            for case .some(let peer) in peers { remove(peer) }
            routesChanged = true
        }
        for peerChange in change.peers {
            if apply(peerChange, now: now) { routesChanged = true }
        }
        if routesChanged { publishRoutes() }
        noteSuites()
    }

    /// A new session under another suite: now, or as soon as the next initiation may be sent. What
    /// was asked for under the old one is of no more use.
    private func begin(_ suite: TransportSuite, with peer: Peer, now: Now) {
        releasePending(peer)
        beginHandshake(peer, now: now, retry: false)
        guard peer.pending == nil, let sent = peer.initiationSent else { return }
        peer.attempts = 0
        peer.retransmitAt = max(now.instant, sent + WireGuard.rekeyTimeout)
        schedule(peer)
    }

    private func noteSuites() {
        let there = peers.lazy.compactMap { $0?.suite }
        usualSuite = there.first ?? suite
        hasBothSuites = there.contains { $0 != usualSuite }
    }

    /// The port that the shell has bound.
    package func setListenPort(_ port: UInt16) { listenPort = port }

    /// The inner MTU, which bounds padding.
    package func setMTU(_ mtu: Int) { forwarding.pointee.mtu.store(mtu, ordering: .relaxed) }

    /// Whether `apply` would take the change.
    package func check(_ change: DeviceChange) throws(DeviceChangeError) {
        var keys = change.replacePeers ? [] : Set(numbers.keys)
        var prefixes = change.replacePeers ? 0 : allowedIPs.count
        for peer in change.peers {
            if peer.remove {
                keys.remove(peer.publicKey)
            } else if !peer.updateOnly || keys.contains(peer.publicKey) {
                keys.insert(peer.publicKey)
                prefixes += peer.allowedIPs.count
            }
        }
        if keys.count > limits.peers { throw .tooManyPeers(limit: limits.peers) }
        if prefixes > limits.allowedIPs { throw .tooManyAllowedIPs(limit: limits.allowedIPs) }
    }

    // MARK: Identity

    private func setPrivateKey(_ key: DeviceChange.Key) {
        switch key {
        case .clear:
            privateKey = nil
            identity = nil
            cookies = nil
        case .set(let new):
            if let old = privateKey, old == new { return }
            privateKey = new
            let identity = StaticIdentity(new)
            self.identity = identity
            cookies = CookieChecker(identity)
            // A device is no peer of its own.
            if let number = numbers[identity.publicKey], let me = peer(number) {
                remove(me)
                publishRoutes()
            }
        }
        for case .some(let peer) in peers {
            releasePending(peer)
            peer.retransmitAt = nil
            peer.initiationSent = nil
            retire(&peer.previous)
            retire(&peer.current)
            retire(&peer.next)
            setRemote(peer)
            schedule(peer)
        }
    }

    /// Derived from this device's key and the peer's, so made anew when either changes.
    private func setRemote(_ peer: Peer) {
        peer.remote = identity.map {
            RemoteIdentity(
                local: $0, publicKey: peer.publicKey, presharedKey: peer.presharedKey ?? .none)
        }
        peer.cookies = peer.remote.map { CookieStore($0) }
    }

    // MARK: Peers

    /// Whether routes changed.
    private func apply(_ change: PeerChange, now: Now) -> Bool {
        let number = numbers[change.publicKey]
        if change.remove {
            guard let number, let peer = peer(number) else { return false }
            remove(peer)
            return true
        }
        if let identity, identity.publicKey == change.publicKey { return false }
        var changed = false
        let peer: Peer
        if let number, let existing = self.peer(number) {
            peer = existing
        } else if change.updateOnly {
            return false
        } else {
            peer = add(change.publicKey)
            changed = true
        }

        if let psk = change.presharedKey {
            peer.presharedKey = psk.isNone ? nil : psk
            setRemote(peer)
        }
        if let suite = change.suite, suite != peer.suite {
            peer.suite = suite
            if peer.current != nil { begin(suite, with: peer, now: now) }
        }
        if let endpoint = change.endpoint { setEndpoint(endpoint, of: peer, heard: nil) }
        if change.replaceAllowedIPs {
            allowedIPs.removeAll(of: peer.number)
            changed = true
        }
        for allowed in change.allowedIPs {
            if allowed.remove {
                allowedIPs.remove(allowed.prefix, peer: peer.number)
            } else {
                _ = allowedIPs.insert(allowed.prefix, peer: peer.number)
            }
            changed = true
        }
        if let keepalive = change.persistentKeepalive {
            let wasOff = peer.persistentKeepalive == 0
            peer.persistentKeepalive = keepalive
            if wasOff, keepalive > 0 {
                peer.path.pointee.lastTraversal.store(
                    now.instant.nanoseconds, ordering: .relaxed)
                sendKeepalive(peer, now: now)
            }
            schedule(peer)
        }
        return changed
    }

    private func add(_ key: PublicKey) -> Peer {
        // Numbers are reused: routes never hold the number of a peer that is gone.
        let number = peers.firstIndex { $0 == nil } ?? peers.count
        let peer = Peer(number: Int32(number), publicKey: key, suite: suite)
        if number == peers.count { peers.append(peer) } else { peers[number] = peer }
        numbers[key] = peer.number
        setRemote(peer)
        return peer
    }

    private func remove(_ peer: Peer) {
        allowedIPs.removeAll(of: peer.number)
        droppedWithoutSession += UInt64(peer.staged.count)
        peers[Int(peer.number)] = nil
        numbers[peer.publicKey] = nil
        deadlines.remove(peer.number)
        discard(peer)
    }

    func discard(_ peer: Peer) {
        releasePending(peer)
        retire(&peer.previous)
        retire(&peer.current)
        retire(&peer.next)
        effects.append(.retire(.path(peer.path)))
    }

    func publishRoutes() {
        let routes = UnsafeMutablePointer<Routes>.allocate(capacity: 1)
        routes.initialize(
            to: Routes(allowedIPs: allowedIPs.freeze(), paths: peers.map { $0?.path }))
        let old = forwarding.pointee.routes.exchange(routes, ordering: .sequentiallyConsistent)
        if let old { effects.append(.retire(.routes(old))) }
    }

    // MARK: Reading back

    package func status() -> DeviceStatus {
        var status = DeviceStatus()
        status.privateKey = privateKey
        status.listenPort = listenPort
        status.firewallMark = firewallMark
        for case .some(let peer) in peers {
            var p = PeerStatus(peer.publicKey)
            let path = peer.path
            p.presharedKey = peer.presharedKey
            p.suite = peer.suite
            p.endpoint = peer.endpoint
            p.persistentKeepalive = peer.persistentKeepalive
            p.allowedIPs = allowedIPs.prefixes(of: peer.number)
            p.receivedBytes = path.pointee.receivedBytes.load(ordering: .relaxed)
            p.transmittedBytes = path.pointee.transmittedBytes.load(ordering: .relaxed)
            p.receivedPackets = path.pointee.receivedPackets.load(ordering: .relaxed)
            p.transmittedPackets = path.pointee.transmittedPackets.load(ordering: .relaxed)
            p.lastHandshake = peer.lastHandshake
            p.handshakeRoundTrip = peer.handshakeRoundTrip
            p.stagedPackets = peer.staged.count
            p.hasSession = peer.current != nil
            status.peers.append(p)
        }
        return status
    }
}
