/// Deadlines of entries that are known by a small number. An entry can be taken out at any time,
/// so that what was answered leaves nothing behind.
package struct DeadlineHeap: Sendable {
    private struct Entry {
        var deadline: Instant
        var slot: Int32
    }

    private var heap: [Entry] = []
    /// Where in the heap each slot stands; -1: nowhere.
    private var position: [Int32] = []

    package init() {}

    package var next: Instant? { heap.first?.deadline }
    package var count: Int { heap.count }

    package mutating func insert(_ slot: Int32, at deadline: Instant) {
        while position.count <= Int(slot) { position.append(-1) }
        precondition(position[Int(slot)] < 0)
        heap.append(Entry(deadline: deadline, slot: slot))
        position[Int(slot)] = Int32(heap.count - 1)
        siftUp(heap.count - 1)
    }

    /// Moves the deadline of `slot`, or takes it out.
    package mutating func set(_ slot: Int32, at deadline: Instant?) {
        remove(slot)
        if let deadline { insert(slot, at: deadline) }
    }

    package mutating func remove(_ slot: Int32) {
        guard Int(slot) < position.count, position[Int(slot)] >= 0 else { return }
        let index = Int(position[Int(slot)])
        position[Int(slot)] = -1
        let last = heap.removeLast()
        guard index < heap.count else { return }
        heap[index] = last
        position[Int(last.slot)] = Int32(index)
        siftUp(index)
        siftDown(Int(position[Int(last.slot)]))
    }

    package mutating func popDue(_ now: Instant) -> Int32? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        remove(first.slot)
        return first.slot
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].deadline < heap[parent].deadline else { return }
            swap(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            let left = 2 * index + 1
            let right = left + 1
            if left < heap.count, heap[left].deadline < heap[least].deadline { least = left }
            if right < heap.count, heap[right].deadline < heap[least].deadline { least = right }
            if least == index { return }
            swap(index, least)
            index = least
        }
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        position[Int(heap[a].slot)] = Int32(a)
        position[Int(heap[b].slot)] = Int32(b)
    }
}
