import CommitLog
import KafkaWire
import Timing

/// What one partition has to say to a fetch.
struct FetchResult {
    var slot: Int32
    var data: FetchResponse.PartitionData
    /// Behind the records, where that is known.
    var nextOffset: Int64?
}

extension ReplicaManager {
    package func fetch(
        _ request: borrowing FetchRequest, version: Int16, token: RequestToken
    ) {
        let parameters = Self.parameters(request, version)
        let isFull = version < 7 || request.sessionEpoch <= 0
        let found: FetchSession?
        if isFull {
            found = beginSession(request, parameters)
        } else {
            found = continueSession(request, parameters, token)
        }
        guard let session = found else { return }
        session.replicaId = parameters.replicaId
        session.readsToLogEnd = parameters.isolation == .logEnd
        session.lastRequest = context.now
        if parameters.isFollower { noteFetches(session, parameters) }

        let wait = Nanoseconds.milliseconds(Int64(max(0, request.maxWaitMs)))
        let waiting = WaitingFetch(
            token: token, parameters: parameters, isFull: isFull,
            wantsSession: version >= 7 && request.sessionEpoch == 0, slot: -1,
            deadline: context.now + wait)
        let mayWait =
            wait > .zero && !session.isEmpty
            && context.fetchWaits.count < context.config.maxWaitingFetches
        guard session.waiting != nil else {
            return attempt(session, waiting, isDue: !mayWait)
        }
        // It stands behind those that were sent before, which are answered first.
        session.queued.append(waiting)
        let isTooMany = session.queued.count >= Self.maxQueuedFetches
        retry(session, isDue: !mayWait || isTooMany)
    }

    /// Fetches of one follower that wait, but for the first.
    static var maxQueuedFetches: Int { 16 }

    /// The connection that waits for this is gone.
    package func cancelFetch(_ token: RequestToken) {
        guard let session = context.fetchWaits.session(of: token), let waiting = session.waiting
        else { return }
        guard waiting.token == token else {
            session.queued.removeAll { $0.token == token }
            return
        }
        context.fetchWaits.remove(waiting.slot)
        session.waiting = nil
        // Those behind it came over the same connection.
        session.queued.removeAll()
        endIfTemporary(session)
    }

    private static func parameters(
        _ request: borrowing FetchRequest, _ version: Int16
    ) -> FetchParameters {
        var parameters = FetchParameters(version: version)
        parameters.replicaId =
            version >= 15 ? request.replicaState.replicaId : request.replicaId
        parameters.brokerEpoch = version >= 15 ? request.replicaState.replicaEpoch : -1
        let isConsumer = parameters.replicaId == -1
        parameters.isolation =
            !isConsumer ? .logEnd : request.isolationLevel == 1 ? .lastStable : .highWatermark
        parameters.rack = isConsumer && version >= 11 ? request.rackId : ""
        parameters.minBytes = Int(max(0, request.minBytes))
        parameters.maxBytes = Int(max(0, request.maxBytes))
        parameters.onlyLeader = parameters.isFollower || (isConsumer && version < 11)
        return parameters
    }

    // MARK: Answers

    /// A fetch that waits has news, or has waited long enough.
    func retry(_ session: FetchSession, isDue: Bool) {
        guard let waiting = session.waiting else { return }
        attempt(session, waiting, isDue: isDue)
    }

    /// Reads what is ready, and answers if that is enough, or there is something that the fetcher
    /// has to know at once; else the request waits on.
    private func attempt(_ session: FetchSession, _ waiting: WaitingFetch, isDue: Bool) {
        var pass = FetchPass()
        swap(&pass, &sparePass)
        var first: WaitingFetch? = waiting
        var isDue = isDue
        while let waiting = first {
            pass.begin(min(waiting.parameters.maxBytes, Int(context.config.fetchMaxBytes)))
            read(session, waiting, &pass)
            if isDue || pass.isUrgent
                || (pass.bytes > 0 && pass.bytes >= waiting.parameters.minBytes)
                || (waiting.parameters.minBytes == 0)
            {
                answer(session, waiting, &pass)
                first = session.queued.isEmpty ? nil : session.queued.removeFirst()
                isDue = first.map { $0.deadline <= context.now } ?? false
            } else {
                park(session, waiting, &pass)
                first = nil
            }
            fetchResults.removeAll(keepingCapacity: true)
        }
        swap(&pass, &sparePass)
    }

