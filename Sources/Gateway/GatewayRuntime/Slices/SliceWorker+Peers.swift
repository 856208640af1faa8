import Addresses
import LinuxNet
import Logging
import Noise
import SliceModel
import Timing
import Tunnel

// The tunnel's peers: who they are, and where on the underlay.
extension SliceWorker {
    static func peerPlan(_ inputs: SliceInputs) -> PeerPlan {
        PeerPlan(
            peers: inputs.plan.peers.map { peer in
                let seconds = (peer.persistentKeepalive?.count ?? 0) / 1_000_000_000
                return PeerPlan.Peer(
                    publicKey: peer.publicKey, presharedKey: inputs.presharedKeys[peer.cluster],
                    allowedIPs: peer.allowedIPs, persistentKeepalive: UInt16(clamping: seconds),
                    suite: peer.cipher)
            })
    }

    /// Gives peers without a session an endpoint to try, the next one when one does not answer,
    /// and looks up host names again while they lead nowhere.
    func stepPeers(_ running: Running) {
        guard let status = try? running.tunnel.waitForStatus().device else { return }
        let now = MonotonicClock.now()
        var change = DeviceChange()
        for peer in running.plan.peers {
            guard let current = status.peers.first(where: { $0.publicKey == peer.publicKey })
            else { continue }
            let candidates = candidates(peer, running)
            var choice = running.choices[peer.publicKey] ?? EndpointChoice()
            let index = choice.step(
                count: candidates.count, hasSession: current.hasSession,
                hasEndpoint: current.endpoint != nil, now: now.nanoseconds / 1_000_000_000)
            running.choices[peer.publicKey] = choice
            if !current.hasSession { askForNames(peer, running, now) }
            guard let index, candidates.indices.contains(index),
                candidates[index] != current.endpoint
            else { continue }
            var update = PeerChange(peer.publicKey)
            update.updateOnly = true
            update.endpoint = candidates[index]
            change.peers.append(update)
            logger.debug("trying \(peer.cluster) at \(candidates[index])")
        }
        guard !change.peers.isEmpty else { return }
        do {
            try running.tunnel.waitToApply(change)
        } catch {
            logger.error("cannot set the endpoints of peers: \(error)")
        }
    }

    /// In the owner's order of preference; a name gives as many as it resolves to.
    private func candidates(_ peer: SlicePlan.Peer, _ running: Running) -> [IPEndpoint] {
        peer.endpoints.flatMap { endpoint in
            switch endpoint {
            case .address(let address): [address]
            case .host: running.resolutions[endpoint]?.addresses ?? []
            }
        }
    }

    private func askForNames(_ peer: SlicePlan.Peer, _ running: Running, _ now: Instant) {
        for endpoint in peer.endpoints {
            guard case .host(let host, let port) = endpoint else { continue }
            var entry = running.resolutions[endpoint] ?? Resolution()
            let pause: Nanoseconds = entry.addresses.isEmpty ? .seconds(5) : .seconds(30)
            if entry.isUnderWay { continue }
            if let askedAt = entry.askedAt, now - askedAt < pause { continue }
            entry.askedAt = now
            entry.isUnderWay = environment.resolver.resolve(host, port: port) {
                [weak self] answer in
                Task { await self?.resolved(endpoint, answer) }
            }
            running.resolutions[endpoint] = entry
        }
    }

    private func resolved(
        _ endpoint: UnderlayEndpoint, _ answer: Result<[IPEndpoint], NameResolver.Failure>
    ) {
        guard let running, var entry = running.resolutions[endpoint] else { return }
        entry.isUnderWay = false
        switch answer {
        case .success(let addresses):
            entry.problem = nil
            if addresses != entry.addresses {
                entry.addresses = addresses
                logger.debug("\(endpoint) is at \(addresses)")
            }
        case .failure(let failure):
            if entry.problem != failure.description { logger.warning("\(failure.description)") }
            entry.problem = failure.description
        }
        running.resolutions[endpoint] = entry
        stepPeers(running)
    }

    /// The smallest MTU on the ways to all peers.
    func currentMTU(_ running: Running) -> Int {
        let status = try? running.tunnel.waitForStatus().device
        let netlink = try? Netlink()
        let underlays = running.plan.peers.map { peer -> (mtu: Int, isIPv6: Bool)? in
            let endpoint =
                status?.peers.first { $0.publicKey == peer.publicKey }?.endpoint
                ?? candidates(peer, running).first
            guard let endpoint, let found = try? netlink?.lookUpRoute(to: endpoint.address) else {
                return nil
            }
            return (Int(found.mtu), !endpoint.address.isIPv4)
        }
        return RouterPlan.mtu(running.plan, underlays: underlays)
    }
}
