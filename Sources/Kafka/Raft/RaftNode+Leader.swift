import NIOCore
import Timing

extension RaftNode {
    func pollLeader(_ leader: LeaderState, isTimer: Bool) throws(RaftLogError) {
        if let deadline = checkQuorumDeadline(leader), deadline <= now {
            warn(.lostQuorum(epoch: leader.epoch))
            try becomeResigned()
            return try poll(isTimer: isTimer)
        }
        if isTimer, leader.flushWanted {
            // A step later than the append: the followers write while this disk does.
            leader.flushWanted = false
            try log.flush()
            try advanceHighWatermark()
        }
        if let deadline = leader.appendDeadline,
            isTimer && deadline <= now
                || leader.proposalBytes >= configuration.limits.maxFetchBytes
        {
            try appendProposals(leader)
        }
        try expireParked(leader)
        sendBeginQuorumEpoch(leader)
    }

    /// When the last majority of fetches is too old (KIP-835's check quorum); nil for a quorum of
    /// one.
    func checkQuorumDeadline(_ leader: LeaderState) -> Instant? {
        let needed = voters.majority - (isVoter ? 1 : 0)
        guard needed > 0 else { return nil }
        var heard: [Instant] = []
        for replica in leader.voters where !replica.key.matches(configuration.key) {
            heard.append(replica.lastFetch ?? leader.since)
        }
        heard.sort(by: >)
        guard needed <= heard.count else { return nil }
        return heard[needed - 1] + timing.checkQuorumTimeout
    }

    // MARK: Telling who leads

    /// Every voter is told once; then those who do not come for records.
    func sendBeginQuorumEpoch(_ leader: LeaderState) {
        if leader.beginDeadline <= now {
            for (index, replica) in leader.voters.enumerated()
            where !replica.key.matches(configuration.key) {
                let heard = replica.lastFetch ?? leader.since
                if now - heard >= timing.beginQuorumEpochInterval {
                    leader.beginPending[index] = true
                }
            }
            leader.beginDeadline = now + timing.beginQuorumEpochInterval
        }
        for (voter, replica) in leader.voters.enumerated() where leader.beginPending[voter] {
            guard let index = requests.index(of: replica.key.id),
                requests.peers[index].isReady(at: now)
            else { continue }
            let request = BeginQuorumEpochRequest(
                clusterID: configuration.clusterID, voter: replica.key,
                leaderID: configuration.nodeID, leaderEpoch: leader.epoch)
            send(.beginQuorumEpoch(request), .beginQuorumEpoch, to: index)
        }
    }

    /// This voter has been told.
    func told(_ index: Int) {
        guard case .leader(let leader) = role,
            let voter = voters.index(of: requests.peers[index].key)
        else { return }
        leader.beginPending[voter] = false
    }

    // MARK: Proposals

    func propose(_ records: ByteBuffer, token: UInt64) {
        let limits = configuration.limits
        let refusal: ProposalRefusal? =
            if case .leader(let leader) = role, shutDownDeadline == nil {
                if records.readableBytes == 0 {
                    .empty
                } else if records.readableBytes > limits.maxProposalBytes {
                    .tooLarge
                } else if leader.proposals.count >= limits.pendingProposals
                    || leader.proposalBytes > limits.pendingProposalBytes - records.readableBytes
                {
                    .tooManyPending
                } else {
                    nil
                }
            } else {
                .notLeader
            }
        if let refusal {
            effects.append(.proposalResult(token: token, .refused(refusal)))
        } else if case .leader(let leader) = role {
            leader.proposals.append(PendingProposal(token: token, records: records))
            leader.proposalBytes += records.readableBytes
            if leader.appendDeadline == nil { leader.appendDeadline = now + timing.appendLinger }
        }
    }

    private func appendProposals(_ leader: LeaderState) throws(RaftLogError) {
        leader.appendDeadline = nil
        let proposals = leader.proposals
        leader.proposals = []
        leader.proposalBytes = 0
        for (index, proposal) in proposals.enumerated() {
            do {
                let base = try log.append(proposal.records, epoch: leader.epoch)
                let result = ProposalResult.appended(
                    baseOffset: base, lastOffset: log.endOffset - 1, epoch: leader.epoch)
                effects.append(.proposalResult(token: proposal.token, result))
            } catch .invalidRecords(let reason) {
                let result = ProposalResult.refused(.invalidRecords(reason))
                effects.append(.proposalResult(token: proposal.token, result))
            } catch {
                for other in proposals[index...] {
                    effects.append(.proposalResult(token: other.token, .refused(.notLeader)))
                }
                throw error
            }
        }
        leader.flushWanted = true
        try wakeParked(leader)
    }

