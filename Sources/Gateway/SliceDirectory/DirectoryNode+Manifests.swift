import SliceModel
import Timing

/// A newer manifest on its way to us: one at a time.
struct ManifestTransfer: Sendable {
    enum Phase: Sendable {
        case idle
        case asked
        case receiving
        /// Whoever checks signatures has it.
        case judging
    }

    static let none = ManifestTransfer()

    var phase = Phase.idle
    var from: ClusterName?
    var version: UInt64 = 0
    var digest = DirectoryDigest.none
    var byteCount = 0
    var document: [UInt8] = []
    var deadline = Instant(nanoseconds: 0)
}

extension DirectoryNode {
    /// Asks whoever has the newest, those first that have not offered rubbish yet.
    mutating func considerManifests() {
        giveUpOnSlowTransfers()
        guard transfer.phase == .idle else { return }
        var best: [Int] = []
        var rank: (refusals: Int, version: UInt64) = (.max, 0)
        for place in peers.indices {
            guard peers[place].following.phase == .live, let facts = peers[place].facts,
                facts.manifestVersion > self.facts.manifestVersion,
                peers[place].manifestNotBefore <= now,
                !peers[place].refusedManifests.contains(facts.manifestDigest)
            else { continue }
            let refusals = peers[place].manifestRefusals
            if refusals == rank.refusals, facts.manifestVersion == rank.version {
                best.append(place)
            } else if refusals < rank.refusals
                || refusals == rank.refusals && facts.manifestVersion > rank.version
            {
                rank = (refusals, facts.manifestVersion)
                best = [place]
            }
        }
        guard !best.isEmpty else { return }
        let place = best[random.index(below: best.count)]
        transfer = ManifestTransfer(
            phase: .asked, from: peers[place].name, deadline: now + timing.manifestStall)
        sendFollowing(place, DirectoryMessage.manifestRequest.frame)
    }

    private mutating func giveUpOnSlowTransfers() {
        guard transfer.phase != .idle, transfer.deadline <= now, let cluster = transfer.from else {
            return
        }
        if transfer.phase == .judging { return judged(cluster, transfer.digest, false) }
        transfer = .none
        guard let place = places[cluster] else { return }
        peers[place].manifestNotBefore = now + timing.manifestPause
        // What still comes would be taken for something else.
        endFollowing(place, "its manifest did not come")
    }

    /// The stream is gone, and with it what was still to come.
    mutating func forgetTransfer(from cluster: ClusterName) {
        guard transfer.from == cluster, transfer.phase != .judging else { return }
        transfer = .none
    }

    /// False if nobody asked.
    mutating func beginManifest(
        _ place: Int, _ version: UInt64, _ digest: DirectoryDigest, _ count: Int
    ) -> Bool {
        guard transfer.phase == .asked, transfer.from == peers[place].name else { return false }
        guard count > 0 else {
            transfer = .none
            peers[place].manifestNotBefore = now + timing.manifestPause
            return true
        }
        guard count <= limits.manifestBytes else {
            transfer = .none
            refuseManifest(place, digest)
            fault(place, .manifestTooLarge(count))
            endFollowing(place, "its manifest is too large")
            return true
        }
        transfer.phase = .receiving
        transfer.version = version
        transfer.digest = digest
        transfer.byteCount = count
        transfer.deadline = now + timing.manifestStall
        return true
    }

    /// False if nothing of the kind is to come.
    mutating func continueManifest(_ place: Int, _ bytes: [UInt8]) -> Bool {
        guard transfer.phase == .receiving, transfer.from == peers[place].name, !bytes.isEmpty,
            transfer.document.count + bytes.count <= transfer.byteCount
        else { return false }
        transfer.document += bytes
        transfer.deadline = now + timing.manifestStall
        guard transfer.document.count == transfer.byteCount else { return true }
        let received = ReceivedManifest(
            from: peers[place].name, version: transfer.version, digest: transfer.digest,
            document: transfer.document)
        // Meanwhile there may be a newer one; and it need not be the one that was announced.
        guard transfer.version > facts.manifestVersion,
            !peers[place].refusedManifests.contains(transfer.digest)
        else {
            transfer = .none
            peers[place].manifestNotBefore = now + timing.manifestPause
            return true
        }
        transfer.document = []
        transfer.phase = .judging
        transfer.deadline = now + timing.manifestVerdict
        effects.append(.manifestReceived(received))
        return true
    }

    private mutating func refuseManifest(_ place: Int, _ digest: DirectoryDigest) {
        peers[place].remember(digest)
        peers[place].manifestNotBefore = now + timing.manifestPause
    }

    mutating func judged(_ cluster: ClusterName, _ digest: DirectoryDigest, _ isAccepted: Bool) {
        guard transfer.phase == .judging, transfer.from == cluster, transfer.digest == digest
        else { return }
        let version = transfer.version
        transfer = .none
        if let place = places[cluster] {
            if isAccepted {
                peers[place].manifestRefusals = 0
                // The manifest itself comes as an event of its own; until then, not again.
                if facts.manifestVersion < version {
                    peers[place].manifestNotBefore = now + timing.manifestStall
                }
            } else {
                refuseManifest(place, digest)
                fault(place, .manifestRefused(version: version))
            }
        }
        considerManifests()
    }
}
