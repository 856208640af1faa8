import AdminAPI
import Bytes
import ConfigFile
import LinuxNet
import Logging
import Noise
import SliceAudit
import SliceDNS
import SliceModel
import Tunnel

// Changes while it runs: another manifest, another gateway.conf.
extension SliceWorker {
    /// gateway.conf or the manifest's file may have changed. Returns what did; a slice whose
    /// files are wrong goes on as it was, and its status says so.
    func update(_ config: GatewayConfig.Slice) async -> [String] {
        guard let running else {
            self.config = config
            start()
            return self.running == nil ? [] : ["started slice \(name?.text ?? "")"]
        }
        let inputs: SliceInputs
        do {
            inputs = try SliceInputs(config, environment)
        } catch {
            failures = SliceFailure.lines(error)
            for line in failures { logger.error("\(line)") }
            return [
                "slice \(running.plan.slice) is left as it was: \(failures.joined(separator: "; "))"
            ]
        }
        // Another slice, or another key: another interface.
        if inputs.manifest.name != running.plan.slice
            || inputs.privateKey != running.inputs.privateKey
        {
            if inputs.manifest.name != running.plan.slice {
                await tearDown()
            } else {
                await stop()
            }
            self.config = config
            start()
            return ["restarted slice \(inputs.manifest.name)"]
        }
        let endpointsChanged = self.config.endpoints != config.endpoints
        self.config = config
        failures = inputs.warnings
        do {
            var changes = try adopt(inputs, running)
            if endpointsChanged {
                adoptConfiguredEndpoints()
                releaseLeases(running)
                changes.append("endpoints of slice \(inputs.manifest.name)")
            }
            reconcile(running)
            return changes
        } catch {
            failures = SliceFailure.lines(error)
            for line in failures { logger.error("\(line)") }
            return ["slice \(running.plan.slice): \(failures.joined(separator: "; "))"]
        }
    }

    /// A newer manifest from the admin interface.
    func applyManifest(
        _ manifest: SliceManifest, _ document: [UInt8], dryRun: Bool
    ) throws -> ApplyManifestReply {
        let running = try requireRunning()
        let current = AcceptedManifest(running.inputs.manifest)
        var reply = ApplyManifestReply(
            slice: manifest.name.text, version: manifest.version,
            digest: Self.hexDigest(manifest), changed: false)
        switch ManifestAcceptance.decide(manifest, owner: config.owner, current: current) {
        case .same: return reply
        case .refuse(let refusal):
            audit(.manifestRefused, "version \(manifest.version)", "\(refusal)")
            if case .signature = refusal { throw APIError(.forbidden, "\(refusal)") }
            throw APIError(.conflict, "\(refusal)")
        case .accept: break
        }
        var inputs = running.inputs
        do {
            inputs.plan = try SliceInputs.plan(
                manifest, config, environment.cluster, running.inputs.privateKey)
        } catch {
            throw APIError(.conflict, SliceFailure.lines(error).joined(separator: "; "))
        }
        inputs.manifest = manifest
        inputs.document = document
        inputs.warnings = []
        reply.changed = true
        reply.changes = SliceChanges.describe(from: running.plan, to: inputs.plan)
        let cut = attached.keys.sorted().filter {
            !manifest.admits($0.namespace, in: environment.cluster)
        }
        reply.warnings = cut.map { "the endpoint \($0) is no longer admitted and loses its link" }
        reply.warnings += manifest.warnings.map(\.description)
        if dryRun { return reply }
        do {
            _ = try adopt(inputs, running)
        } catch {
            throw Self.refusal(error, "cannot apply version \(manifest.version)")
        }
        failures = []
        reconcile(running)
        return reply
    }

