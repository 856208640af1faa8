import Timing

/// Time and what is to happen in it: the one queue of a simulation. Of two events at the same
/// instant the one that was scheduled first comes first.
package struct SimulatedWorld<Event> {
    package private(set) var now: Instant
    package var random: SeededRandom
    package var trace = TraceHash()
    package private(set) var eventsHandled = 0

    /// Events themselves stay where they are while their entries move in the heap.
    private struct Entry {
        let time: Instant
        let order: UInt64
        let slot: Int

        func isBefore(_ other: Entry) -> Bool {
            time == other.time ? order < other.order : time < other.time
        }
    }

    private var heap: [Entry] = []
    private var events: [Event?] = []
    private var freeSlots: [Int] = []
    private var nextOrder: UInt64 = 0

    package init(seed: UInt64, start: Instant = Instant(nanoseconds: 1_000_000_000_000)) {
        random = SeededRandom(seed: seed)
        now = start
    }

    package mutating func schedule(_ event: Event, after delay: Nanoseconds) {
        schedule(event, at: now + max(.zero, delay))
    }

    /// A time that has passed is now.
    package mutating func schedule(_ event: Event, at time: Instant) {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            events[slot] = event
        } else {
            slot = events.count
            events.append(event)
        }
        let entry = Entry(time: max(now, time), order: nextOrder, slot: slot)
        nextOrder += 1
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.isBefore(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    /// The next event that happens before `limit`; time moves to it, or to the limit.
    package mutating func next(before limit: Instant) -> Event? {
        guard let first = heap.first, first.time < limit else {
            now = max(now, limit)
            return nil
        }
        now = first.time
        eventsHandled += 1
        trace.fold(now.nanoseconds)
        defer {
            events[first.slot] = nil
            freeSlots.append(first.slot)
        }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return events[first.slot] }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(last) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return events[first.slot]
    }
}
