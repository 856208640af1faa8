import Timing

/// A fetch that waits for data.
struct WaitingFetch {
    var token: RequestToken
    var parameters: FetchParameters
    var isFull: Bool
    /// A session is to be made when it is answered.
    var wantsSession: Bool
    /// In `FetchWaits`.
    var slot: Int32
    var deadline: Instant
}

/// The sessions whose fetch waits, by deadline.
struct FetchWaits {
    private var sessions: [FetchSession?] = []
    private var free: [Int32] = []
    private var deadlines = DeadlineHeap()

    var count: Int { deadlines.count }
    var nextDeadline: Instant? { deadlines.next }

    mutating func add(_ session: FetchSession, until deadline: Instant) -> Int32 {
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
            sessions[Int(slot)] = session
        } else {
            slot = Int32(sessions.count)
            sessions.append(session)
        }
        deadlines.insert(slot, at: deadline)
        return slot
    }

    mutating func remove(_ slot: Int32) {
        deadlines.remove(slot)
        sessions[Int(slot)] = nil
        free.append(slot)
    }

    mutating func move(_ slot: Int32, to deadline: Instant) {
        deadlines.remove(slot)
        deadlines.insert(slot, at: deadline)
    }

    /// Makes the fetches of these replicas due.
    mutating func end(of replicas: Set<Int32>, at now: Instant) {
        for session in sessions {
            guard let session, let waiting = session.waiting, replicas.contains(session.replicaId)
            else { continue }
            move(waiting.slot, to: now)
        }
    }

    /// A session whose fetch has waited long enough. Its slot stays until `remove`.
    mutating func popDue(_ now: Instant) -> FetchSession? {
        guard let slot = deadlines.popDue(now) else { return nil }
        return sessions[Int(slot)]
    }

    func session(of token: RequestToken) -> FetchSession? {
        sessions.first { session in
            guard let session else { return false }
            return session.waiting?.token == token
                || session.queued.contains { $0.token == token }
        } ?? nil
    }
}