    /// Stores first, so that a crash in between leads forward.
    private func adopt(_ inputs: SliceInputs, _ running: Running) throws -> [String] {
        var changes: [String] = []
        if let document = inputs.document { try inputs.state.store(manifest: document) }
        changes += SliceChanges.describe(from: running.plan, to: inputs.plan)
        var change = DeviceChange()
        let status = try running.tunnel.waitForStatus().device
        change.peers = Self.peerPlan(inputs).change(from: status)?.peers ?? []
        if inputs.plan.listenPort != status.listenPort {
            change.listenPort = inputs.plan.listenPort
        }
        if !change.peers.isEmpty || change.listenPort != nil {
            try running.tunnel.waitToApply(change)
            changes.append("changed \(change.peers.count) peers")
        }
        // Peers whose endpoints changed begin again with the first of them.
        for peer in inputs.plan.peers {
            let before = running.plan.peers.first { $0.publicKey == peer.publicKey }
            if before?.endpoints != peer.endpoints { running.choices[peer.publicKey] = nil }
        }
        if inputs.plan.localPrefixes != running.plan.localPrefixes {
            for lease in running.book.move(to: inputs.plan.localPrefixes) {
                logger.notice("\(lease.key) gets other addresses: the cluster's prefixes changed")
            }
            try inputs.state.store(leases: running.book)
        }
        running.inputs = inputs
        running.policyDigest = inputs.manifest.policyDigest
        running.policiesAreStale = true
        running.hasFreeMemory = true
        running.membership.distances.keep(Set(inputs.manifest.clusters.map(\.name)))
        audit(.manifestAccepted, "version \(inputs.plan.version)", Self.hexDigest(inputs.manifest))
        tellManifest(running)
        running.inputs.document = nil
        stepPeers(running)
        return changes
    }

    /// The same, with its manifest stored. A full disk must not end a slice that worked: it
    /// begins with the version accepted before then, if there is one.
    func stored(_ inputs: SliceInputs) throws -> SliceInputs {
        guard let document = inputs.document else { return inputs }
        do {
            try inputs.state.store(manifest: document)
            var inputs = inputs
            inputs.document = nil
            return inputs
        } catch {
            guard let former = try inputs.accepted(config, environment, because: error) else {
                throw error
            }
            return former
        }
    }

    func releaseLeases(_ running: Running) {
        for lease in running.book.all where lease.isAttached && attached[lease.key] == nil {
            running.book.detach(lease.key)
        }
        do {
            try running.inputs.state.store(leases: running.book)
        } catch {
            logger.error("\(error)")
        }
    }

    private static func hexDigest(_ manifest: SliceManifest) -> String {
        Hex.encode(ManifestDigest(of: manifest).bytes)
    }
}

/// The difference of two plans, for people.
enum SliceChanges {
    static func describe(from old: SlicePlan, to new: SlicePlan) -> [String] {
        var lines: [String] = []
        if old.version != new.version {
            lines.append("version \(old.version) -> \(new.version)")
        }
        func list<T>(_ name: String, _ a: [T], _ b: [T]) where T: Equatable {
            guard a != b else { return }
            func text(_ values: [T]) -> String {
                values.isEmpty ? "none" : values.map { "\($0)" }.joined(separator: ", ")
            }
            lines.append("\(name): \(text(a)) -> \(text(b))")
        }
        list("slice prefixes", old.slicePrefixes, new.slicePrefixes)
        list("local prefixes", old.localPrefixes, new.localPrefixes)
        list("port", [old.listenPort], [new.listenPort])
        for peer in old.peers where !new.peers.contains(where: { $0.publicKey == peer.publicKey }) {
            lines.append("peer \(peer.cluster) (\(peer.publicKey)) goes")
        }
        for peer in new.peers {
            guard let before = old.peers.first(where: { $0.publicKey == peer.publicKey }) else {
                lines.append("peer \(peer.cluster) (\(peer.publicKey)) comes")
                continue
            }
            list("prefixes of \(peer.cluster)", before.allowedIPs, peer.allowedIPs)
            list("endpoints of \(peer.cluster)", before.endpoints, peer.endpoints)
        }
        return lines
    }
}
