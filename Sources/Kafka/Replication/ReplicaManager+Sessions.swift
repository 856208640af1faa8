import CommitLog
import KafkaWire
import Timing

/// Fetch sessions (KIP-227).
extension ReplicaManager {
    /// A full request names all of its partitions, and ends the session it names.
    func beginSession(
        _ request: borrowing FetchRequest, _ parameters: FetchParameters
    ) -> FetchSession {
        if request.sessionId != 0, let old = sessions[request.sessionId] {
            sessions.remove(old)
            supersede(old)
            old.evict()
        }
        let session = newSession(parameters)
        update(session, request, parameters)
        return session
    }

    private func newSession(_ parameters: FetchParameters) -> FetchSession {
        let usesIds = parameters.version >= 13
        let toEnd = parameters.isolation == .logEnd
        if let spare = spareSessions.popLast() {
            spare.reuse(
                usesTopicIds: usesIds, replicaId: parameters.replicaId, readsToLogEnd: toEnd,
                now: context.now)
            return spare
        }
        return FetchSession(
            usesTopicIds: usesIds, replicaId: parameters.replicaId, readsToLogEnd: toEnd,
            now: context.now)
    }

    /// An incremental request names what has changed. Nil where it was answered with an error.
    func continueSession(
        _ request: borrowing FetchRequest, _ parameters: FetchParameters, _ token: RequestToken
    ) -> FetchSession? {
        guard let session = sessions[request.sessionId] else {
            return refuse(token, .fetchSessionIdNotFound)
        }
        guard session.epoch == request.sessionEpoch else {
            return refuse(token, .invalidFetchSessionEpoch)
        }
        guard session.usesTopicIds == (parameters.version >= 13) else {
            return refuse(token, .fetchSessionTopicIdError)
        }
        // A follower that has more to ask for does not wait for the answer to what it asked.
        if !session.isFollower || !Self.goesOn(request) { supersede(session) }
        update(session, request, parameters)
        session.lastUsed = context.now
        session.epoch = FetchSessionCache.epoch(after: session.epoch)
        if session.isEmpty {
            sessions.remove(session)
            session.id = 0
        }
        return session
    }

    /// Says nothing but how far the follower is.
    private static func goesOn(_ request: borrowing FetchRequest) -> Bool {
        guard request.forgottenTopicsData.isEmpty else { return false }
        for topic in request.topics.indices {
            for place in request.topics[topic].partitions.indices
            where request.topics[topic].partitions[place].readAhead != ReadAhead.goOn.rawValue {
                return false
            }
        }
        return true
    }

    private func refuse(_ token: RequestToken, _ error: ErrorCode) -> FetchSession? {
        context.emit(.fetched(token, FetchResponse(errorCode: error)))
        return nil
    }

    private func supersede(_ session: FetchSession) {
        guard let waiting = session.waiting else { return }
        context.fetchWaits.remove(waiting.slot)
        session.waiting = nil
        context.emit(.fetched(waiting.token, FetchResponse(sessionId: session.id)))
        answerQueued(session, FetchResponse(sessionId: session.id))
    }

    func answerQueued(_ session: FetchSession, _ response: FetchResponse) {
        for waiting in session.queued { context.emit(.fetched(waiting.token, response)) }
        session.queued.removeAll(keepingCapacity: true)
    }

    private func update(
        _ session: FetchSession, _ request: borrowing FetchRequest, _ parameters: FetchParameters
    ) {
        let limit = context.config.maxPartitionsPerSession
        let usesIds = session.usesTopicIds
        for index in request.topics.indices {
            let name = usesIds ? "" : request.topics[index].topic
            let id = usesIds ? request.topics[index].topicId : .zero
            let hosted = usesIds ? topic(id) : topic(named: name)
            for place in request.topics[index].partitions.indices {
                let number = request.topics[index].partitions[place].partition
                _ = session.update(
                    topic: name, topicId: id, request.topics[index].partitions[place],
                    limit: limit
                ) { hosted?[number] }
            }
        }
        for index in request.forgottenTopicsData.indices {
            let name = usesIds ? "" : request.forgottenTopicsData[index].topic
            let id = usesIds ? request.forgottenTopicsData[index].topicId : .zero
            for partition in request.forgottenTopicsData[index].partitions {
                session.forget(topic: name, topicId: id, partition: partition)
            }
        }
    }

    /// A follower's fetch tells how far it is. All partitions learn of it before any is read, so
    /// that what is read carries the high watermark that follows from it.
    func noteFetches(_ session: FetchSession, _ parameters: FetchParameters) {
        for slot in session.ready {
            session.noteFetch(
                slot, replicaId: parameters.replicaId, brokerEpoch: parameters.brokerEpoch)
        }
    }
}
