import Addresses
import SliceModel
import Timing

/// One gateway's part of the directory of one slice: it tells its own cluster's records to every
/// other gateway and follows theirs, each on a stream of its own. Nobody passes on another's
/// records; signed manifests are passed on by whoever has them.
///
/// Stepped: events and the time go in, effects come out, to be carried out in their order.
package struct DirectoryNode: Sendable {
    package let incarnation: UInt64
    package let limits: DirectoryLimits
    package let timing: DirectoryTiming
    let canary: DirectoryCanary?

    package internal(set) var slice: DirectorySlice
    package internal(set) var facts: DirectoryFacts
    /// The signed manifest, for peers that have an older one.
    var document: [UInt8] = []
    var own: OwnRecords
    var ownEntries: ClusterEntries
    /// In the order of names.
    var peers: [DirectoryPeer] = []
    var places: [ClusterName: Int] = [:]
    var placesByAddress: [IPAddress: Int] = [:]
    /// Whose stream it is, by place.
    var streams: [DirectoryStream: Int] = [:]
    var transfer = ManifestTransfer.none
    var random: DirectoryRandom
    var now: Instant
    var isStopped = false
    private var nextTick: Instant
    private var nextHeartbeat: Instant
    private var nextStream: UInt64 = 0
    var effects: [DirectoryEffect] = []
    var changed: Set<ClusterName> = []
    /// The last delta that was encoded: most followers get the same.
    var lastDelta: (from: UInt64, version: UInt64, to: UInt64, frame: [UInt8])?
    var lastStranger: Instant?

    /// `incarnation` must be larger than in any earlier life of this cluster's gateway.
    package init(
        _ slice: DirectorySlice, incarnation: UInt64, facts: DirectoryFacts = DirectoryFacts(),
        document: [UInt8] = [], seed: UInt64, now: Instant,
        limits: DirectoryLimits = DirectoryLimits(), timing: DirectoryTiming = DirectoryTiming(),
        canary: DirectoryCanary? = nil
    ) {
        self.slice = slice
        self.incarnation = max(1, incarnation)
        self.facts = facts
        self.document = document
        self.limits = limits
        self.timing = timing
        self.canary = canary
        self.now = now
        random = DirectoryRandom(seed: seed)
        nextTick = now
        nextHeartbeat = now + timing.heartbeat
        own = OwnRecords(prefixes: slice.local.prefixes, limits: limits, canary: canary)
        ownEntries = ClusterEntries(
            cluster: slice.local.name, prefixes: slice.local.prefixes, limits: limits)
        ownEntries.setState(.fresh)
        place(slice.others)
    }

    /// When to send `.tick` at the latest; nil when it is over.
    package var nextDeadline: Instant? { isStopped ? nil : nextTick }

    package var version: UInt64 { own.version }

    /// What is told to others, in the order of a snapshot.
    package var ownItems: [DirectoryItem] { own.keys.compactMap { own.items[$0] } }

    package var view: DirectoryView {
        var view = DirectoryView(local: slice.local.name)
        view.clusters.reserveCapacity(peers.count + 1)
        view.clusters[slice.local.name] = ownEntries.view
        for peer in peers { view.clusters[peer.name] = peer.entries.view }
        return view
    }

    package func view(of cluster: ClusterName) -> ClusterView? {
        if cluster == slice.local.name { return ownEntries.view }
        return places[cluster].map { peers[$0].entries.view }
    }

    /// `now` does not go back: a time before the last one counts as the last one.
    package mutating func step(_ event: DirectoryEvent, now time: Instant) -> [DirectoryEffect] {
        now = max(now, time)
        effects = []
        guard !isStopped else { return [] }
        handle(event)
        if now >= nextTick, !isStopped { tick() }
        if !changed.isEmpty {
            effects.append(.viewChanged(changed.sorted()))
            changed = []
        }
        return effects
    }

    private mutating func handle(_ event: DirectoryEvent) {
        switch event {
        case .tick: break
        case .own(let endpoints, let services):
            publish(own.set(endpoints: endpoints, services: services))
        case .manifest(let slice, let version, let digest, let document):
            setManifest(slice, version, digest, document)
        case .policies(let digest):
            guard digest != facts.policyDigest else { return }
            facts.policyDigest = digest
            sendHeartbeats()
        case .connected(let stream): connected(stream)
        case .accepted(let stream, let address): accepted(stream, from: address)
        case .received(let stream, let bytes): received(stream, bytes)
        case .drained(let stream, let count): drained(stream, count)
        case .closed(let stream, let reason): closed(stream, reason)
        case .manifestJudged(let cluster, let digest, let isAccepted):
            judged(cluster, digest, isAccepted)
        case .restored(let clusters): restore(clusters)
        case .stop: stop()
        }
    }

    // MARK: Own records

    func entriesOf(_ cluster: DirectorySlice.Cluster) -> ClusterEntries {
        ClusterEntries(
            cluster: cluster.name, prefixes: cluster.prefixes, limits: limits, canary: canary)
    }

    mutating func publish(_ changes: [DirectoryChange]) {
        guard !changes.isEmpty else { return }
        for change in changes { _ = ownEntries.apply(change) }
        changed.insert(slice.local.name)
        for place in peers.indices { produce(place) }
    }

    // MARK: The manifest

    private mutating func setManifest(
        _ slice: DirectorySlice, _ version: UInt64, _ digest: DirectoryDigest,
        _ document: [UInt8]
    ) {
        let old = self.slice
        self.slice = slice
        self.document = document
        if old.local.prefixes != slice.local.prefixes {
            let changes = own.set(prefixes: slice.local.prefixes)
            // What is left fits the new prefixes, and what goes has fitted the old ones.
            for change in changes where change.isRemoval { _ = ownEntries.apply(change) }
            _ = ownEntries.judge(prefixes: slice.local.prefixes)
            publish(changes)
        }
        if old.others != slice.others { place(slice.others) }
        guard facts.manifestVersion != version || facts.manifestDigest != digest else { return }
        facts.manifestVersion = version
        facts.manifestDigest = digest
        sendHeartbeats()
        considerManifests()
    }

    /// Peers as the manifest has them, each with what is known of it already.
    private mutating func place(_ clusters: [DirectorySlice.Cluster]) {
        let old = Dictionary(uniqueKeysWithValues: peers.map { ($0.name, $0) })
        let wanted = clusters.prefix(limits.peers)
        let names = Set(wanted.map(\.name))
        for place in peers.indices where !names.contains(peers[place].name) {
            leave(place)
            changed.insert(peers[place].name)
        }
        peers = []
        for cluster in wanted {
            guard let known = old[cluster.name] else {
                peers.append(DirectoryPeer(cluster, entries: entriesOf(cluster), now: now))
                changed.insert(cluster.name)
                continue
            }
            peers.append(known)
        }
        places = [:]
        placesByAddress = [:]
        streams = [:]
        for place in peers.indices {
            let links = [
                peers[place].following.link, peers[place].serving?.link, peers[place].waiting?.link,
            ]
            for link in links.compactMap({ $0 }) { streams[link.stream] = place }
            places[peers[place].name] = place
        }
        for (place, cluster) in wanted.enumerated() {
            for address in cluster.addresses { placesByAddress[address] = place }
            adopt(cluster, place)
        }
    }

    private mutating func adopt(_ cluster: DirectorySlice.Cluster, _ place: Int) {
        let old = peers[place].cluster
        guard old != cluster else { return }
        peers[place].cluster = cluster
        if old.addresses != cluster.addresses { leave(place) }
        guard old.prefixes != cluster.prefixes, canary != .keepsOldPrefixes else { return }
        if peers[place].entries.judge(prefixes: cluster.prefixes) { changed.insert(cluster.name) }
        _ = peers[place].following.shadow?.judge(prefixes: cluster.prefixes)
    }

    /// Its streams end without a word: the manifest has moved it.
    private mutating func leave(_ place: Int) {
        endFollowing(place, "the manifest has changed", retryAt: now)
        for link in [peers[place].serving?.link, peers[place].waiting?.link].compactMap({ $0 }) {
            streams[link.stream] = nil
            effects.append(.close(link.stream))
        }
        peers[place].serving = nil
        peers[place].waiting = nil
    }

    private mutating func stop() {
        for place in peers.indices {
            if let link = peers[place].following.link { refuse(link, .stopping, "") }
            if let link = peers[place].serving?.link { refuse(link, .stopping, "") }
            if let link = peers[place].waiting?.link { refuse(link, .stopping, "") }
        }
        streams = [:]
        isStopped = true
    }

    // MARK: Time

    private mutating func tick() {
        nextTick = now + timing.tick
        for place in peers.indices {
            lookAtStreams(place)
            dialIfDue(place)
            settle(place)
            age(place)
        }
        if now >= nextHeartbeat { sendHeartbeats() }
        considerManifests()
    }

    /// At once when facts have changed, and then every second.
    mutating func sendHeartbeats() {
        nextHeartbeat = now + timing.heartbeat
        let mine = DirectoryMessage.heartbeat(version: own.version, facts).frame
        for place in peers.indices {
            if peers[place].serving != nil { sendServing(place, mine) }
            guard peers[place].following.phase == .live else { continue }
            let reached = DirectoryMessage.heartbeat(version: peers[place].version, facts)
            sendFollowing(place, reached.frame)
        }
    }

    /// Fresh, stale, gone.
    private mutating func age(_ place: Int) {
        switch peers[place].entries.view.state {
        case .absent: break
        case .fresh:
            guard canary != .ignoresSilence, let word = peers[place].lastWord,
                now - word >= timing.silence
            else { return }
            peers[place].entries.setState(.stale(since: word))
            changed.insert(peers[place].name)
        case .stale(let since):
            guard now - since >= timing.grace else { return }
            peers[place].entries = entriesOf(peers[place].cluster)
            peers[place].entriesIncarnation = 0
            peers[place].version = 0
            peers[place].needsAll = false
            // A gateway whose counter was lost may begin again; not one that speaks just now.
            let following = peers[place].following
            peers[place].incarnation = max(
                following.phase == .live ? following.incarnation : 0,
                peers[place].serving?.incarnation ?? 0)
            // What we said that we have is gone: a delta would have nothing to add to.
            if peers[place].following.phase == .greeted, peers[place].following.shadow == nil {
                endFollowing(place, "its entries were dropped", retryAt: now)
            }
            changed.insert(peers[place].name)
        }
    }

    // MARK: Streams

    mutating func newStream() -> DirectoryStream {
        nextStream += 1
        return .outgoing(nextStream)
    }

    mutating func refuse(_ link: DirectoryLink, _ reason: DirectoryRefusal, _ text: String) {
        streams[link.stream] = nil
        effects.append(.send(link.stream, DirectoryMessage.refusal(reason, text).frame))
        effects.append(.close(link.stream))
    }

    private mutating func received(_ stream: DirectoryStream, _ bytes: [UInt8]) {
        guard let place = streams[stream] else { return }
        switch stream {
        case .outgoing: receivedFollowing(place, bytes)
        case .incoming: receivedServing(place, stream, bytes)
        }
    }

    private mutating func drained(_ stream: DirectoryStream, _ count: Int) {
        guard let place = streams[stream] else { return }
        switch stream {
        case .outgoing: peers[place].following.link?.drained(count, now: now)
        case .incoming:
            guard peers[place].serving?.link.stream == stream else { return }
            peers[place].serving?.link.drained(count, now: now)
            produce(place)
        }
    }

    private mutating func closed(_ stream: DirectoryStream, _ reason: String) {
        guard let place = streams.removeValue(forKey: stream) else { return }
        switch stream {
        case .outgoing: endFollowing(place, reason, isClosed: true)
        case .incoming:
            if peers[place].serving?.link.stream == stream { peers[place].serving = nil }
            if peers[place].waiting?.link.stream == stream { peers[place].waiting = nil }
        }
    }

    private mutating func lookAtStreams(_ place: Int) {
        lookAtFollowing(place)
        if let link = peers[place].waiting?.link, now - link.openedAt >= timing.helloTimeout {
            peers[place].waiting = nil
            streams[link.stream] = nil
            effects.append(.close(link.stream))
        }
        guard let link = peers[place].serving?.link else { return }
        if link.isSlow(at: now, after: timing.slowPeer) {
            peers[place].serving = nil
            fault(place, .slow)
            refuse(link, .slow, "")
        } else if now - link.lastHeard >= timing.abandon {
            peers[place].serving = nil
            streams[link.stream] = nil
            effects.append(.close(link.stream))
        }
    }

    // MARK: Problems

    /// Reported, but not again and again, and kept in the list for a while.
    mutating func fault(_ place: Int, _ kind: DirectoryProblem.Kind) {
        peers[place].faults.removeAll { Self.isAlike($0.kind, kind) }
        if peers[place].faults.count >= limits.namedProblems { peers[place].faults.removeFirst() }
        peers[place].faults.append((kind, now))
        report(place, kind)
    }

    mutating func report(_ place: Int, _ kind: DirectoryProblem.Kind) {
        let (now, memory) = (now, timing.faultMemory)
        peers[place].lastReport.removeAll { now - $0.at >= memory }
        guard !peers[place].lastReport.contains(where: { Self.isAlike($0.kind, kind) }) else {
            return
        }
        peers[place].lastReport.append((kind, now))
        effects.append(.report(DirectoryProblem(peers[place].name, kind)))
    }

    /// The same fault with other particulars is no news.
    private static func isAlike(
        _ a: DirectoryProblem.Kind, _ b: DirectoryProblem.Kind
    ) -> Bool {
        switch (a, b) {
        case (.malformed, .malformed), (.otherSlice, .otherSlice), (.otherCluster, .otherCluster),
            (.twoGateways, .twoGateways), (.claims, .claims), (.claim, .claim),
            (.tooMany, .tooMany), (.manifestRefused, .manifestRefused),
            (.manifestTooLarge, .manifestTooLarge):
            true
        default: a == b
        }
    }
}
