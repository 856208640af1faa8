import Addresses
import SliceModel
import Timing

extension DirectoryNode {
    // MARK: Connecting

    mutating func dialIfDue(_ place: Int) {
        guard peers[place].following.phase == .idle, peers[place].following.retryAt <= now,
            !peers[place].cluster.addresses.isEmpty
        else { return }
        let addresses = peers[place].cluster.addresses
        let address = addresses[peers[place].following.turn % addresses.count]
        let stream = newStream()
        peers[place].following.phase = .connecting
        peers[place].following.link = DirectoryLink(stream, now: now)
        streams[stream] = place
        effects.append(.connect(stream, to: address, of: peers[place].name))
    }

    mutating func connected(_ stream: DirectoryStream) {
        guard let place = streams[stream], peers[place].following.phase == .connecting,
            peers[place].following.link?.stream == stream
        else { return }
        peers[place].following.phase = .greeted
        peers[place].following.link?.lastHeard = now
        let hello = DirectoryMessage.Hello(
            slice: slice.name, cluster: slice.local.name, incarnation: incarnation,
            knownIncarnation: peers[place].needsAll ? 0 : peers[place].entriesIncarnation,
            knownVersion: peers[place].needsAll ? 0 : peers[place].version, facts: facts)
        sendFollowing(place, DirectoryMessage.hello(hello).frame)
    }

    mutating func sendFollowing(_ place: Int, _ frame: [UInt8]) {
        guard let stream = peers[place].following.link?.stream else { return }
        peers[place].following.link?.sent(frame.count, now: now)
        effects.append(.send(stream, frame))
    }

    /// Over, and again later: the longer the more often it has failed.
    mutating func endFollowing(
        _ place: Int, _ reason: String, retryAt: Instant? = nil, isClosed: Bool = false
    ) {
        if let stream = peers[place].following.link?.stream {
            streams[stream] = nil
            if !isClosed { effects.append(.close(stream)) }
            forgetTransfer(from: peers[place].name)
        }
        var next = Following(now: now)
        next.failures = peers[place].following.failures + 1
        // The other family may be better off.
        next.turn = peers[place].following.turn + (peers[place].following.isSynced ? 0 : 1)
        next.lastError = reason
        next.retryAt = retryAt ?? now + backoff(next.failures)
        peers[place].following = next
    }

    private mutating func backoff(_ failures: Int) -> Nanoseconds {
        var delay = timing.shortestBackoff
        for _ in 1..<max(1, failures) where delay < timing.longestBackoff { delay = delay * 2 }
        return random.spread(min(delay, timing.longestBackoff))
    }

    private mutating func refuseFollowing(
        _ place: Int, _ reason: DirectoryRefusal, _ kind: DirectoryProblem.Kind
    ) {
        guard let stream = peers[place].following.link?.stream else { return }
        fault(place, kind)
        let text = DirectoryProblem(peers[place].name, kind).description
        effects.append(.send(stream, DirectoryMessage.refusal(reason, text).frame))
        endFollowing(place, text)
    }

    mutating func lookAtFollowing(_ place: Int) {
        guard let link = peers[place].following.link else { return }
        let limit =
            peers[place].following.phase == .connecting ? timing.connectTimeout : timing.abandon
        if now - link.lastHeard >= limit {
            endFollowing(
                place,
                peers[place].following.phase == .connecting
                    ? "no connection in \(limit.count / 1_000_000) ms" : "silent")
        } else if link.isSlow(at: now, after: timing.slowPeer) {
            refuseFollowing(place, .slow, .slow)
        }
    }

    // MARK: Hearing

    mutating func receivedFollowing(_ place: Int, _ bytes: [UInt8]) {
        guard peers[place].following.phase != .connecting else { return }
        peers[place].following.link?.decoder.append(bytes)
        peers[place].following.link?.lastHeard = now
        let stream = peers[place].following.link?.stream
        while peers[place].following.link?.stream == stream {
            do throws(WireProblem) {
                guard let message = try peers[place].following.link?.decoder.next() else { break }
                follow(place, message)
            } catch {
                refuseFollowing(place, .malformed, .malformed(error))
            }
        }
        guard peers[place].following.isSynced, peers[place].following.link != nil else { return }
        peers[place].lastWord = now
        if peers[place].entries.view.state != .fresh {
            peers[place].entries.setState(.fresh)
            changed.insert(peers[place].name)
        }
    }

    private mutating func follow(_ place: Int, _ message: DirectoryMessage) {
        if case .refusal(let reason, let text) = message {
            return refused(place, reason, text)
        }
        guard peers[place].following.phase == .live else {
            if case .welcome(let welcome) = message { return welcomed(place, welcome) }
            return refuseFollowing(place, .unexpected, .unexpected)
        }
        switch message {
        case .snapshotBegin(let version):
            let isMerging = canary == .mergesSnapshots
            peers[place].following.shadow =
                isMerging ? peers[place].entries : entriesOf(peers[place].cluster)
            peers[place].following.heard = version
            peers[place].following.held = []
        case .snapshotItems(let items):
            guard peers[place].following.shadow != nil else {
                return refuseFollowing(place, .unexpected, .unexpected)
            }
            for item in items { _ = peers[place].following.shadow?.put(item) }
        case .snapshotEnd(let version): endSnapshot(place, version)
        case .delta(let delta): applyDelta(place, delta)
        case .heartbeat(_, let facts): learn(place, facts)
        case .manifestBegin(let version, let digest, let count):
            if !beginManifest(place, version, digest, Int(count)) {
                refuseFollowing(place, .unexpected, .unexpected)
            }
        case .manifestBytes(let bytes):
            if !continueManifest(place, bytes) {
                refuseFollowing(place, .unexpected, .unexpected)
            }
        case .hello, .welcome, .manifestRequest, .refusal:
            refuseFollowing(place, .unexpected, .unexpected)
        }
    }

