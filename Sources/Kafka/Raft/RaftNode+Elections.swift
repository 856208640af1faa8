import Timing

extension RaftNode {
    // MARK: Requests

    func handle(_ request: RaftRequest, token: UInt64) throws(RaftLogError) {
        let answer: RaftResponse
        switch request {
        case .vote(let request): answer = .vote(try handle(request))
        case .beginQuorumEpoch(let request): answer = .beginQuorumEpoch(try handle(request))
        case .endQuorumEpoch(let request): answer = .endQuorumEpoch(try handle(request))
        case .fetch(let request): return try handle(request, token: token)
        case .fetchSnapshot(let request): answer = .fetchSnapshot(try handle(request))
        case .describeQuorum: answer = .describeQuorum(describe())
        }
        emit(.reply(answer, token: token))
    }

    /// A request without a cluster id is for any cluster.
    func isOurCluster(_ id: String?) -> Bool { id.map { $0 == configuration.clusterID } ?? true }

    /// What a request between voters of this epoch must be (KIP-595).
    private func voterError(_ remote: ReplicaKey, epoch: Int32) -> RaftError {
        if epoch < election.epoch, canary != .skipsEpochCheck { return .fencedLeaderEpoch }
        if remote.id < 0 || remote.id == configuration.nodeID || epoch > Self.lastEpoch {
            return .invalidRequest
        }
        // Static voters: somebody's configuration is wrong, and must not disturb the others.
        return isVoter && voters.contains(remote) ? .none : .inconsistentVoterSet
    }

    /// Else the peer has another replica in mind: a disk is new, or an address has moved.
    private func isMeant(_ key: ReplicaKey?) -> Bool {
        key.map { $0.matches(configuration.key) } ?? true
    }

    private func handle(_ request: VoteRequest) throws(RaftLogError) -> VoteResponse {
        guard isOurCluster(request.clusterID) else {
            return VoteResponse(topLevelError: .inconsistentClusterID)
        }
        let epoch = request.replicaEpoch
        askedEpoch = epoch
        let lastEpoch = request.lastOffsetEpoch
        guard epoch >= 0, request.lastOffset >= 0, lastEpoch >= 0,
            request.preVote ? lastEpoch <= epoch : lastEpoch < epoch
        else { return voteResponse(.invalidRequest) }
        let error = voterError(request.replica, epoch: epoch)
        guard error == .none else { return voteResponse(error) }
        if epoch > election.epoch { try becomeUnattached(epoch: epoch) }
        guard isMeant(request.voter) else { return voteResponse(.invalidVoterKey) }
        let theirs = OffsetAndEpoch(offset: request.lastOffset, epoch: lastEpoch)
        guard
            canGrantVote(
                to: request.replica, preVote: request.preVote,
                isUpToDate: theirs >= log.endOffsetAndEpoch)
        else { return voteResponse(.none) }
        if request.preVote {
            yield(to: request.replica, at: theirs)
        } else {
            vote(for: request.replica)
        }
        return voteResponse(.none, granted: true)
    }

    private func voteResponse(_ error: RaftError, granted: Bool = false) -> VoteResponse {
        VoteResponse(
            error: error, leaderID: election.leaderID,
            leaderEpoch: granted ? answerEpoch : election.epoch,
            voteGranted: granted)
    }

    /// A vote binds for the epoch; a pre-vote binds to nothing, and is for whoever could win while
    /// there is no leader to be disturbed (KIP-996).
    private func canGrantVote(to key: ReplicaKey, preVote: Bool, isUpToDate: Bool) -> Bool {
        if canary == .votesTwice, !preVote, !isLeader { return isUpToDate }
        switch role {
        case .leader: return false
        case .follower(let state): return preVote && isUpToDate && !hearsLeader(state)
        case .candidate, .resigned: return preVote && isUpToDate
        case .unattached, .prospective:
            if preVote { return isUpToDate }
            if let voted = election.votedKey {
                // The same candidate asks again.
                return voted.id == key.id
                    && (voted.directoryID == nil || voted.directoryID == key.directoryID)
            }
            return election.leaderID == nil && isUpToDate
        }
    }

