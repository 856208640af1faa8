import Timing

/// Lets the first of equal refusals pass, and folds those that follow it within a while into one
/// with a count: a client that tries again and again must not fill the disk. Of different ones as
/// many pass as their kind and slice are allowed.
package struct AuditFolding: Sendable {
    private struct Slot {
        var end: Instant
        var repeats: UInt64 = 0
        /// Of the last repeat.
        var time: WallTime
    }

    private let window: Nanoseconds
    private let capacity: Int
    private var allowance: AuditAllowance
    /// By the event without its time and count.
    private var slots: [AuditEvent: Slot] = [:]
    /// In the order in which they end, which is that in which they began.
    private var order: [AuditEvent] = []
    private var first = 0

    package init(
        window: Nanoseconds = .seconds(60), capacity: Int = 1024,
        allowance: AuditAllowance = AuditAllowance()
    ) {
        self.window = window
        self.capacity = max(1, capacity)
        self.allowance = allowance
    }

    /// What is to be written now, in this order.
    package mutating func add(_ event: AuditEvent, at now: Instant) -> [AuditEvent] {
        guard event.kind.isFolded else { return [event] }
        var out = expire(at: now)
        let key = event.with(time: WallTime(nanosecondsSince1970: 0), count: 1)
        if slots[key] != nil {
            slots[key]?.repeats += event.count
            slots[key]?.time = event.time
            return out
        }
        guard allowance.take(event, at: now) else { return out }
        // The oldest makes room, and is counted up to here.
        if slots.count >= capacity, let folded = removeFirst() { out.append(folded) }
        slots[key] = Slot(end: now + window, time: event.time)
        order.append(key)
        out.append(event)
        return out
    }

    /// Counts whose while is over. A next event of that kind passes again.
    package mutating func expire(at now: Instant) -> [AuditEvent] {
        var out: [AuditEvent] = []
        while let oldest, oldest <= now {
            if let folded = removeFirst() { out.append(folded) }
        }
        return out + allowance.expire(at: now)
    }

    /// All counts, at the end.
    package mutating func flush() -> [AuditEvent] {
        var out: [AuditEvent] = []
        while oldest != nil {
            if let folded = removeFirst() { out.append(folded) }
        }
        return out + allowance.flush()
    }

    /// When `expire` will have something to do.
    package var deadline: Instant? {
        [oldest, allowance.deadline].compactMap { $0 }.min()
    }

    private var oldest: Instant? {
        first < order.count ? slots[order[first]]?.end : nil
    }

    /// The count of the oldest, unless nothing was folded into it.
    private mutating func removeFirst() -> AuditEvent? {
        let key = order[first]
        first += 1
        if first >= 1024 || first == order.count {
            order.removeFirst(first)
            first = 0
        }
        guard let slot = slots.removeValue(forKey: key), slot.repeats > 0 else { return nil }
        return key.with(time: slot.time, count: slot.repeats)
    }
}
