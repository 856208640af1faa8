import Addresses
import Bytes
import AdminAPI
import LinuxNet
import Logging
import Noise
import SliceDirectory
import SliceModel
import Timing
import Tunnel

// What the slice says of itself.
extension SliceWorker {
    func status() async -> SliceStatus {
        guard let running else {
            return SliceStatus(
                name: name?.text ?? config.manifest, manifestVersion: 0, manifestDigest: "",
                interface: "", routerNamespace: "", publicKey: "", listenPort: 0, mtu: 0,
                isolation: "", state: failures.isEmpty ? .starting : .down, problems: failures)
        }
        let plan = running.plan
        var status = SliceStatus(
            name: plan.slice.text, manifestVersion: plan.version,
            manifestDigest: Hex.encode(ManifestDigest(of: running.inputs.manifest).bytes),
            interface: running.tun.name, routerNamespace: running.router.name,
            publicKey: plan.publicKey.base64, listenPort: plan.listenPort, mtu: running.mtu,
            isolation: running.inputs.manifest.isolation.rawValue,
            addresses: plan.overlayAddresses.map(\.description),
            problems: failures + routerFailures
                + [running.policies.problem, running.membership.problem].compactMap { $0 })
        do {
            let (device, drops) = try running.tunnel.waitForStatus()
            status.listenPort = device.listenPort
            fill(&status, running, device, drops)
        } catch {
            status.problems.append("the tunnel's control thread does not answer")
        }
        let links = (try? running.router.links()) ?? []
        status.endpoints = attached.values.sorted { $0.key < $1.key }
            .map { report($0, running, links) }
        await fillMembership(&status, running)
        status.state = status.problems.isEmpty ? .up : .degraded
        return status
    }

    private func fillMembership(_ status: inout SliceStatus, _ running: Running) async {
        status.policies = policyReports(running)
        status.policyDigest = running.policyDigest.description
        status.services = serviceReports(running)
        if let counters = running.membership.names?.counters {
            status.names = NamesReport(
                queries: counters.byType, responses: counters.byCode, forwarded: counters.forwarded,
                dropped: counters.dropped.values.reduce(0, +))
        }
        guard let report = await running.membership.directory?.status() else { return }
        status.problems += report.problems
        status.directory = report.peers.map { peer in
            let state =
                switch peer.state {
                case .fresh: "fresh"
                case .stale: "stale"
                case .absent: "absent"
                }
            var problems: [String] = []
            if peer.hasSameManifest == false, let facts = peer.facts {
                problems.append("has version \(facts.manifestVersion) of the manifest")
            }
            if peer.hasSamePolicies == false { problems.append("has other policies in force") }
            if peer.refusedRecords > 0 {
                problems.append("\(peer.refusedRecords) of its records are left out")
            }
            return DirectoryPeerReport(
                cluster: peer.cluster.text, state: .init(rawValue: state) ?? .absent,
                endpoints: peer.endpoints, services: peer.services,
                ageSeconds: peer.lastWordAge.map { Double($0.count) / 1e9 },
                manifestVersion: peer.facts?.manifestVersion,
                manifestDigest: peer.facts.map { Hex.encode($0.manifestDigest.bytes) },
                policyDigest: peer.facts.flatMap { PolicyDigest(bytes: $0.policyDigest.bytes) }?
                    .description,
                problems: problems)
        }
    }

    private func fill(
        _ status: inout SliceStatus, _ running: Running, _ device: DeviceStatus,
        _ drops: TunnelInterface.Drops
    ) {
        let now = WallClock.now()
        for peer in running.plan.peers {
            let current = device.peers.first { $0.publicKey == peer.publicKey }
            status.peers.append(report(peer, current, running, now))
            if let problem = problem(peer, current, running) { status.problems.append(problem) }
        }
        for (drop, count) in drops.packets where count > 0 { status.drops[drop.name] = count }
        for (refusal, count) in drops.handshakes where count > 0 {
            status.drops["handshake" + Self.capitalized(refusal.rawValue)] = count
        }
        for (name, count) in (try? running.router.drops()) ?? [:] { status.drops[name] = count }
    }