    private func read(_ session: FetchSession, _ waiting: WaitingFetch, _ pass: inout FetchPass) {
        for slot in session.ready {
            guard session.slots[Int(slot)].isUsed else {
                session.unmark(slot)
                continue
            }
            // No room is left: these are the first of the next answer.
            if pass.remaining <= 0, pass.bytes > 0, !waiting.isFull {
                pass.next.append(slot)
                continue
            }
            var nextOffset: Int64?
            let data = read(session, slot, waiting.parameters, pass, &nextOffset)
            let size = data.byteCount
            pass.bytes += size
            pass.remaining -= size
            let isUrgent =
                data.errorCode != .none || data.isDiverging || data.preferredReadReplica >= 0
                || (session.isFollower
                    && data.logStartOffset != session.slots[Int(slot)].sentLogStart
                    && session.slots[Int(slot)].sentLogStart >= 0)
            if isUrgent { pass.isUrgent = true }
            let isNews =
                size > 0 || isUrgent
                || data.highWatermark != session.slots[Int(slot)].sentHighWatermark
                || data.logStartOffset != session.slots[Int(slot)].sentLogStart
            if size > 0 {
                pass.served.append(slot)
            } else if isUrgent || session.hasUnread(slot) {
                pass.next.append(slot)
            } else if isNews {
                pass.told.append(slot)
            } else if !waiting.isFull {
                session.unmark(slot)
            } else {
                pass.told.append(slot)
            }
            if isNews || waiting.isFull {
                fetchResults.append(FetchResult(slot: slot, data: data, nextOffset: nextOffset))
            }
        }
    }

    private func read(
        _ session: FetchSession, _ slot: Int32, _ parameters: borrowing FetchParameters,
        _ pass: borrowing FetchPass, _ nextOffset: inout Int64?
    ) -> FetchResponse.PartitionData {
        let index = Int(slot)
        if session.slots[index].replica == nil { session.attach(slot, to: find(session, slot)) }
        guard let replica = session.slots[index].replica else {
            return missing(session.slots[index])
        }
        return replica.read(
            session.slots[index], parameters,
            maxBytes: min(Int(session.slots[index].maxBytes), pass.remaining),
            atLeastOneBatch: pass.bytes == 0, nextOffset: &nextOffset)
    }

    private func find(_ session: FetchSession, _ slot: Int32) -> PartitionReplica? {
        let wanted = session.slots[Int(slot)]
        let hosted = session.usesTopicIds ? topic(wanted.topicId) : topic(named: wanted.topic)
        return hosted?[wanted.partition]
    }

    private func missing(_ wanted: SessionPartition) -> FetchResponse.PartitionData {
        let isById = wanted.topic.isEmpty
        let missing = missing(
            name: wanted.topic, id: isById ? wanted.topicId : nil, wanted.partition)
        var data = FetchResponse.PartitionData.failed(wanted.partition, missing.error)
        if let leader = missing.leader {
            data.currentLeader = FetchResponse.LeaderIdAndEpoch(
                leaderId: leader.id, leaderEpoch: leader.epoch)
        }
        return data
    }

