import KafkaWire
import Timing

/// Where a record's acknowledgement is owed: one partition of one waiting request.
struct AckTicket: Equatable {
    var slot: Int32
    var generation: UInt32
    /// Of the response: which topic, which of its partitions.
    var topic: Int32
    var partition: Int32
}

/// Requests with `acks=all` that wait for followers. Each partition keeps a queue of tickets in
/// order of offsets; here is what they lead to. A finished or timed-out request leaves its slot
/// under a new generation, so that tickets left behind mean nothing.
struct WaitingProduces {
    enum Owner {
        case request(RequestToken, ProduceResponse)
        case append(AppendToken, ErrorCode, baseOffset: Int64)
        case free
    }

    private struct Entry {
        var owner: Owner
        var remaining: Int32
        var generation: UInt32
    }

    private var entries: [Entry] = []
    private var free: [Int32] = []
    private var deadlines = DeadlineHeap()

    var count: Int { entries.count - free.count }
    var nextDeadline: Instant? { deadlines.next }

    /// A slot for a request about to be carried out; `commit` or `discard` follows.
    mutating func reserve() -> (slot: Int32, generation: UInt32) {
        if let slot = free.popLast() { return (slot, entries[Int(slot)].generation) }
        entries.append(Entry(owner: .free, remaining: 0, generation: 0))
        return (Int32(entries.count - 1), 0)
    }

    /// The request waits for `remaining` of its partitions.
    mutating func commit(_ slot: Int32, owner: Owner, remaining: Int32, deadline: Instant) {
        entries[Int(slot)].owner = owner
        entries[Int(slot)].remaining = remaining
        deadlines.insert(slot, at: deadline)
    }

    /// The reserved slot was not needed.
    mutating func discard(_ slot: Int32) { release(slot) }

    func isAlive(_ ticket: AckTicket) -> Bool {
        entries[Int(ticket.slot)].generation == ticket.generation
    }

    /// One partition is done. Gives back what is owed when it was the last one.
    mutating func settle(_ ticket: AckTicket, _ error: ErrorCode) -> ReplicationEffect? {
        let slot = Int(ticket.slot)
        guard entries[slot].generation == ticket.generation else { return nil }
        switch entries[slot].owner {
        case .request(let token, var response):
            // Let go of the one stored, so that the change is made in place.
            entries[slot].owner = .free
            let topic = Int(ticket.topic)
            let partition = Int(ticket.partition)
            response.responses[topic].partitionResponses[partition].errorCode = error
            entries[slot].owner = .request(token, response)
        case .append(let token, _, let offset):
            entries[slot].owner = .append(token, error, baseOffset: offset)
        case .free:
            break
        }
        entries[slot].remaining -= 1
        guard entries[slot].remaining <= 0 else { return nil }
        deadlines.remove(ticket.slot)
        return finish(ticket.slot)
    }

    /// What has waited too long. Partitions that wait hold REQUEST_TIMED_OUT from the beginning,
    /// so that this is the answer of those that are still open.
    mutating func popTimedOut(_ now: Instant) -> ReplicationEffect? {
        while let slot = deadlines.popDue(now) {
            if let effect = finish(slot) { return effect }
        }
        return nil
    }

    /// Answers with what the response holds now, and frees the slot.
    private mutating func finish(_ slot: Int32) -> ReplicationEffect? {
        let owner = entries[Int(slot)].owner
        entries[Int(slot)].owner = .free
        release(slot)
        switch owner {
        case .request(let token, let response): return .produced(token, response)
        case .append(let token, let error, let offset):
            return .appended(token, error, baseOffset: offset)
        case .free: return nil
        }
    }

    private mutating func release(_ slot: Int32) {
        entries[Int(slot)].generation &+= 1
        free.append(slot)
    }
}

/// The tickets of one partition, in the order of their offsets.
struct AckQueue {
    private struct Entry {
        var requiredOffset: Int64
        var ticket: AckTicket
    }

    private var entries: [Entry] = []
    private var head = 0

    var isEmpty: Bool { head == entries.count }
    var count: Int { entries.count - head }

    mutating func append(_ ticket: AckTicket, requiredOffset: Int64) {
        entries.append(Entry(requiredOffset: requiredOffset, ticket: ticket))
    }

    /// The next ticket whose records lie below the high watermark.
    mutating func pop(upTo highWatermark: Int64) -> AckTicket? {
        guard head < entries.count, entries[head].requiredOffset <= highWatermark else {
            return nil
        }
        return popFirst()
    }

    mutating func popFirst() -> AckTicket? {
        guard head < entries.count else { return nil }
        let ticket = entries[head].ticket
        head += 1
        if head == entries.count {
            entries.removeAll(keepingCapacity: head <= 1_024)
            head = 0
        } else if head >= 256, head * 2 > entries.count {
            entries.removeFirst(head)
            head = 0
        }
        return ticket
    }

    /// Drops tickets at the front whose requests were given up.
    mutating func dropDead(_ produces: borrowing WaitingProduces) {
        while head < entries.count, !produces.isAlive(entries[head].ticket) { _ = popFirst() }
    }
}