    private func report(
        _ peer: SlicePlan.Peer, _ current: PeerStatus?, _ running: Running, _ now: WallTime
    ) -> PeerReport {
        let age = current?.lastHandshake.map { last in
            Double(max(0, now.nanosecondsSince1970 - last.nanosecondsSince1970)) / 1e9
        }
        // An old answer says nothing about today.
        let roundTrip = running.roundTrips[peer.publicKey].flatMap { answer in
            MonotonicClock.now() - answer.at < .seconds(20) ? answer.time.milliseconds : nil
        }
        return PeerReport(
            cluster: peer.cluster.text, publicKey: peer.publicKey.base64,
            endpoint: (current?.endpoint).map(\.description),
            allowedIPs: peer.allowedIPs.map(\.description),
            hasSession: current?.hasSession ?? false, handshakeAgeSeconds: age,
            rttMilliseconds: roundTrip,
            cipher: peer.cipher == .chaChaPoly ? nil : peer.cipher.rawValue,
            traffic: TrafficReport(
                receivedBytes: current?.receivedBytes ?? 0,
                receivedPackets: current?.receivedPackets ?? 0,
                transmittedBytes: current?.transmittedBytes ?? 0,
                transmittedPackets: current?.transmittedPackets ?? 0),
            stagedPackets: current?.stagedPackets ?? 0)
    }

    /// Why there is no way to a peer, if there is none.
    func problem(
        _ peer: SlicePlan.Peer, _ current: PeerStatus?, _ running: Running
    ) -> String? {
        guard let current else { return "the tunnel does not know \(peer.cluster)" }
        if current.hasSession {
            // A session outlives a peer that died by three minutes. Only whoever answered before
            // is missed: not every WireGuard answers echoes.
            guard let last = running.roundTrips[peer.publicKey] else { return nil }
            let silence = MonotonicClock.now() - last.at
            return silence < .seconds(20)
                ? nil
                : "\(peer.cluster) has not answered for \(silence.count / 1_000_000_000) s, though "
                    + "the session is not over"
        }
        let names = peer.endpoints.compactMap { running.resolutions[$0]?.problem }
        if let endpoint = current.endpoint {
            let hint = names.isEmpty ? "" : " (\(names.joined(separator: "; ")))"
            return "no session with \(peer.cluster): \(endpoint) does not answer\(hint)"
        }
        if !names.isEmpty {
            return "no session with \(peer.cluster): \(names.joined(separator: "; "))"
        }
        return peer.endpoints.isEmpty
            ? "no session with \(peer.cluster): the manifest has no endpoint of it, so it must call"
            : "no session with \(peer.cluster): its endpoint is not known yet"
    }

    func report(_ endpoint: Attached, _ running: Running, _ links: [Link]) -> EndpointReport {
        let interface = RouterNames.port(
            namespace: running.router.name, endpoint.key)
        let (kind, target): (EndpointKind, String) =
            switch endpoint.reference {
            case .netns(let name): (.netns, name)
            case .path(let path): (.path, path)
            case .pid(let pid): (.pid, "\(pid)")
            }
        let link = links.first { $0.name == interface }
        let counters = link?.counters
        var problems = endpoint.problem.map { [$0] } ?? []
        if problems.isEmpty, link == nil { problems = ["it is not attached yet"] }
        return EndpointReport(
            namespace: endpoint.key.namespace.text, name: endpoint.key.endpoint.text, kind: kind,
            target: target,
            addresses: (running.book[endpoint.key]?.addresses ?? []).map(\.description),
            routerInterface: interface,
            interface: endpoint.interface
                ?? RouterNames.endpointInterface(slice: running.plan.slice),
            traffic: TrafficReport(
                receivedBytes: counters?.receivedBytes ?? 0,
                receivedPackets: counters?.receivedPackets ?? 0,
                transmittedBytes: counters?.sentBytes ?? 0,
                transmittedPackets: counters?.sentPackets ?? 0),
            state: problems.isEmpty ? .up : link == nil ? .down : .degraded, problems: problems,
            labels: endpoint.labels == .none ? nil : endpoint.labels.dictionary,
            owner: endpoint.owner)
    }

