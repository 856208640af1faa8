import CommitLog
import KafkaWire
import NIOCore
import Timing

/// An append of one request, whose acknowledgement is not decided yet.
struct PendingAck {
    var replica: PartitionReplica
    var requiredOffset: Int64
    var topic: Int32
    var partition: Int32
}

extension ReplicaManager {
    /// Topics that only the broker itself writes to.
    static let internalTopics = [
        "__consumer_offsets", "__transaction_state", "__share_group_state",
    ]

    package func produce(
        _ request: consuming ProduceRequest, version: Int16, token: RequestToken
    ) {
        let acks = request.acks
        let timeout = request.timeoutMs
        let refusal = refusal(of: acks)
        let isTransactional = request.transactionalId != nil
        var response = ProduceResponse()
        response.responses.reserveCapacity(request.topicData.count)
        var failed = false

        for index in request.topicData.indices {
            let name = request.topicData[index].name
            let id = request.topicData[index].topicId
            let hosted = version >= 13 ? topic(id) : topic(named: name)
            let isInternal = Self.internalTopics.contains(hosted?.name ?? name)
            var parts: [ProduceResponse.PartitionProduceResponse] = []
            parts.reserveCapacity(request.topicData[index].partitionData.count)
            for place in request.topicData[index].partitionData.indices {
                let number = request.topicData[index].partitionData[place].index
                // Taken out of the request, so that the log may change it in place.
                let records = request.topicData[index].partitionData[place].records
                request.topicData[index].partitionData[place].records = nil
                let size = records?.count ?? 0
                var part = ProduceResponse.PartitionProduceResponse(index: number, baseOffset: -1)
                if let refusal {
                    part.errorCode = refusal
                } else if isInternal {
                    part.errorCode = .invalidTopicException
                } else if isTransactional {
                    part.errorCode = .invalidTxnState
                    part.errorMessage = "transactions are not supported"
                } else if let replica = hosted?[number] {
                    append(
                        consume records, to: replica, acks, &part,
                        place: (Int32(index), Int32(parts.count)))
                } else {
                    miss(&part, name: name, id: version >= 13 ? id : nil)
                }
                if part.errorCode != .none { failed = true }
                context.traffic.noteProduce(part.errorCode, size)
                hosted?.traffic.noteProduce(part.errorCode, size)
                parts.append(part)
            }
            response.responses.append(
                ProduceResponse.TopicProduceResponse(
                    name: name, topicId: id, partitionResponses: parts))
        }
        finish(response, acks, failed: failed, timeout: timeout, token)
    }

    private func refusal(of acks: Int16) -> ErrorCode? {
        guard (-1...1).contains(acks) else { return .invalidRequiredAcks }
        if acks == -1, context.produces.count >= context.config.maxWaitingProduces {
            return .notEnoughReplicas
        }
        return nil
    }

    private func append(
        _ records: consuming Records?, to replica: PartitionReplica, _ acks: Int16,
        _ part: inout ProduceResponse.PartitionProduceResponse, place: (Int32, Int32)
    ) {
        guard case .bytes(let batches)? = consume records else {
            part.errorCode = .invalidRecord
            part.errorMessage = "there are no records"
            return
        }
        if let error = Self.check(batches) {
            part.errorCode = error.code
            part.errorMessage = error.message
            return
        }
        let outcome = replica.append(consume batches, acks: acks, origin: .client)
        part.errorCode = outcome.error
        part.errorMessage = outcome.message
        part.baseOffset = outcome.baseOffset
        part.logAppendTimeMs = outcome.logAppendTimeMs
        part.logStartOffset = outcome.logStartOffset
        if outcome.error == .none {
            pendingAcks.append(
                PendingAck(
                    replica: replica, requiredOffset: outcome.requiredOffset, topic: place.0,
                    partition: place.1))
        } else if outcome.error == .notLeaderOrFollower, replica.metadata.leader >= 0 {
            part.currentLeader = ProduceResponse.LeaderIdAndEpoch(
                leaderId: replica.metadata.leader, leaderEpoch: replica.metadata.leaderEpoch)
        }
    }

    /// From Produce 3 on a partition's records are exactly one batch. The rest the log checks.
    private static func check(_ batches: ByteBuffer) -> (code: ErrorCode, message: String)? {
        let start = batches.readerIndex
        guard let length = batches.getInteger(at: start + 8, as: Int32.self),
            let attributes = batches.getInteger(at: start + 21, as: Int16.self)
        else { return (.corruptMessage, "\(batches.readableBytes) bytes are no record batch") }
        guard Int(length) + 12 >= batches.readableBytes else {
            return (.invalidRecord, "more than one record batch")
        }
        if attributes & 0x10 != 0 { return (.invalidTxnState, "transactions are not supported") }
        return nil
    }

