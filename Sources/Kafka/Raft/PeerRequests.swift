import Timing

enum RequestKind { case vote, beginQuorumEpoch, endQuorumEpoch, fetch, fetchSnapshot }

/// The requests under way to one voter: at most one, so that answers come in the order of the
/// questions and a slow peer costs one slot.
struct Peer {
    struct InFlight {
        let requestID: UInt64
        let kind: RequestKind
        let deadline: Instant
    }

    let key: ReplicaKey
    var inFlight: InFlight?
    var backoffUntil: Instant?

    /// When something may be sent again; nil is at once.
    var blockedUntil: Instant? { inFlight?.deadline ?? backoffUntil }

    func isReady(at now: Instant) -> Bool { blockedUntil.map { $0 <= now } ?? true }
}

/// The other voters, by ascending id.
struct PeerRequests {
    var peers: [Peer]
    private var nextID: UInt64

    /// Ids start anywhere: an answer to what this node asked before a restart must not be taken for
    /// the answer to something else.
    init(voters: VoterSet, local: ReplicaKey, firstID: UInt64) {
        peers = voters.voters.filter { !$0.matches(local) }.map { Peer(key: $0) }
        nextID = firstID
    }

    func index(of id: Int32) -> Int? { peers.firstIndex { $0.key.id == id } }

    mutating func started(_ index: Int, _ kind: RequestKind, until deadline: Instant) -> UInt64 {
        nextID &+= 1
        peers[index].inFlight = Peer.InFlight(requestID: nextID, kind: kind, deadline: deadline)
        peers[index].backoffUntil = nil
        return nextID
    }

    /// What this was the answer to: nil if it is late, doubled, or from somebody else.
    mutating func finish(_ requestID: UInt64, from id: Int32) -> (index: Int, kind: RequestKind)? {
        guard let index = index(of: id), let inFlight = peers[index].inFlight,
            inFlight.requestID == requestID
        else { return nil }
        peers[index].inFlight = nil
        return (index, inFlight.kind)
    }

    mutating func fail(_ requestID: UInt64) -> (index: Int, kind: RequestKind)? {
        guard let index = peers.firstIndex(where: { $0.inFlight?.requestID == requestID }),
            let inFlight = peers[index].inFlight
        else { return nil }
        peers[index].inFlight = nil
        return (index, inFlight.kind)
    }

    /// A new role asks new questions; answers to the old ones find nobody.
    mutating func reset() {
        for index in peers.indices {
            peers[index].inFlight = nil
            peers[index].backoffUntil = nil
        }
    }
}
