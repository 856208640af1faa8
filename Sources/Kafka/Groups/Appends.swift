import KafkaWire
import NIOCore
import Timing

// What is written to `__consumer_offsets`, and what follows when it stands there.
//
// Memory changes when the batch lies below the high watermark, not before, so nobody is shown an
// offset that a change of leader could take back, and reading the log again gives the same state.
extension GroupCoordinator {
    @discardableResult
    func append(_ batch: ByteBuffer, work: PendingAppend.Work, partition: Int32) -> UInt64 {
        let token = nextToken
        nextToken += 1
        appends[token] = PendingAppend(partition: partition, work: work)
        deadlines.append(.append(token), due: now + answerTimeout)
        for group in groups(of: work) { group.appends.append(token) }
        effects.append(.append(partition: partition, batch: batch, token: token))
        return token
    }

    var answerTimeout: Nanoseconds { .milliseconds(Int64(config.offsetCommitTimeoutMs)) }

    @discardableResult
    func appendMetadata(
        of group: Group, assignment: [String: ByteBuffer]? = nil, work: PendingAppend.Work
    ) -> UInt64 {
        var batch = GroupRecordBatch(timestampMs: wallMs)
        batch.append(metadataOf: group, assignment: assignment)
        group.isPersisted = true
        return append(batch.finish(), work: work, partition: group.partition)
    }

    private func groups(of work: PendingAppend.Work) -> [Group] {
        switch work {
        case .commit(let work): return [work.group]
        case .assignment(let group, _, _), .emptied(let group): return [group]
        case .staticMember(let work): return [work.group]
        case .tombstones(let work):
            // The offsets come group by group. That one stands here twice does no harm.
            var groups: [Group] = []
            for offset in work.offsets where groups.last !== offset.group {
                groups.append(offset.group)
            }
            return groups + work.groups
        }
    }

    func appended(_ token: UInt64, _ outcome: AppendOutcome) {
        guard let pending = appends.removeValue(forKey: token) else { return }
        dropAnsweredDeadlines()
        let groups = groups(of: pending.work)
        for group in groups { group.appends.removeAll { $0 == token } }
        switch outcome {
        case .committed: committed(pending)
        case .refused(let error): refused(pending, error)
        }
        for group in groups { removeIfHollow(group) }
        answerStableFetches(waitingFor: token)
    }

    private func committed(_ pending: PendingAppend) {
        switch pending.work {
        case .commit(let work):
            for one in work.offsets {
                setOffset(one.value, topic: one.topic, partition: one.partition, of: work.group)
            }
            if !pending.isOverdue { reply(work.token, .offsetCommit(work.response)) }
        case .assignment(let group, let generation, let assignment):
            assignmentWritten(group, generation: generation, assignment)
        case .emptied: break
        case .staticMember(let work): staticMemberWritten(work)
        case .tombstones(let work):
            for one in work.offsets {
                removeOffset(topic: one.topic, partition: one.partition, of: one.group)
            }
            for group in work.groups {
                setDead(group, false)
                group.forgetMetadata()
            }
            if !pending.isOverdue { settle(work, nil) }
        }
    }

    private func refused(_ pending: PendingAppend, _ error: ErrorCode) {
        switch pending.work {
        case .commit(let work):
            if !pending.isOverdue { refuseCommit(work, Self.commitError(error)) }
        case .assignment(let group, let generation, _):
            assignmentRefused(group, generation: generation, Self.groupError(error))
        case .emptied:
            break  // The next generation says so again. Until then the log has the one before.
        case .staticMember(let work): staticMemberRefused(work, Self.groupError(error))
        case .tombstones(let work):
            for group in work.groups { setDead(group, false) }
            if !pending.isOverdue { settle(work, Self.groupError(error)) }
        }
    }

    func refuseCommit(_ work: OffsetCommitWork, _ error: ErrorCode) {
        var response = work.response
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices
            where response.topics[topic].partitions[partition].errorCode == .none {
                response.topics[topic].partitions[partition].errorCode = error
            }
        }
        reply(work.token, .offsetCommit(response))
    }

    /// One batch of a deletion is done.
    func settle(_ work: TombstoneWork, _ error: ErrorCode?) {
        guard let gathering = work.gathering else { return }
        if let error { gathering.refuse(result: work.result, error) }
        gathering.outstanding -= 1
        if gathering.outstanding == 0 { reply(gathering.token, gathering.response) }
    }

    /// `offsets.commit.timeout.ms` is over. The client is told to try again; what was sent to the
    /// log is still waited for, because it may well arrive.
    func appendOverdue(_ token: UInt64) {
        guard var pending = appends[token] else { return }
        pending.isOverdue = true
        appends[token] = pending
        let error = ErrorCode.coordinatorNotAvailable
        switch pending.work {
        case .commit(let work): refuseCommit(work, error)
        case .assignment(let group, let generation, _):
            assignmentRefused(group, generation: generation, error)
        case .emptied: break
        case .staticMember(let work):
            if work.member.awaitingJoin?.token == work.request.token,
                let waiting = work.group.setAwaitingJoin(nil, of: work.member)
            {
                refuse(waiting, error, memberId: "")
            }
        case .tombstones(let work): settle(work, error)
        }
    }

    func dropAnsweredDeadlines() {
        deadlines.dropFirst { subject in
            switch subject {
            case .append(let token): appends[token] == nil
            case .stableFetch(let id): stableFetches[id] == nil
            }
        }
    }

    // MARK: Errors of the log as clients of groups know them

    private static func groupError(_ error: ErrorCode) -> ErrorCode {
        switch error {
        case .messageTooLarge, .recordListTooLarge, .invalidFetchSize: .unknownServerError
        default: appendError(error)
        }
    }

    /// Kafka 3 told too large a commit by its own name, 4.0 does not any more; a name helps.
    private static func commitError(_ error: ErrorCode) -> ErrorCode {
        switch error {
        case .messageTooLarge, .recordListTooLarge, .invalidFetchSize: .invalidCommitOffsetSize
        default: appendError(error)
        }
    }

    private static func appendError(_ error: ErrorCode) -> ErrorCode {
        switch error {
        case .unknownTopicOrPartition, .notEnoughReplicas, .notEnoughReplicasAfterAppend,
            .requestTimedOut:
            .coordinatorNotAvailable
        case .notLeaderOrFollower, .kafkaStorageError: .notCoordinator
        default: error
        }
    }
}