    private mutating func welcomed(_ place: Int, _ welcome: DirectoryMessage.Welcome) {
        guard welcome.cluster == peers[place].name else {
            return refuseFollowing(place, .otherCluster, .otherCluster(welcome.cluster))
        }
        let known = peers[place].incarnation
        if welcome.incarnation < known, canary != .takesOlderIncarnation {
            return refuseFollowing(
                place, .olderIncarnation,
                .twoGateways(newest: known, other: welcome.incarnation))
        }
        heardOf(welcome.incarnation, place, isServing: false)
        peers[place].following.phase = .live
        peers[place].following.incarnation = welcome.incarnation
        peers[place].following.target = welcome.version
        peers[place].following.heard = peers[place].version
        learn(place, welcome.facts)
        if peers[place].entriesIncarnation == welcome.incarnation, !peers[place].needsAll,
            peers[place].version == welcome.version || canary == .forgetsGap
        {
            synced(place)
        }
    }

    private mutating func synced(_ place: Int) {
        peers[place].following.isSynced = true
        peers[place].following.failures = 0
        peers[place].following.lastError = nil
    }

    private mutating func refused(_ place: Int, _ reason: DirectoryRefusal, _ text: String) {
        switch reason {
        case .olderIncarnation: fault(place, .superseded)
        case .otherSlice: fault(place, .otherSlice(nil))
        case .otherCluster: fault(place, .otherCluster(nil))
        case .protocolVersion: fault(place, .protocolVersion)
        case .replaced, .malformed, .unexpected, .gap, .slow, .stopping: break
        }
        endFollowing(place, "refused: \(text.isEmpty ? reason.description : text)")
    }

    private mutating func endSnapshot(_ place: Int, _ version: UInt64) {
        guard var entries = peers[place].following.shadow,
            version == peers[place].following.heard
        else { return refuseFollowing(place, .unexpected, .unexpected) }
        peers[place].following.shadow = nil
        if entries.isDisputed { _ = entries.judge() }
        let old = peers[place].entries.view
        entries.setState(old.state)
        peers[place].entries = entries
        peers[place].entriesIncarnation = peers[place].following.incarnation
        peers[place].version = version
        peers[place].needsAll = false
        if !old.hasSameContent(as: entries.view) { changed.insert(peers[place].name) }
        reportClaims(place)
        synced(place)
    }

    private mutating func applyDelta(_ place: Int, _ delta: DirectoryMessage.Delta) {
        let isContinuing =
            delta.from == peers[place].following.heard
            && (peers[place].following.shadow != nil
                || !peers[place].needsAll
                    && peers[place].entriesIncarnation == peers[place].following.incarnation)
        guard isContinuing || canary == .forgetsGap else {
            peers[place].needsAll = true
            return refuseFollowing(place, .gap, .gap)
        }
        peers[place].following.heard = delta.to
        guard peers[place].following.shadow == nil else {
            for change in delta.changes { _ = peers[place].following.shadow?.apply(change) }
            return
        }
        // Together, so that nobody sees an address in two hands while it goes from one to another;
        // but a peer does not decide how much waits.
        peers[place].following.held += delta.changes
        guard !delta.hasMore || peers[place].following.held.count > 2 * limits.log else { return }
        var isChanged = false
        for change in peers[place].following.held where peers[place].entries.apply(change) {
            isChanged = true
        }
        peers[place].following.held = []
        peers[place].version = delta.to
        if isChanged { changed.insert(peers[place].name) }
        settle(place)
        reportClaims(place)
        if delta.to >= peers[place].following.target { synced(place) }
    }

    /// Disputes are settled at once, if that was not done just now: it takes a look at everything.
    mutating func settle(_ place: Int) {
        guard peers[place].entries.isDisputed, now >= peers[place].nextJudging else { return }
        peers[place].nextJudging = now + timing.judging
        if peers[place].entries.judge() { changed.insert(peers[place].name) }
    }

    private mutating func reportClaims(_ place: Int) {
        guard !peers[place].entries.refused.isEmpty else { return }
        guard let first = peers[place].entries.namedRefusals(1).first else { return }
        report(place, .claim(first.record.key, first.reason))
    }

    mutating func learn(_ place: Int, _ facts: DirectoryFacts) {
        guard peers[place].facts != facts else { return }
        peers[place].facts = facts
        considerManifests()
    }

    /// A newer gateway of a cluster takes the place of an older one, whose streams end.
    mutating func heardOf(_ incarnation: UInt64, _ place: Int, isServing: Bool) {
        guard incarnation > peers[place].incarnation else { return }
        peers[place].incarnation = incarnation
        if isServing, peers[place].following.phase == .live {
            endFollowing(place, "its gateway has started again", retryAt: now)
        }
        if !isServing, let link = peers[place].serving?.link {
            peers[place].serving = nil
            refuse(link, .replaced, "")
        }
    }
}
