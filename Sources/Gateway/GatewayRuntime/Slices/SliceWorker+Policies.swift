import Addresses
import AdminAPI
import ConfigFile
import LinuxNet
import Logging
import SliceAudit
import SliceDirectory
import SliceModel
import SlicePolicy
import Timing

// Policies: what is in force, what it says, and what it denied.
extension SliceWorker {
    /// Before rules are applied: what they are made from may have changed.
    func refreshPolicies(_ running: Running) {
        guard running.policiesAreStale else { return }
        running.policiesAreStale = false
        let model = PolicyModel(
            running.inputs.manifest, local: environment.cluster, endpoints: known(running))
        let before = running.policies.problem
        running.policies.update(model, revision: running.plan.version)
        if let problem = running.policies.problem, problem != before { logger.error("\(problem)") }
        watchDenials(running)
    }

    private func watchDenials(_ running: Running) {
        guard case .policies = running.policies.filter else {
            running.membership.denials?.stop()
            running.membership.denials = nil
            return
        }
        guard running.membership.denials == nil else { return }
        let number = generation
        do {
            running.membership.denials = try DenialWatch(in: running.router.namespace) {
                [weak self] packets, lost in
                Task { await self?.denied(packets, lost, number) }
            }
        } catch {
            if !running.saysNoDenials { logger.warning("denied packets are not logged: \(error)") }
            running.saysNoDenials = true
        }
    }

    /// The kernel has logged them; its tables say why, and the model what that is called.
    private func denied(_ packets: [JudgedPacket], _ lost: UInt64, _ number: Int) {
        guard number == generation, let running else { return }
        let model = running.policies.model
        for packet in packets {
            let from = model.name(of: packet.source) ?? "\(packet.source)"
            let to = model.name(of: packet.target) ?? "\(packet.target)"
            let decision = running.policies.decide(packet)
            // An answer of a conversation that has just ended reads the other way round.
            let why =
                decision.isAllowed
                ? "its conversation is no longer allowed" : model.describe(decision.rule)
            logger.notice("denied \(from) -> \(to) \(packet.flow): \(why)")
            if case .fence = decision.rule {
                // Who, and no more: what an endpoint can vary would let it fill the log.
                audit(.flowRefused, "\(from) -> \(to)", why)
            }
        }
        if lost > 0 { logger.notice("\(lost) more denied packets were not told") }
    }

    // MARK: Explaining

    func explain(_ request: ExplainRequest) async throws -> ExplainReply {
        let running = try requireRunning()
        guard request.queries.count <= ExplainRequest.maximumQueries else {
            throw APIError(
                .tooLarge, "at most \(ExplainRequest.maximumQueries) questions at a time")
        }
        let model = running.policies.model
        var reply = ExplainReply(policyDigest: running.policyDigest.description, answers: [])
        let peers = await running.membership.directory?.status()?.peers ?? []
        for query in request.queries {
            guard let flow = PolicyFlow(query.port) else {
                throw APIError(
                    .invalidRequest, "a port \(PortMatch.rule), with one port",
                    hint: "such as tcp/9092 or icmp; `other` is any other protocol")
            }
            let (source, target) = try ends(query, model)
            let found = model.explain(from: source, to: target, flow)
            reply.answers.append(
                ExplainReply.Answer(
                    from: model.name(of: source).map { "\($0) (\(source))" } ?? "\(source)",
                    to: model.name(of: target).map { "\($0) (\(target))" } ?? "\(target)",
                    port: "\(flow)", verdict: found.decision.isAllowed ? .allow : .deny,
                    rule: found.rule,
                    passed: found.passed.map { .init(policy: $0.policy.text, reason: $0.reason) },
                    unnamed: found.unnamed,
                    ends: gateways(source, target, model, peers)))
        }
        return reply
    }

    /// Of one family, and not the same twice if that can be had.
    private func ends(
        _ query: ExplainRequest.Query, _ model: PolicyModel
    ) throws -> (IPAddress, IPAddress) {
        let (sources, targets) = (model.addresses(of: query.from), model.addresses(of: query.to))
        for (list, text) in [(sources, query.from), (targets, query.to)] where list.isEmpty {
            throw APIError(
                .notFound, "no endpoint of the slice is called so",
                hint: "`slicectl directory` lists NAMESPACE/ENDPOINT@CLUSTER; asked was for "
                    + String(text.prefix(128)))
        }
        var same: (IPAddress, IPAddress)?
        for source in sources {
            for target in targets where source.isIPv4 == target.isIPv4 {
                if model.holders[source]?.key != model.holders[target]?.key
                    || model.holders[source] == nil
                {
                    return (source, target)
                }
                same = same ?? (source, target)
            }
        }
        guard let same else {
            throw APIError(.invalidRequest, "the two have no address of one family")
        }
        return same
    }

    private func gateways(
        _ source: IPAddress, _ target: IPAddress, _ model: PolicyModel,
        _ peers: [DirectoryPeerStatus]
    ) -> [ExplainReply.End] {
        func cluster(_ address: IPAddress) -> ClusterName? {
            model.holders[address].map { model.profiles[$0.profile].cluster }
        }
        let ends = [(cluster(source), "leaves"), (cluster(target), "arrives")]
        if let only = ends[0].0, only == ends[1].0 {
            return [end(only, "leaves and arrives", peers)]
        }
        return ends.compactMap { cluster, role in cluster.map { end($0, role, peers) } }
    }

