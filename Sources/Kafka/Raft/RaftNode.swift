import NIOCore
import Timing

/// One replica of the quorum that agrees on one log: KRaft, which is Raft where the followers fetch
/// (KIP-595), with pre-votes (KIP-996) and snapshots (KIP-630).
///
/// Stepped: events and the time go in, effects come out, to be carried out in their order. The log
/// is worked on directly; everything that may be told to others only after something is on disk is
/// an effect behind it.
package final class RaftNode {
    package let configuration: RaftConfiguration
    let log: any RaftLog
    let canary: RaftCanary?

    package internal(set) var election: ElectionState
    /// Nothing before this offset will ever change. Never falls.
    package internal(set) var highWatermark: Int64
    var role: RaftRole
    var requests: PeerRequests
    var random: RaftRandom
    var now: Instant
    /// Elections lost since a leader was last known, for the backoff.
    var electionRetries = 0
    /// How much a fetch asks for: less while answers take too long.
    var fetchBytes: Int
    var shutDownDeadline: Instant?
    var isShutDown = false
    var failure: RaftLogError?
    /// Only for the canary that does not look at it.
    var askedEpoch: Int32 = 0

    /// What is on disk; until `election` equals it, nothing is said.
    private var persisted: ElectionState
    private var announced: ElectionState
    private var announcedHighWatermark: Int64
    var effects: [RaftEffect] = []

    /// Nil for `election`: no state was ever written.
    package init(
        configuration: RaftConfiguration, log: any RaftLog, election stored: ElectionState?,
        seed: UInt64, now: Instant, canary: RaftCanary? = nil
    ) {
        self.configuration = configuration
        self.log = log
        self.canary = canary
        self.now = now
        fetchBytes = configuration.limits.maxFetchBytes
        random = RaftRandom(seed: seed)
        requests = PeerRequests(
            voters: configuration.voters, local: configuration.key, firstID: random.next() >> 1)
        persisted = stored ?? ElectionState()
        // The state is written before the records of an epoch, but for a quorum of one.
        election = persisted
        if election.epoch < log.latestEpoch { election = ElectionState(epoch: log.latestEpoch) }
        announced = ElectionState(epoch: -1)
        highWatermark = max(log.startOffset, log.latestSnapshot?.offset ?? 0)
        announcedHighWatermark = highWatermark
        role = .unattached(UnattachedState(electionDeadline: nil, nextDiscovery: now))
        resume()
    }

    package var isVoter: Bool { configuration.voters.contains(configuration.key) }
    package var isLeader: Bool { if case .leader = role { true } else { false } }
    package var epoch: Int32 { election.epoch }
    package var leaderID: Int32? { election.leaderID }
    var timing: RaftTiming { configuration.timing }
    var voters: VoterSet { configuration.voters }

    /// For logs and metrics: Kafka's `current-state`.
    package var roleName: String {
        switch role {
        case .unattached: election.votedKey == nil ? "unattached" : "unattached-voted"
        case .prospective: "prospective"
        case .candidate: "candidate"
        case .leader: "leader"
        case .follower: isVoter ? "follower" : "observer"
        case .resigned: "resigned"
        }
    }

    /// `now` does not go back: a time before the last one counts as the last one.
    package func step(_ event: RaftEvent, now time: Instant) -> [RaftEffect] {
        now = max(now, time)
        effects.removeAll(keepingCapacity: true)
        guard failure == nil else {
            refuse(event, with: .kafkaStorageError)
            return effects
        }
        guard !isShutDown else {
            refuse(event, with: .brokerNotAvailable)
            return effects
        }
        do throws(RaftLogError) {
            try handle(event)
            var isTimer = false
            if case .timer = event { isTimer = true }
            try poll(isTimer: isTimer)
        } catch {
            halt(error)
        }
        announce()
        return effects
    }

    private func handle(_ event: RaftEvent) throws(RaftLogError) {
        switch event {
        case .timer: break
        case .request(let request, let token): try handle(request, token: token)
        case .cancelled(let token): cancel(token)
        case .response(let response, let from, let requestID):
            try handle(response, from: from, requestID: requestID)
        case .sendFailed(let requestID): handleSendFailure(requestID)
        case .propose(let records, let token): propose(records, token: token)
        case .flushed: try advanceHighWatermark()
        case .resign(let epoch):
            if isLeader, epoch == self.epoch { try becomeResigned() }
        case .shutDown(let timeout): try shutDown(within: timeout)
        }
    }

    var answerEpoch: Int32 { canary == .skipsEpochCheck ? askedEpoch : election.epoch }

    // MARK: Effects

    /// An effect that others see: what it rests on is persisted first.
    func emit(_ effect: RaftEffect) {
        persistElection()
        effects.append(effect)
    }

    private func persistElection() {
        guard election != persisted else { return }
        persisted = election
        if canary == .forgetsPersist { return }
        effects.append(.persist(election))
    }

    /// At the end of a step: what it has changed, once.
    private func announce() {
        persistElection()
        if highWatermark > announcedHighWatermark {
            announcedHighWatermark = highWatermark
            effects.append(.committed(upTo: highWatermark))
        }
        if announced.epoch != election.epoch || announced.leaderID != election.leaderID {
            announced = election
            effects.append(.leaderChanged(leaderID: election.leaderID, epoch: election.epoch))
        }
    }

    func warn(_ warning: RaftWarning) { effects.append(.warning(warning)) }

    func send(_ request: RaftRequest, _ kind: RequestKind, to index: Int) {
        let id = requests.started(index, kind, until: now + timing.requestTimeout)
        emit(.send(request, to: requests.peers[index].key.id, requestID: id))
    }

    func backOff(_ index: Int) { requests.peers[index].backoffUntil = now + timing.retryBackoff }

    private func halt(_ error: RaftLogError) {
        failure = error
        if case .leader(let leader) = role { abandon(leader) }
        requests.reset()
        effects.append(.halted(error))
    }

    private func refuse(_ event: RaftEvent, with error: RaftError) {
        switch event {
        case .request(let request, let token):
            effects.append(.reply(response(to: request, topLevelError: error), token: token))
        case .propose(_, let token):
            effects.append(.proposalResult(token: token, .refused(.notLeader)))
        case .shutDown: effects.append(.shutDownComplete)
        case .timer, .cancelled, .response, .sendFailed, .flushed, .resign: break
        }
    }

    /// The answer that says nothing but this.
    func response(to request: RaftRequest, topLevelError error: RaftError) -> RaftResponse {
        switch request {
        case .vote: .vote(VoteResponse(topLevelError: error))
        case .beginQuorumEpoch: .beginQuorumEpoch(QuorumEpochResponse(topLevelError: error))
        case .endQuorumEpoch: .endQuorumEpoch(QuorumEpochResponse(topLevelError: error))
        case .fetch: .fetch(FetchResponse(topLevelError: error))
        case .fetchSnapshot: .fetchSnapshot(FetchSnapshotResponse(topLevelError: error))
        case .describeQuorum: .describeQuorum(description(error: error))
        }
    }
}