    // MARK: High watermark

    /// The largest offset that a majority has flushed. Records of earlier epochs count only once a
    /// record of this epoch does (Raft, section 5.4.2).
    func advanceHighWatermark() throws(RaftLogError) {
        guard case .leader(let leader) = role else { return }
        if let own = voters.index(of: configuration.key) {
            leader.voters[own].endOffset =
                canary == .forgetsFlush ? log.endOffset : log.flushedOffset
        }
        let flushed = leader.voters.map(\.endOffset).sorted(by: >)
        guard voters.majority <= flushed.count else { return }
        let agreed = min(flushed[voters.majority - 1], log.endOffset)
        guard agreed > highWatermark else { return }
        guard agreed > leader.startOffset || canary == .commitsOlderEpochs else { return }
        highWatermark = agreed
        try wakeParked(leader)
    }

    // MARK: Fetch

    /// What a request for the leader of this epoch must be.
    private func leaderError(epoch: Int32) -> RaftError {
        if canary != .skipsEpochCheck {
            if epoch < election.epoch { return .fencedLeaderEpoch }
            if epoch > election.epoch { return .unknownLeaderEpoch }
        }
        if !isLeader { return .notLeaderOrFollower }
        return shutDownDeadline == nil ? .none : .brokerNotAvailable
    }

    func fetchResponse(error: RaftError) -> FetchResponse {
        FetchResponse(
            error: error, leaderID: election.leaderID,
            leaderEpoch: error == .none ? answerEpoch : election.epoch,
            highWatermark: highWatermark, logStartOffset: log.startOffset)
    }

    func handle(_ request: FetchRequest, token: UInt64) throws(RaftLogError) {
        guard isOurCluster(request.clusterID) else {
            let response = FetchResponse(topLevelError: .inconsistentClusterID)
            return emit(.reply(.fetch(response), token: token))
        }
        guard request.maxWait >= .zero, request.fetchOffset >= 0, request.lastFetchedEpoch >= 0,
            request.lastFetchedEpoch <= request.currentLeaderEpoch, request.replica.id >= -1,
            request.replica.id != configuration.nodeID
        else {
            return emit(.reply(.fetch(fetchResponse(error: .invalidRequest)), token: token))
        }
        askedEpoch = request.currentLeaderEpoch
        let error = leaderError(epoch: request.currentLeaderEpoch)
        guard error == .none, case .leader(let leader) = role else {
            return emit(.reply(.fetch(fetchResponse(error: error)), token: token))
        }
        if log.validate(offset: request.fetchOffset, epoch: request.lastFetchedEpoch) == .valid {
            note(request, leader)
            try advanceHighWatermark()
        }
        let response = try answer(request)
        guard isIdle(response, for: request), request.maxWait > .zero,
            leader.parked.count < configuration.limits.parkedFetches
        else { return emit(.reply(.fetch(response), token: token)) }
        // A replica that asks again has given up its former question.
        if request.replica.id >= 0,
            let former = leader.parked.firstIndex(where: { $0.request.replica == request.replica })
        {
            emit(.reply(.fetch(response), token: leader.parked[former].token))
            leader.parked.remove(at: former)
        }
        // Longer than a follower's patience helps nobody, and the sum must not overflow.
        let wait = min(request.maxWait, .seconds(3_600))
        leader.parked.append(ParkedFetch(token: token, request: request, deadline: now + wait))
    }

    private func isIdle(_ response: FetchResponse, for request: FetchRequest) -> Bool {
        response.records.readableBytes == 0 && response.divergingEpoch == nil
            && response.snapshotID == nil && highWatermark <= request.highWatermark
    }

    private func answer(_ request: FetchRequest) throws(RaftLogError) -> FetchResponse {
        var response = fetchResponse(error: .none)
        switch log.validate(offset: request.fetchOffset, epoch: request.lastFetchedEpoch) {
        case .diverging(let end): response.divergingEpoch = end
        case .snapshot(let id): response.snapshotID = id
        case .valid:
            if request.fetchOffset < log.endOffset {
                let limit = max(1, min(request.maxBytes, configuration.limits.maxFetchBytes))
                response.records = try log.read(from: request.fetchOffset, maxBytes: limit)
            }
        }
        return response
    }

