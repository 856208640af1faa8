import Timing

/// One deadline of a group or a member, which stands in at most one `GroupTimers`.
///
/// It names its owner and does not hold it, so a group that goes away leaves no cycle behind.
final class GroupTimer {
    enum Purpose {
        /// A member, or an id that was handed out and not used yet, was silent for too long.
        case session(memberId: String)
        /// The first members of an empty group have had time for company.
        case initialDelay
        /// Members that did not join again lose their place.
        case join
        /// Members that took the new generation and did not ask for their assignment lose theirs.
        case sync
    }

    let partition: Int32
    let groupId: String
    let purpose: Purpose

    /// When it fires.
    fileprivate var due = Instant(nanoseconds: 0)
    /// Where it stands in the heap: at `due`, or before it after having been moved back.
    fileprivate var standing = Instant(nanoseconds: 0)
    fileprivate var sequence: UInt64 = 0
    fileprivate var index = -1

    var isScheduled: Bool { index >= 0 }

    init(partition: Int32, groupId: String, purpose: Purpose) {
        self.partition = partition
        self.groupId = groupId
        self.purpose = purpose
    }
}

/// All timers of a coordinator in one binary heap.
///
/// A heartbeat only ever moves a deadline back, and there are very many of them: such a move writes
/// one word, and the heap is put in order when the old deadline comes up.
struct GroupTimers {
    private var heap: [GroupTimer] = []
    private var sequence: UInt64 = 0

    var count: Int { heap.count }

    /// No timer fires before this. It may be early, never late.
    var next: Instant? { heap.first?.standing }

    mutating func schedule(_ timer: GroupTimer, at due: Instant) {
        timer.due = due
        if timer.index >= 0, due >= timer.standing { return }
        sequence &+= 1
        timer.standing = due
        timer.sequence = sequence
        if timer.index < 0 {
            timer.index = heap.count
            heap.append(timer)
        }
        siftUp(from: timer.index)
    }

    mutating func cancel(_ timer: GroupTimer) {
        let hole = timer.index
        guard hole >= 0 else { return }
        timer.index = -1
        let last = heap.removeLast()
        guard last !== timer else { return }
        place(last, at: hole)
        siftUp(from: hole)
        siftDown(from: last.index)
    }

    /// The next timer that is due, in order of deadlines, and of setting where these are equal.
    mutating func popDue(_ now: Instant) -> GroupTimer? {
        while let first = heap.first, first.standing <= now {
            if first.due <= now, first.due == first.standing {
                cancel(first)
                return first
            }
            sequence &+= 1
            first.standing = first.due
            first.sequence = sequence
            siftDown(from: 0)
        }
        return nil
    }

    private func stands(_ a: GroupTimer, before b: GroupTimer) -> Bool {
        a.standing != b.standing ? a.standing < b.standing : a.sequence < b.sequence
    }

    private mutating func place(_ timer: GroupTimer, at index: Int) {
        heap[index] = timer
        timer.index = index
    }

    private mutating func siftUp(from start: Int) {
        let timer = heap[start]
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard stands(timer, before: heap[parent]) else { break }
            place(heap[parent], at: index)
            index = parent
        }
        place(timer, at: index)
    }

    private mutating func siftDown(from start: Int) {
        let timer = heap[start]
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, stands(heap[child + 1], before: heap[child]) { child += 1 }
            guard stands(heap[child], before: timer) else { break }
            place(heap[child], at: index)
            index = child
        }
        place(timer, at: index)
    }
}