    /// Where two ask each other at the same time, both would be granted, both would stand, and with
    /// the third gone neither could win. So the one whose log is shorter, or whose id is higher,
    /// lets the other go first, for about the time that an election takes.
    private func yield(to rival: ReplicaKey, at theirs: OffsetAndEpoch) {
        guard case .prospective(var state) = role, state.yieldUntil == nil else { return }
        guard theirs > log.endOffsetAndEpoch || rival.id < configuration.nodeID else { return }
        state.yieldUntil = now + Nanoseconds(timing.electionTimeout.count / 4 * 3)
        role = .prospective(state)
    }

    private func hearsLeader(_ state: FollowerState) -> Bool {
        guard let last = state.lastFetch, !state.leaderResigned, !isRefused(state) else {
            return false
        }
        return now - last < timing.fetchTimeout
    }

    func isRefused(_ state: FollowerState) -> Bool {
        state.refusals >= timing.refusalsBeforeElection
    }

    private func vote(for key: ReplicaKey) {
        guard election.votedKey != key else { return }
        election.votedKey = key
        requests.reset()
        role = .unattached(
            UnattachedState(electionDeadline: now + randomElectionTimeout(), nextDiscovery: now))
    }

    private func handle(
        _ request: BeginQuorumEpochRequest
    ) throws(RaftLogError) -> QuorumEpochResponse {
        guard isOurCluster(request.clusterID) else {
            return QuorumEpochResponse(topLevelError: .inconsistentClusterID)
        }
        let leader = ReplicaKey(id: request.leaderID)
        let error = voterError(leader, epoch: request.leaderEpoch)
        guard error == .none else { return epochResponse(error) }
        guard try learn(leaderID: request.leaderID, epoch: request.leaderEpoch) else {
            return epochResponse(.invalidRequest)
        }
        if case .prospective = role, election.leaderID == request.leaderID {
            try becomeFollower(of: request.leaderID, epoch: request.leaderEpoch)
        }
        return epochResponse(isMeant(request.voter) ? .none : .invalidVoterKey)
    }

    private func handle(
        _ request: EndQuorumEpochRequest
    ) throws(RaftLogError) -> QuorumEpochResponse {
        guard isOurCluster(request.clusterID) else {
            return QuorumEpochResponse(topLevelError: .inconsistentClusterID)
        }
        let leader = ReplicaKey(id: request.leaderID)
        let error = voterError(leader, epoch: request.leaderEpoch)
        guard error == .none else { return epochResponse(error) }
        guard try learn(leaderID: request.leaderID, epoch: request.leaderEpoch) else {
            return epochResponse(.invalidRequest)
        }
        if case .follower(var state) = role, election.leaderID == request.leaderID {
            state.leaderResigned = true
            let wait = successionDelay(request.preferredCandidates)
            state.fetchDeadline = min(state.fetchDeadline, now + wait)
            role = .follower(state)
        }
        return epochResponse(.none)
    }

    private func epochResponse(_ error: RaftError) -> QuorumEpochResponse {
        QuorumEpochResponse(
            error: error, leaderID: election.leaderID, leaderEpoch: election.epoch)
    }

    /// The first stands at once, the next ones later and later, so that there is one candidate:
    /// Kafka's strict exponential backoff. Who is not named waits longest.
    private func successionDelay(_ candidates: [ReplicaKey]) -> Nanoseconds {
        if candidates.isEmpty { return random.delay(below: timing.retryBackoff) }
        let longest = timing.electionBackoffMax
        guard let position = candidates.firstIndex(where: { $0.matches(configuration.key) }) else {
            return longest
        }
        if position == 0 { return .zero }
        let halvings = Int64(min(candidates.count - 1 - position, 62))
        return Nanoseconds(longest.count >> halvings)
    }

    // MARK: Asking for votes

    func askForVotes(_ state: NomineeState, preVote: Bool) {
        for (voter, answer) in zip(voters.voters, state.answers) where answer != .granted {
            guard let index = requests.index(of: voter.id), requests.peers[index].isReady(at: now)
            else { continue }
            // A refused pre-vote is asked for again: who refused may meanwhile miss the leader too.
            if answer == .rejected, !preVote { continue }
            let end = log.endOffsetAndEpoch
            let request = VoteRequest(
                clusterID: configuration.clusterID, voter: voter, replicaEpoch: election.epoch,
                replica: configuration.key, lastOffsetEpoch: end.epoch, lastOffset: end.offset,
                preVote: preVote)
            send(.vote(request), .vote, to: index)
        }
    }