    private func end(
        _ cluster: ClusterName, _ role: String, _ peers: [DirectoryPeerStatus]
    ) -> ExplainReply.End {
        var end = ExplainReply.End(cluster: cluster.text, role: role)
        guard cluster != environment.cluster else { return end }
        guard let peer = peers.first(where: { $0.cluster == cluster }), let facts = peer.facts
        else {
            end.note = "its gateway has said nothing yet"
            return end
        }
        end.agrees = peer.hasSamePolicies
        if peer.hasSameManifest == false {
            end.agrees = false
            end.note = "it has version \(facts.manifestVersion) of the manifest"
        } else if peer.hasSamePolicies == false {
            end.note = "it has other policies in force"
        } else if peer.state != .fresh {
            end.note = "it has not been heard of for a while"
        }
        return end
    }

    // MARK: What would change

    func dryRun(_ request: PolicyDryRunRequest) throws -> PolicyDryRunReply {
        let running = try requireRunning()
        let manifest: SliceManifest
        do {
            manifest = try Array(request.manifest.utf8).withUnsafeBytes {
                try SliceManifest.parse($0, file: "manifest")
            }
        } catch {
            throw APIError(.invalidRequest, "\(error)")
        }
        guard manifest.name == running.plan.slice else {
            throw APIError(
                .conflict, "the manifest is for slice \(manifest.name), not \(running.plan.slice)")
        }
        let endpoints = known(running).filter {
            manifest.admits($0.record.key.namespace, in: $0.cluster)
        }
        let new = PolicyModel(manifest, local: environment.cluster, endpoints: endpoints)
        let now = running.policies.model
        let difference = PolicyDifference(from: now, to: new)
        var reply = PolicyDryRunReply(
            slice: manifest.name.text, version: manifest.version,
            policyDigest: manifest.policyDigest.description,
            policyDigestNow: running.policyDigest.description,
            changes: difference.changes.map {
                .init(
                    from: $0.from.text, to: $0.to.text, port: "\($0.flow)",
                    verdict: $0.isAllowed ? .allow : .deny, isPartial: $0.isPartial, rule: $0.rule)
            }, isCutOff: difference.isCutOff, warnings: manifest.warnings.map(\.description))
        do {
            _ = try PolicyPlan(new, revision: .max)
        } catch {
            reply.warnings.append("it could not be put in force: \(error)")
        }
        try addCuts(&reply, running, now, new)
        return reply
    }

    private static let namedCuts = 500

    /// Connections that the kernel knows of. An open slice without policies tracks none.
    private func addCuts(
        _ reply: inout PolicyDryRunReply, _ running: Running, _ now: PolicyModel,
        _ new: PolicyModel
    ) throws {
        guard case .policies = running.policies.filter else {
            if !new.isTrivial {
                reply.warnings.append(
                    "connections are not tracked while the slice is open and has no policies: "
                        + "which would be cut is not known")
            }
            return
        }
        let listing = try Conntrack(in: running.router.namespace).entries()
        reply.isCutOff = reply.isCutOff || listing.isCutOff
        for entry in listing.entries {
            let (tuple, flow) = (entry.original, PolicyFlow(entry.original))
            guard now.decide(from: tuple.source, to: tuple.destination, flow).isAllowed else {
                continue
            }
            let decision = new.decide(from: tuple.source, to: tuple.destination, flow)
            guard !decision.isAllowed else { continue }
            guard reply.cuts.count < Self.namedCuts else {
                reply.isCutOff = true
                return
            }
            reply.cuts.append(
                .init(
                    from: now.name(of: tuple.source) ?? "\(tuple.source)",
                    to: now.name(of: tuple.destination) ?? "\(tuple.destination)",
                    port: "\(flow)", rule: new.describe(decision.rule)))
        }
        reply.cuts.sort { ($0.from, $0.to, $0.port) < ($1.from, $1.to, $1.port) }
    }

    /// For the status: each policy with what it has decided, and what no policy did.
    func policyReports(_ running: Running) -> [PolicyReport] {
        guard case .policies(let rules) = running.policies.filter else { return [] }
        var decided = (try? running.router.decided()) ?? [:]
        var reports = running.policies.model.policies.map { policy in
            PolicyReport(
                name: policy.name.text,
                description: policy.description.isEmpty ? nil : policy.description,
                action: policy.action.rawValue,
                decided: decided.removeValue(forKey: policy.name.text) ?? 0)
        }
        let known: [(PolicyRule, Policy.Action)] = [
            (.sameness, .allow), (.open, .allow), (.strict, .deny),
        ]
        for (rule, action) in known {
            guard let count = decided[rules.counterName(rule)] else { continue }
            reports.append(
                PolicyReport(
                    name: rules.counterName(rule), description: nil, action: action.rawValue,
                    decided: count))
        }
        for (name, count) in decided.sorted(by: { $0.key < $1.key })
        where name.hasPrefix("(fence of ") {
            reports.append(
                PolicyReport(name: name, description: nil, action: "deny", decided: count))
        }
        return reports
    }
}

extension PolicyFlow {
    init(_ tuple: ConnectionTuple) {
        let transport: PortMatch.Transport? =
            switch tuple.protocolNumber {
            case 6: .tcp
            case 17: .udp
            case 132: .sctp
            case 1, 58: .icmp
            default: nil
            }
        if case .ports(_, let port) = tuple.detail, transport != .icmp {
            self.init(transport, port)
        } else {
            self.init(transport)
        }
    }
}
