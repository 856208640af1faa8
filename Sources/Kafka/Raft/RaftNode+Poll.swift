import Timing

extension RaftNode {
    /// Does what is due, and asks what there is to ask, after every event.
    func poll(isTimer: Bool) throws(RaftLogError) {
        expireRequests()
        if let deadline = shutDownDeadline {
            // There is nothing to hand over any more, or no time.
            guard case .resigned = role, deadline > now else { return try finishShutDown() }
        }
        switch role {
        case .unattached(let state): try pollUnattached(state)
        case .prospective(let state): try pollProspective(state)
        case .candidate(let state): try pollCandidate(state)
        case .follower(let state): try pollFollower(state)
        case .leader(let leader): try pollLeader(leader, isTimer: isTimer)
        case .resigned(let state): try pollResigned(state)
        }
    }

    /// When to send `.timer` at the latest; nil while there is nothing to wait for.
    package var nextDeadline: Instant? {
        guard failure == nil, !isShutDown else { return nil }
        var deadline = Deadline(shutDownDeadline)
        for peer in requests.peers { deadline.include(peer.inFlight?.deadline) }
        switch role {
        case .unattached(let state):
            deadline.include(state.electionDeadline)
            if requests.peers.contains(where: { $0.inFlight == nil }) {
                deadline.include(state.nextDiscovery)
            }
        case .prospective(let state):
            deadline.include(state.deadline)
            if state.isYielding(at: now) {
                deadline.include(state.yieldUntil)
            } else {
                includeBackoffs(&deadline)
            }
        case .candidate(let state):
            deadline.include(state.backoffUntil ?? state.deadline)
            includeBackoffs(&deadline)
        case .follower(let state):
            deadline.include(state.fetchDeadline)
            includeBackoffs(&deadline)
        case .leader(let leader): includeDeadlines(of: leader, &deadline)
        case .resigned(let state):
            if shutDownDeadline == nil { deadline.include(state.deadline) }
            includeBackoffs(&deadline)
        }
        return deadline.earliest
    }

    private struct Deadline {
        var earliest: Instant?

        init(_ first: Instant?) { earliest = first }

        mutating func include(_ other: Instant?) {
            guard let other else { return }
            earliest = earliest.map { min($0, other) } ?? other
        }
    }

    private func includeBackoffs(_ deadline: inout Deadline) {
        for peer in requests.peers where peer.inFlight == nil {
            // One that is over has no request that waits for it.
            if let until = peer.backoffUntil, until > now { deadline.include(until) }
        }
    }

    private func includeDeadlines(of leader: LeaderState, _ deadline: inout Deadline) {
        deadline.include(checkQuorumDeadline(leader))
        deadline.include(leader.appendDeadline)
        if leader.flushWanted { deadline.include(now) }
        for fetch in leader.parked { deadline.include(fetch.deadline) }
        guard !requests.peers.isEmpty else { return }
        deadline.include(leader.beginDeadline)
        includeBackoffs(&deadline)
    }

    /// A request without an answer is lost: the slot is free for the next.
    private func expireRequests() {
        for index in requests.peers.indices {
            guard let inFlight = requests.peers[index].inFlight, inFlight.deadline <= now else {
                continue
            }
            requests.peers[index].inFlight = nil
            if inFlight.kind == .fetch || inFlight.kind == .fetchSnapshot {
                fetchBytes = max(configuration.limits.minFetchBytes, fetchBytes / 2)
            }
        }
    }

    // MARK: Roles

    private func pollUnattached(_ state: UnattachedState) throws(RaftLogError) {
        if let deadline = state.electionDeadline, deadline <= now || voters.voters.count == 1 {
            return try becomeProspectiveAndAsk()
        }
        guard state.nextDiscovery <= now, !requests.peers.isEmpty else { return }
        // Any voter knows who leads, or will.
        let index = random.index(below: requests.peers.count)
        guard index < requests.peers.count, requests.peers[index].isReady(at: now) else {
            role = .unattached(
                UnattachedState(
                    electionDeadline: state.electionDeadline,
                    nextDiscovery: now + timing.retryBackoff))
            return
        }
        role = .unattached(
            UnattachedState(
                electionDeadline: state.electionDeadline, nextDiscovery: now + timing.retryBackoff))
        sendFetch(to: index, maxWait: .zero)
    }

    func becomeProspectiveAndAsk() throws(RaftLogError) {
        try becomeProspective()
        switch role {
        case .prospective(let state): askForVotes(state, preVote: true)
        case .candidate(let state): askForVotes(state, preVote: false)
        case .leader(let leader): sendBeginQuorumEpoch(leader)
        case .unattached, .follower, .resigned: break
        }
    }

    private func pollProspective(_ state: NomineeState) throws(RaftLogError) {
        if state.deadline <= now || state.isRejected(voters.majority) {
            electionRetries += 1
            try loseProspective()
            // Whoever is known to lead is asked at once; the timers were all set anew.
            if case .follower = role { fetchFromLeader() }
            return
        }
        guard !state.isYielding(at: now) else { return }
        if state.isGranted(voters.majority) {
            try becomeCandidate()
            if case .candidate(let state) = role { askForVotes(state, preVote: false) }
        } else {
            askForVotes(state, preVote: true)
        }
    }

    private func pollCandidate(_ state: NomineeState) throws(RaftLogError) {
        if let until = state.backoffUntil {
            if until <= now { try becomeProspectiveAndAsk() }
            return
        }
        if state.deadline <= now || state.isRejected(voters.majority) {
            electionRetries += 1
            var resting = state
            resting.backoffUntil = now + randomElectionBackoff()
            role = .candidate(resting)
            return
        }
        askForVotes(state, preVote: false)
    }

    private func pollFollower(_ state: FollowerState) throws(RaftLogError) {
        if state.fetchDeadline <= now {
            if isVoter { return try becomeProspectiveAndAsk() }
            try becomeUnattached(epoch: election.epoch)
            if case .unattached(let state) = role { try pollUnattached(state) }
            return
        }
        fetchFromLeader()
    }

    private func pollResigned(_ state: ResignedState) throws(RaftLogError) {
        let everybody = state.acknowledged.allSatisfy { $0 }
        if shutDownDeadline != nil {
            if everybody { return try finishShutDown() }
        } else if state.deadline <= now {
            try checkEpochsLeft()
            // In its own epoch it can neither vote nor follow.
            try becomeUnattached(epoch: election.epoch + 1)
            if case .unattached(let state) = role { try pollUnattached(state) }
            return
        }
        for (voter, acknowledged) in zip(voters.voters, state.acknowledged) where !acknowledged {
            guard let index = requests.index(of: voter.id), requests.peers[index].isReady(at: now)
            else { continue }
            let request = EndQuorumEpochRequest(
                clusterID: configuration.clusterID, leaderID: configuration.nodeID,
                leaderEpoch: election.epoch, preferredCandidates: state.preferredCandidates)
            send(.endQuorumEpoch(request), .endQuorumEpoch, to: index)
        }
    }
}