    func handle(_ response: VoteResponse, from index: Int) throws(RaftLogError) {
        let peer = requests.peers[index].key
        guard
            try acceptsBody(
                response.topLevelError, response.error, leaderID: response.leaderID,
                epoch: response.leaderEpoch, from: index)
        else { return }
        guard let voter = voters.index(of: peer) else { return }
        switch role {
        case .prospective(var state):
            state.answers[voter] = response.voteGranted ? .granted : .rejected
            role = .prospective(state)
            if !response.voteGranted { backOff(index) }
            if state.isGranted(voters.majority), !state.isYielding(at: now) {
                try becomeCandidate()
                if case .candidate(let state) = role { askForVotes(state, preVote: false) }
            }
        case .candidate(var state):
            state.answers[voter] = response.voteGranted ? .granted : .rejected
            role = .candidate(state)
            if state.isGranted(voters.majority) { try becomeLeader(state) }
        case .unattached, .follower, .leader, .resigned: break
        }
    }

    // MARK: Responses

    func handle(
        _ response: RaftResponse, from id: Int32, requestID: UInt64
    ) throws(RaftLogError) {
        guard let (index, kind) = requests.finish(requestID, from: id) else { return }
        switch (kind, response) {
        case (.vote, .vote(let response)): try handle(response, from: index)
        case (.beginQuorumEpoch, .beginQuorumEpoch(let response)):
            _ = try acceptsBody(
                response.topLevelError, response.error, leaderID: response.leaderID,
                epoch: response.leaderEpoch, from: index)
            if response.topLevelError == .none, response.error == .none { told(index) }
        case (.endQuorumEpoch, .endQuorumEpoch(let response)):
            // Whoever answers knows, even if by now it knows of a later epoch.
            acknowledgedEnd(index)
            _ = try acceptsBody(
                response.topLevelError, response.error, leaderID: response.leaderID,
                epoch: response.leaderEpoch, from: index)
        case (.fetch, .fetch(let response)): try handle(response, from: index)
        case (.fetchSnapshot, .fetchSnapshot(let response)): try handle(response, from: index)
        default:
            warn(.refused(by: id, .unknownServerError))
            backOff(index)
        }
    }

    /// What every response says: an error, and who leads in which epoch. Whether the rest of it is
    /// to be looked at.
    func acceptsBody(
        _ topLevelError: RaftError, _ error: RaftError, leaderID: Int32?, epoch: Int32,
        from index: Int
    ) throws(RaftLogError) -> Bool {
        let id = requests.peers[index].key.id
        guard topLevelError == .none else {
            if topLevelError != .brokerNotAvailable { warn(.refused(by: id, topLevelError)) }
            backOff(index)
            return false
        }
        let before = election
        guard epoch >= election.epoch, epoch <= Self.lastEpoch,
            try learn(leaderID: leaderID, epoch: epoch)
        else {
            backOff(index)
            return false
        }
        // The question was asked in another epoch: the answer does not hold in this one.
        guard before.epoch == election.epoch else { return false }
        switch error {
        case .none: return true
        case .notLeaderOrFollower: suspectLeader(id)
        case .fencedLeaderEpoch, .unknownLeaderEpoch, .brokerNotAvailable: break
        default: warn(.refused(by: id, error))
        }
        backOff(index)
        return false
    }

    private func acknowledgedEnd(_ index: Int) {
        guard case .resigned(var state) = role,
            let voter = voters.index(of: requests.peers[index].key)
        else { return }
        state.acknowledged[voter] = true
        role = .resigned(state)
    }

    func handleSendFailure(_ requestID: UInt64) {
        guard let (index, kind) = requests.fail(requestID) else { return }
        backOff(index)
        let id = requests.peers[index].key.id
        guard kind == .fetch || kind == .fetchSnapshot, case .follower(var state) = role,
            election.leaderID == id
        else { return }
        state.refusals += 1
        if state.refusals == timing.refusalsBeforeElection {
            warn(.leaderConnectionRefused(id))
            state.fetchDeadline = min(
                state.fetchDeadline, now + random.delay(below: timing.retryBackoff))
        }
        role = .follower(state)
    }

    /// The leader that this node follows says that it is none: another one will be found sooner by
    /// an election than by waiting.
    private func suspectLeader(_ id: Int32) {
        guard case .follower(var state) = role, election.leaderID == id, !state.leaderResigned
        else { return }
        state.leaderResigned = true
        state.fetchDeadline = min(
            state.fetchDeadline, now + random.delay(below: timing.retryBackoff))
        role = .follower(state)
    }
}
