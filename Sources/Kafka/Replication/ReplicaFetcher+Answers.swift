import CommitLog
import KafkaWire
import Timing

extension ReplicaFetcher {
    /// The answer to a fetch; nil where the connection was lost, with everything on it.
    func answered(_ correlation: UInt64, _ response: FetchResponse?) {
        guard let place = underWay.firstIndex(where: { $0.correlation == correlation }) else {
            return
        }
        let request = underWay[place]
        guard let response else {
            underWay.removeAll()
            rest()
            endSession(isGone: false)
            return
        }
        underWay.remove(at: place)
        guard response.errorCode == .none else {
            sessionFailed(response.errorCode)
            return
        }
        failures = 0
        notBefore = nil
        if request.isFull {
            sessionBegan(response.sessionId)
        } else if response.sessionId == 0 {
            endSession(isGone: true)
        }
        var hasRecords = false
        for topic in response.responses {
            for data in topic.partitions {
                if data.byteCount > 0 { hasRecords = true }
                let key = TopicIdPartition(topic.topicId, data.partitionIndex)
                guard let slot = index[key] else { continue }
                take(slot, data, correlation)
            }
        }
        adaptDepth(hasRecords: hasRecords, isEmpty: response.responses.isEmpty)
    }

    private func sessionFailed(_ error: ErrorCode) {
        switch error {
        case .fetchSessionIdNotFound:
            endSession(isGone: true)
        case .invalidFetchSessionEpoch, .fetchSessionTopicIdError:
            endSession(isGone: false)
        default:
            endSession(isGone: false)
            rest()
        }
    }

    /// Nothing is sent for a while, longer with every failure in a row.
    private func rest() {
        let wait = Nanoseconds(Nanoseconds.milliseconds(20).count << Int64(min(failures, 10)))
        failures += 1
        notBefore = context.now + min(wait, context.config.replicaFetchBackoff)
    }

    private func take(_ slot: Int32, _ data: FetchResponse.PartitionData, _ correlation: UInt64) {
        let place = Int(slot)
        guard partitions[place].state == .fetching, correlation >= partitions[place].validFrom,
            let replica = partitions[place].replica, let log = replica.log
        else { return }
        switch data.errorCode {
        case .none:
            if data.isDiverging {
                let end = log.logEndOffset
                let epoch = log.latestEpoch
                moved(
                    slot,
                    replica.truncate(
                        divergingEpoch: data.divergingEpoch.epoch,
                        endOffset: data.divergingEpoch.endOffset),
                    hasMoved: log.logEndOffset != end || log.latestEpoch != epoch)
            } else {
                let start = partitions[place].start
                append(
                    slot, replica, data,
                    isFromEnd: start.correlation == correlation && start.offset == log.logEndOffset)
            }
        case .offsetOutOfRange:
            // A leader of ours says where its log begins; if we end before it, all is clear.
            if data.logStartOffset > log.logEndOffset {
                moved(slot, replica.reset(toLeaderStart: data.logStartOffset), hasMoved: true)
            } else {
                forget(slot)
                partitions[place].state = .askingEnd
                isAsking = true
            }
        default:
            // The leader is older than we are, or we are older than it; or it has lost the
            // partition. Whoever is behind learns of it from the metadata.
            if partitions[place].failures == 3 {
                context.warn(replica, .fetchError(data.errorCode))
            }
            delay(slot)
        }
    }

    private func append(
        _ slot: Int32, _ replica: PartitionReplica, _ data: FetchResponse.PartitionData,
        isFromEnd: Bool
    ) {
        let startBefore = replica.log?.logStartOffset
        switch replica.take(data, isFromEnd: isFromEnd) {
        case .done(let appended):
            partitions[Int(slot)].failures = 0
            if appended > 0 || replica.log?.logStartOffset != startBefore { mark(slot) }
            throttle(slot, replica, appended, leaderHighWatermark: data.highWatermark)
        case .ignored where isFromEnd:
            // It was asked for by the newest question, and nothing better is on its way.
            delay(slot)
        case .ignored:
            break
        case .gap:
            restart(slot)
        case .failed(let error):
            context.warn(replica, .refusedRecords(error))
            delay(slot)
        case .offline:
            remove(replica)
        }
    }