    private static func capitalized(_ word: String) -> String {
        word.prefix(1).uppercased() + word.dropFirst()
    }

    // MARK: Ping

    func ping(_ request: PingRequest) async throws -> PingReply {
        let running = try requireRunning()
        guard (1...60_000).contains(request.timeoutMilliseconds) else {
            throw APIError(.invalidRequest, "a timeout is 1 to 60000 milliseconds")
        }
        guard (0...EchoProber.maximumPayloadBytes).contains(request.payloadBytes) else {
            throw APIError(
                .invalidRequest, "a payload is 0 to \(EchoProber.maximumPayloadBytes) bytes")
        }
        let (address, peer) = try target(request.target, running)
        var reply = PingReply(
            outcome: .timedOut, sequence: request.sequence, address: "\(address)",
            cluster: peer?.cluster.text
                ?? (running.plan.localPrefixes.contains { $0.contains(address) }
                    ? environment.cluster.text : nil))
        let outcome = await running.prober.ping(
            address, payload: request.payloadBytes,
            timeout: .milliseconds(Int64(request.timeoutMilliseconds)))
        switch outcome {
        case .answered(let time):
            reply.outcome = .answered
            reply.rttMicroseconds = UInt64(max(0, time.count)) / 1000
        case .timedOut:
            reply.detail =
                explain(address, peer, running)
                ?? "no answer within \(request.timeoutMilliseconds) ms"
        case .refused(let code):
            reply.outcome = .unreachable
            reply.detail =
                (peer == nil ? explain(address, nil, running) : nil)
                ?? "\(LinuxError("send to", "\(address)", errno: code))"
        }
        if let peer, reply.outcome == .timedOut, !hasSession(peer, running) {
            reply.outcome = .unreachable
        }
        return reply
    }

    private func target(
        _ text: String, _ running: Running
    ) throws -> (address: IPAddress, peer: SlicePlan.Peer?) {
        if let address = IPAddress(text) {
            guard running.plan.slicePrefixes.contains(where: { $0.contains(address) }) else {
                throw APIError(
                    .invalidRequest, "\(address) is not an address of slice \(running.plan.slice)",
                    hint: "its prefixes: "
                        + running.plan.slicePrefixes.map(\.description).joined(separator: ", "))
            }
            let peer = running.plan.peers.first { peer in
                peer.allowedIPs.contains { $0.contains(address) }
            }
            return (address, peer)
        }
        if let peer = running.plan.peers.first(where: { $0.cluster.text == text }),
            let address = peer.overlayAddresses.first
        {
            return (address, peer)
        }
        if text == environment.cluster.text, let address = running.plan.overlayAddresses.first {
            return (address, nil)
        }
        throw APIError(
            .notFound, "slice \(running.plan.slice) has no such cluster",
            hint: "it has: "
                + ([environment.cluster] + running.plan.peers.map(\.cluster)).map(\.text)
                .sorted().joined(separator: ", "))
    }

    private func current(_ peer: SlicePlan.Peer, _ running: Running) -> PeerStatus? {
        (try? running.tunnel.waitForStatus().device)?.peers
            .first { $0.publicKey == peer.publicKey }
    }

    private func hasSession(_ peer: SlicePlan.Peer, _ running: Running) -> Bool {
        current(peer, running)?.hasSession ?? false
    }

    /// Which hop is to blame for the silence.
    private func explain(
        _ address: IPAddress, _ peer: SlicePlan.Peer?, _ running: Running
    ) -> String? {
        if let peer {
            if let problem = problem(peer, current(peer, running), running) { return problem }
            return peer.overlayAddresses.contains(address)
                ? "there is a session with \(peer.cluster), and its gateway does not answer"
                : "there is a session with \(peer.cluster): nobody answers at \(address)"
        }
        guard running.plan.localPrefixes.contains(where: { $0.contains(address) }) else {
            return "no cluster of the slice has this address"
        }
        guard let key = running.book.owner(of: address), let endpoint = attached[key] else {
            return "no endpoint has this address"
        }
        return endpoint.problem.map { "endpoint \(key): \($0)" }
            ?? "endpoint \(key) does not answer"
    }
}
