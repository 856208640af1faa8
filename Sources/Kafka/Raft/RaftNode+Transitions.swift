import Timing

extension RaftNode {
    /// After a restart a node is what its state says, but never leader or candidate: what it said
    /// in its last epoch it may not remember, so it does not speak for that epoch again.
    func resume() {
        guard isVoter else {
            if let leader = election.leaderID, followable(leader) { return startFollowing() }
            return startUnattached(deadline: nil)
        }
        if voters.voters.count == 1 {
            // There is nobody to hand over to, or to wait for: it stands in the next epoch at once.
            startUnattached(deadline: now)
        } else if election.leaderID == configuration.nodeID {
            startResigned(preferred: [])
        } else if let leader = election.leaderID, followable(leader) {
            startFollowing()
        } else {
            // Nobody is known who could be disturbed, and a pre-vote disturbs nobody: a quorum that
            // starts as a whole need not wait for a leader that there cannot be yet.
            startUnattached(deadline: now + random.delay(below: timing.retryBackoff))
        }
    }

    func followable(_ id: Int32) -> Bool { id != configuration.nodeID && voters.contains(id: id) }

    /// Kafka's: the timeout, and up to as much again.
    func randomElectionTimeout() -> Nanoseconds {
        timing.electionTimeout + random.delay(below: timing.electionTimeout)
    }

    /// Kafka's binary exponential backoff, from 100 ms.
    func randomElectionBackoff() -> Nanoseconds {
        let limit = Nanoseconds.milliseconds(100 << Int64(min(electionRetries, 10)))
        return random.delay(below: min(limit, timing.electionBackoffMax))
    }

    func randomFetchTimeout() -> Nanoseconds {
        timing.fetchTimeout + random.delay(below: timing.fetchTimeoutJitter)
    }

    private func startUnattached(deadline: Instant?) {
        requests.reset()
        role = .unattached(UnattachedState(electionDeadline: deadline, nextDiscovery: now))
    }

    private func startFollowing() {
        requests.reset()
        electionRetries = 0
        role = .follower(FollowerState(fetchDeadline: now + randomFetchTimeout()))
    }

    private func startResigned(preferred: [ReplicaKey]) {
        requests.reset()
        role = .resigned(
            ResignedState(
                acknowledged: voters.voters.map { $0.matches(configuration.key) },
                deadline: now + randomElectionTimeout(), preferredCandidates: preferred))
    }

    /// Leaves the role that is, into an epoch that is not older.
    private func enter(epoch: Int32, leaderID: Int32?) throws(RaftLogError) {
        try leaveRole()
        if epoch > election.epoch { election.votedKey = nil }
        election.epoch = epoch
        election.leaderID = leaderID
    }

    private func leaveRole() throws(RaftLogError) {
        switch role {
        case .leader(let leader):
            abandon(leader)
            try log.flush()
        case .follower(let follower):
            if follower.download != nil { log.abandonSnapshot() }
        case .unattached, .prospective, .candidate, .resigned: break
        }
    }

    /// Tells everyone who waits for this leader that it is not one any more.
    func abandon(_ leader: LeaderState) {
        guard !leader.isAbandoned else { return }
        leader.isAbandoned = true
        effects.append(.lostLeadership(epoch: leader.epoch))
        for proposal in leader.proposals {
            effects.append(.proposalResult(token: proposal.token, .refused(.notLeader)))
        }
        leader.proposals = []
        for fetch in leader.parked {
            let error: RaftError = failure == nil ? .notLeaderOrFollower : .kafkaStorageError
            emit(.reply(.fetch(fetchResponse(error: error)), token: fetch.token))
        }
        leader.parked = []
    }

    /// The time to the next election is kept where there is one: somebody who keeps standing and
    /// cannot win must not keep the others from it.
    func becomeUnattached(epoch: Int32, leaderID: Int32? = nil) throws(RaftLogError) {
        var deadline: Instant? = now + randomElectionTimeout()
        switch role {
        case .unattached(let state): deadline = state.electionDeadline
        case .prospective(let state), .candidate(let state):
            if !state.isRejected(voters.majority), state.backoffUntil == nil {
                deadline = state.deadline
            }
        case .resigned(let state): if state.deadline > now { deadline = state.deadline }
        case .leader, .follower: break
        }
        try enter(epoch: epoch, leaderID: leaderID)
        startUnattached(deadline: isVoter ? deadline : nil)
    }

    func becomeFollower(of leaderID: Int32, epoch: Int32) throws(RaftLogError) {
        try enter(epoch: epoch, leaderID: leaderID)
        startFollowing()
    }