    /// Remembers how far a replica has come: it has flushed what is before the offset it fetches.
    private func note(_ request: FetchRequest, _ leader: LeaderState) {
        let key = request.replica
        let end = log.endOffset
        if let voter = voters.index(of: key) {
            leader.voters[voter].fetched(at: request.fetchOffset, leaderEnd: end, now: now)
            leader.beginPending[voter] = false
            return
        }
        guard key.id >= 0 else { return }
        leader.observers.removeAll { observer in
            observer.lastFetch.map { now - $0 >= timing.observerSession } ?? true
        }
        if let index = leader.observers.firstIndex(where: { $0.key == key }) {
            leader.observers[index].fetched(at: request.fetchOffset, leaderEnd: end, now: now)
        } else if leader.observers.count < configuration.limits.observers {
            var observer = ReplicaProgress(key: key)
            observer.fetched(at: request.fetchOffset, leaderEnd: end, now: now)
            leader.observers.append(observer)
        }
    }

    /// Answers those for whom there is something now: records, or a higher high watermark.
    private func wakeParked(_ leader: LeaderState) throws(RaftLogError) {
        guard !leader.parked.isEmpty else { return }
        var waiting: [ParkedFetch] = []
        for fetch in leader.parked {
            let response = try answer(fetch.request)
            if isIdle(response, for: fetch.request) {
                waiting.append(fetch)
            } else {
                emit(.reply(.fetch(response), token: fetch.token))
            }
        }
        leader.parked = waiting
    }

    private func expireParked(_ leader: LeaderState) throws(RaftLogError) {
        guard leader.parked.contains(where: { $0.deadline <= now }) else { return }
        for fetch in leader.parked where fetch.deadline <= now {
            emit(.reply(.fetch(try answer(fetch.request)), token: fetch.token))
        }
        leader.parked.removeAll { $0.deadline <= now }
    }

    func cancel(_ token: UInt64) {
        guard case .leader(let leader) = role else { return }
        leader.parked.removeAll { $0.token == token }
    }

    // MARK: FetchSnapshot

    func handle(_ request: FetchSnapshotRequest) throws(RaftLogError) -> FetchSnapshotResponse {
        guard isOurCluster(request.clusterID) else {
            return FetchSnapshotResponse(topLevelError: .inconsistentClusterID)
        }
        var response = FetchSnapshotResponse(
            leaderID: election.leaderID, leaderEpoch: election.epoch)
        response.error = leaderError(epoch: request.currentLeaderEpoch)
        guard response.error == .none, case .leader(let leader) = role else { return response }
        let limit = max(1, min(request.maxBytes, configuration.limits.maxFetchBytes))
        guard
            let chunk = try log.readSnapshot(
                request.snapshotID, position: max(0, request.position), maxBytes: limit)
        else {
            response.error = .snapshotNotFound
            return response
        }
        guard request.position >= 0, request.position < chunk.size else {
            response.error = .positionOutOfRange
            return response
        }
        // It is alive, though it has nothing to count yet.
        if let voter = voters.index(of: request.replica) {
            leader.voters[voter].lastFetch = now
            leader.beginPending[voter] = false
        }
        response.snapshotID = request.snapshotID
        response.size = chunk.size
        response.position = request.position
        response.unalignedRecords = chunk.bytes
        return response
    }

    // MARK: DescribeQuorum

    package func describe() -> QuorumDescription {
        description(error: isLeader ? .none : .notLeaderOrFollower)
    }

    func description(error: RaftError) -> QuorumDescription {
        var description = QuorumDescription(
            error: error, leaderID: election.leaderID, leaderEpoch: election.epoch,
            highWatermark: highWatermark, currentVoters: [], observers: [])
        guard case .leader(let leader) = role else { return description }
        description.currentVoters = leader.voters.map(status)
        description.observers = leader.observers.sorted { $0.key.id < $1.key.id }.map(status)
        return description
    }

    private func status(_ replica: ReplicaProgress) -> QuorumDescription.Replica {
        let isSelf = replica.key.matches(configuration.key)
        return QuorumDescription.Replica(
            key: replica.key, logEndOffset: isSelf ? log.endOffset : replica.endOffset,
            lastFetchAge: isSelf ? nil : replica.lastFetch.map { now - $0 },
            lastCaughtUpAge: isSelf ? .zero : replica.lastCaughtUp.map { now - $0 })
    }
}