    /// A replica that is being moved here may be told to take its time (KIP-73).
    private func throttle(
        _ slot: Int32, _ replica: PartitionReplica, _ bytes: Int, leaderHighWatermark: Int64
    ) {
        guard context.followerQuota.rate != nil, replica.isFollowerThrottled else { return }
        context.followerQuota.take(bytes, context.now)
        guard let end = replica.log?.logEndOffset, end < leaderHighWatermark,
            context.followerQuota.isExceeded(context.now)
        else { return }
        delay(slot, until: context.followerQuota.nextAvailable(context.now))
    }

    /// The log was cut or began anew. When nothing has come of it we do not ask the same at once.
    private func moved(_ slot: Int32, _ outcome: FollowOutcome, hasMoved: Bool) {
        guard let replica = partitions[Int(slot)].replica else { return }
        switch outcome {
        case .done where hasMoved:
            partitions[Int(slot)].failures = 0
            restart(slot)
        case .done, .ignored, .gap:
            partitions[Int(slot)].state = .fetching
            delay(slot)
        case .failed(let error):
            context.warn(replica, .refusedRecords(error))
            partitions[Int(slot)].state = .fetching
            delay(slot)
        case .offline:
            remove(replica)
        }
    }

    // MARK: Where the leader's log begins and ends

    /// Asks for the leader's log end, and then its start, of partitions whose position the leader
    /// refused without saying.
    func askOffsets() {
        guard isAsking, offsetQuestion == nil else { return }
        if let notBefore, context.now < notBefore { return }
        for state in [FollowedPartition.State.askingEnd, .askingStart] {
            let slots = partitions.indices.filter {
                partitions[$0].replica != nil && partitions[$0].state == state
            }
            guard !slots.isEmpty else { continue }
            ask(slots.map(Int32.init), state)
            return
        }
        isAsking = false
    }

    private func ask(_ slots: [Int32], _ state: FollowedPartition.State) {
        var request = ListOffsetsRequest(replicaId: context.brokerId)
        for slot in slots {
            guard let replica = partitions[Int(slot)].replica else { continue }
            let part = ListOffsetsRequest.ListOffsetsPartition(
                partitionIndex: replica.partition, currentLeaderEpoch: replica.leaderEpoch,
                timestamp: state == .askingEnd ? -1 : -2)
            if let last = request.topics.indices.last, request.topics[last].name == replica.topic {
                request.topics[last].partitions.append(part)
            } else {
                request.topics.append(
                    ListOffsetsRequest.ListOffsetsTopic(name: replica.topic, partitions: [part]))
            }
        }
        offsetQuestion = OffsetQuestion(correlation: nextCorrelation, state: state, slots: slots)
        context.emit(.listOffsets(leader: leader, correlation: nextCorrelation, request))
        nextCorrelation += 1
    }

    func listedOffsets(_ correlation: UInt64, _ response: ListOffsetsResponse?) {
        guard let question = offsetQuestion, question.correlation == correlation else { return }
        offsetQuestion = nil
        for slot in question.slots {
            guard partitions[Int(slot)].state == question.state,
                let replica = partitions[Int(slot)].replica, let log = replica.log
            else { continue }
            let answer = response?.topics.first { $0.name == replica.topic }?.partitions
                .first { $0.partitionIndex == replica.partition }
            guard let answer, answer.errorCode == .none, answer.offset >= 0 else {
                partitions[Int(slot)].state = .fetching
                delay(slot)
                continue
            }
            if question.state == .askingEnd {
                if answer.offset < log.logEndOffset {
                    moved(slot, replica.truncate(toLeaderEnd: answer.offset), hasMoved: true)
                } else {
                    partitions[Int(slot)].state = .askingStart
                }
            } else {
                let begins = answer.offset > log.logEndOffset
                moved(slot, replica.reset(toLeaderStart: answer.offset), hasMoved: begins)
            }
        }
    }
}

/// A ListOffsets request whose answer is still to come.
struct OffsetQuestion {
    var correlation: UInt64
    var state: FollowedPartition.State
    var slots: [Int32]
}