    /// Keeps epoch, leader and vote: nothing is at stake yet.
    func becomeProspective() throws(RaftLogError) {
        try checkEpochsLeft()
        try leaveRole()
        requests.reset()
        let state = NomineeState(
            voters: voters, local: configuration.key, deadline: now + randomElectionTimeout())
        role = .prospective(state)
        if state.isGranted(voters.majority) { try becomeCandidate() }
    }

    func becomeCandidate() throws(RaftLogError) {
        try checkEpochsLeft()
        try enter(epoch: election.epoch + 1, leaderID: nil)
        election.votedKey = configuration.key
        requests.reset()
        let state = NomineeState(
            voters: voters, local: configuration.key, deadline: now + randomElectionTimeout())
        role = .candidate(state)
        if state.isGranted(voters.majority) { try becomeLeader(state) }
    }

    /// Nobody is believed who names a later epoch: behind it there must be room for elections.
    static let lastEpoch = Int32.max - 1_000_000

    func checkEpochsLeft() throws(RaftLogError) {
        guard election.epoch < Int32.max else { throw .storage("no epoch is left") }
    }

    func becomeLeader(_ nominee: NomineeState) throws(RaftLogError) {
        try enter(epoch: election.epoch, leaderID: configuration.nodeID)
        requests.reset()
        electionRetries = 0
        var granting: [ReplicaKey] = []
        for (key, answer) in zip(voters.voters, nominee.answers) where answer == .granted {
            granting.append(key)
        }
        let change = LeaderChange(
            leaderID: configuration.nodeID, voters: voters.voters, grantingVoters: granting)
        let start = try log.appendLeaderChange(change, epoch: election.epoch)
        role = .leader(
            LeaderState(
                epoch: election.epoch, startOffset: start, voters: voters,
                local: configuration.key, now: now))
        emit(.becameLeader(epoch: election.epoch, startOffset: start))
    }

    func becomeResigned() throws(RaftLogError) {
        guard case .leader(let leader) = role else { return }
        let others = leader.voters.filter { !$0.key.matches(configuration.key) }
        let preferred = others.sorted {
            $0.endOffset == $1.endOffset ? $0.key.id < $1.key.id : $0.endOffset > $1.endOffset
        }
        try leaveRole()
        startResigned(preferred: preferred.map(\.key))
    }

    /// A lost pre-vote: back to the leader that was known, who may be there after all.
    func loseProspective() throws(RaftLogError) {
        if let leader = election.leaderID, followable(leader) {
            requests.reset()
            role = .follower(FollowerState(fetchDeadline: now + randomFetchTimeout()))
        } else {
            try becomeUnattached(epoch: election.epoch, leaderID: election.leaderID)
        }
    }

    /// Somebody says who leads in which epoch. Whether that can be true.
    @discardableResult
    func learn(leaderID claimed: Int32?, epoch: Int32) throws(RaftLogError) -> Bool {
        guard epoch >= election.epoch else { return true }
        guard let claimed else {
            if epoch > election.epoch { try becomeUnattached(epoch: epoch) }
            return true
        }
        if epoch > election.epoch {
            if followable(claimed) {
                try becomeFollower(of: claimed, epoch: epoch)
            } else {
                // This node itself, which then has lost its state and must not vote in that epoch;
                // or a voter that the configuration does not know.
                if claimed != configuration.nodeID { warn(.unknownVoter(ReplicaKey(id: claimed))) }
                try becomeUnattached(epoch: epoch, leaderID: claimed)
            }
            return true
        }
        guard let known = election.leaderID else {
            guard claimed != configuration.nodeID else {
                warn(.inconsistentLeader(epoch: epoch, known: nil, claimed: claimed))
                return false
            }
            if followable(claimed) { try becomeFollower(of: claimed, epoch: epoch) }
            return true
        }
        guard known == claimed else {
            warn(.inconsistentLeader(epoch: epoch, known: known, claimed: claimed))
            return false
        }
        if followable(claimed) {
            switch role {
            case .unattached: try becomeFollower(of: claimed, epoch: epoch)
            case .prospective, .candidate, .leader, .follower, .resigned: break
            }
        }
        return true
    }

    func shutDown(within timeout: Nanoseconds) throws(RaftLogError) {
        guard shutDownDeadline == nil else { return }
        shutDownDeadline = now + timeout
        try becomeResigned()
    }

    func finishShutDown() throws(RaftLogError) {
        try leaveRole()
        requests.reset()
        isShutDown = true
        emit(.shutDownComplete)
    }
}