    private func answer(_ session: FetchSession, _ waiting: WaitingFetch, _ pass: inout FetchPass) {
        if waiting.slot >= 0 { context.fetchWaits.remove(waiting.slot) }
        session.waiting = nil
        var response = FetchResponse(sessionId: session.id)
        for result in fetchResults {
            let index = Int(result.slot)
            // After an error (-1) everything is told again.
            session.sent(result)
            noteThrottled(session, index, result.data)
            count(session, index, result.data)
            let slot = session.slots[index]
            if let last = response.responses.indices.last,
                response.responses[last].topicId == slot.topicId,
                response.responses[last].topic == slot.topic
            {
                response.responses[last].partitions.append(result.data)
            } else {
                response.responses.append(
                    FetchResponse.FetchableTopicResponse(
                        topic: slot.topic, topicId: slot.topicId, partitions: [result.data]))
            }
        }
        for slot in pass.told { session.unmark(slot) }
        // Partitions take turns: those that were served stand behind the others.
        pass.next.append(contentsOf: pass.served)
        session.exchangeReady(&pass.next)
        if waiting.wantsSession, session.id == 0, !session.isEmpty,
            sessions.insert(session, now: context.now)
        {
            response.sessionId = session.id
        }
        context.emit(.fetched(waiting.token, response))
        endIfTemporary(session)
    }

    private func park(_ session: FetchSession, _ waiting: WaitingFetch, _ pass: inout FetchPass) {
        let hasOldHighWatermark = session.isFollower && !fetchResults.isEmpty && !waiting.isFull
        pass.next.append(contentsOf: pass.told)
        pass.next.append(contentsOf: pass.served)
        session.exchangeReady(&pass.next)
        if session.waiting == nil {
            var waiting = waiting
            waiting.slot = context.fetchWaits.add(session, until: waiting.deadline)
            session.waiting = waiting
        } else if session.queued.isEmpty {
            return
        }
        if hasOldHighWatermark { context.answerSooner(session) }
    }

    /// What is not in the cache ends with its answer.
    private func endIfTemporary(_ session: FetchSession) {
        guard session.id == 0 || session.isEvicted else { return }
        answerQueued(session, FetchResponse(errorCode: .fetchSessionIdNotFound))
        session.close()
        if spareSessions.count < 64 { spareSessions.append(session) }
    }

    private func count(
        _ session: FetchSession, _ index: Int, _ data: FetchResponse.PartitionData
    ) {
        let bytes = data.byteCount
        guard !session.isFollower else {
            context.counters.replicationBytesOut += bytes
            return
        }
        context.traffic.noteFetch(data.errorCode, bytes)
        session.slots[index].replica?.traffic.noteFetch(data.errorCode, bytes)
    }

    private func noteThrottled(
        _ session: FetchSession, _ index: Int, _ data: FetchResponse.PartitionData
    ) {
        guard session.isFollower, context.leaderQuota.rate != nil, data.byteCount > 0,
            let replica = session.slots[index].replica, replica.isLeaderThrottled
        else { return }
        context.leaderQuota.take(data.byteCount, context.now)
    }
}

/// One look at what a session has ready. Its arrays are used again and again.
struct FetchPass {
    /// What the response may still hold.
    var remaining = 0
    var bytes = 0
    /// The fetcher has to know at once.
    var isUrgent = false
    /// Ready for the next answer, too.
    var next: [Int32] = []
    /// With something to tell, but no data.
    var told: [Int32] = []
    /// With data.
    var served: [Int32] = []

    mutating func begin(_ limit: Int) {
        remaining = limit
        bytes = 0
        isUrgent = false
        next.removeAll(keepingCapacity: true)
        told.removeAll(keepingCapacity: true)
        served.removeAll(keepingCapacity: true)
    }
}

extension FetchSession {
    func noteFetch(_ slot: Int32, replicaId: Int32, brokerEpoch: Int64) {
        guard slots[Int(slot)].isUsed, let replica = slots[Int(slot)].replica else { return }
        replica.noteFetch(slots[Int(slot)], replicaId: replicaId, brokerEpoch: brokerEpoch)
    }

    /// There is data that the last read left: for want of room, or because it is throttled.
    func hasUnread(_ slot: Int32) -> Bool {
        guard let replica = slots[Int(slot)].replica, let log = replica.log else { return false }
        let end = readsToLogEnd ? log.logEndOffset : replica.highWatermark
        return slots[Int(slot)].position < end && !slots[Int(slot)].awaitsName
    }
}
