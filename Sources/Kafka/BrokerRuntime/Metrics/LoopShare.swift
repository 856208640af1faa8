import Glibc
import Timing

/// How much of its time an event loop has nothing to do.
///
/// Time in handlers counts, as a disk may hold them up without using the processor; and processor
/// time, as sockets use it outside of handlers. What is more of the two is not idle.
package struct LoopShare {
    /// Several who ask do not shorten each other's interval below this.
    private static let shortest = Nanoseconds.seconds(5)

    private struct Reading {
        var time: Instant
        var handlers: Nanoseconds
        var processor: Nanoseconds
    }

    private var handlers = Nanoseconds.zero
    private var countedTo: Instant
    private var last: Reading
    private var idle = 1.0

    package init(now: Instant, processor: Nanoseconds) {
        countedTo = now
        last = Reading(time: now, handlers: .zero, processor: processor)
    }

    /// Handlers ran from one instant to another. What one of them called may have been counted.
    package mutating func ran(from began: Instant, to ended: Instant) {
        let from = max(began, countedTo)
        guard ended > from else { return }
        handlers = handlers + (ended - from)
        countedTo = ended
    }

    /// From 0 to 1, since it was asked for last.
    package mutating func idleShare(now: Instant, processor: Nanoseconds) -> Double {
        let passed = now - last.time
        guard passed >= Self.shortest else { return idle }
        let busy = max(handlers - last.handlers, processor - last.processor)
        idle = max(0, min(1, 1 - busy.seconds / passed.seconds))
        last = Reading(time: now, handlers: handlers, processor: processor)
        return idle
    }

    /// Of the thread that asks.
    package static func processorTime() -> Nanoseconds {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Nanoseconds(Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}