    private func miss(
        _ part: inout ProduceResponse.PartitionProduceResponse, name: String, id: KafkaUUID?
    ) {
        let missing = self.missing(name: name, id: id, part.index)
        part.errorCode = missing.error
        if let leader = missing.leader {
            part.currentLeader = ProduceResponse.LeaderIdAndEpoch(
                leaderId: leader.id, leaderEpoch: leader.epoch)
        }
    }

    /// Why a partition is not here: it stands elsewhere, or it does not exist.
    func missing(
        name: String, id: KafkaUUID?, _ partition: Int32
    ) -> (error: ErrorCode, leader: (id: Int32, epoch: Int32)?) {
        guard let known = id ?? directory.topicId(named: name) else {
            return (.unknownTopicOrPartition, nil)
        }
        if id != nil, directory.topicName(of: known) == nil { return (.unknownTopicId, nil) }
        guard directory.hasPartition(partition, ofTopic: known) else {
            return (.unknownTopicOrPartition, nil)
        }
        return (.notLeaderOrFollower, directory.leader(ofTopic: known, partition))
    }

    // MARK: Acknowledgement

    private func finish(
        _ response: consuming ProduceResponse, _ acks: Int16, failed: Bool, timeout: Int32,
        _ token: RequestToken
    ) {
        if acks == 0 {
            pendingAcks.removeAll(keepingCapacity: true)
            context.emit(.producedUnacknowledged(token, failed: failed))
            return
        }
        var waiting: Int32 = 0
        var place: (slot: Int32, generation: UInt32)?
        for pending in pendingAcks {
            if let error = decided(pending, acks) {
                if error != .none {
                    response.responses[Int(pending.topic)]
                        .partitionResponses[Int(pending.partition)].errorCode = error
                }
                continue
            }
            let reserved = place ?? context.produces.reserve()
            place = reserved
            waiting += 1
            response.responses[Int(pending.topic)].partitionResponses[Int(pending.partition)]
                .errorCode = .requestTimedOut
            let ticket = AckTicket(
                slot: reserved.slot, generation: reserved.generation, topic: pending.topic,
                partition: pending.partition)
            enqueue(pending, acks, ticket)
        }
        pendingAcks.removeAll(keepingCapacity: true)
        guard let place else {
            context.emit(.produced(token, response))
            return
        }
        context.produces.commit(
            place.slot, owner: .request(token, response), remaining: waiting,
            deadline: context.now + .milliseconds(Int64(max(0, timeout))))
    }

    private func decided(_ pending: PendingAck, _ acks: Int16) -> ErrorCode? {
        if acks == -1 {
            return pending.replica.acknowledgement(requiredOffset: pending.requiredOffset)
        }
        return pending.replica.durableEnd >= pending.requiredOffset ? ErrorCode.none : nil
    }

    private func enqueue(_ pending: PendingAck, _ acks: Int16, _ ticket: AckTicket) {
        if acks == -1 {
            pending.replica.awaitAck(ticket, requiredOffset: pending.requiredOffset)
        } else {
            pending.replica.flushAcks.append(ticket, requiredOffset: pending.requiredOffset)
        }
    }

    // MARK: The broker's own appends

    /// Appends a batch of the group coordinator with `acks=all`. `appended` tells what became of
    /// it, in this step or a later one.
    package func append(
        _ batch: consuming ByteBuffer, to partition: TopicPartition, timeout: Nanoseconds,
        token: AppendToken
    ) {
        guard let replica = replica(partition) else {
            let error = missing(name: partition.topic, id: nil, partition.partition).error
            context.emit(.appended(token, error, baseOffset: -1))
            return
        }
        let outcome = replica.append(consume batch, acks: -1, origin: .coordinator)
        guard outcome.error == .none else {
            context.emit(.appended(token, outcome.error, baseOffset: -1))
            return
        }
        if let error = replica.acknowledgement(requiredOffset: outcome.requiredOffset) {
            context.emit(.appended(token, error, baseOffset: outcome.baseOffset))
            return
        }
        let place = context.produces.reserve()
        replica.awaitAck(
            AckTicket(slot: place.slot, generation: place.generation, topic: 0, partition: 0),
            requiredOffset: outcome.requiredOffset)
        context.produces.commit(
            place.slot,
            owner: .append(token, .requestTimedOut, baseOffset: outcome.baseOffset), remaining: 1,
            deadline: context.now + timeout)
    }
}
