import Synchronization
import Tunnel

/// When may memory go that a packet thread may still be reading? When every thread has passed a
/// point where it held nothing, after the memory was withdrawn.
///
/// Each thread says at the top of its loop which generation it has seen, and says `idle` before
/// it waits. The control side withdraws, raises the generation, and frees what is older than
/// all threads have seen. No thread ever waits for another.
final class Quiescence: Sendable {
    static let idle = UInt64.max

    private let generation = Atomic<UInt64>(1)
    private let lanes: [PacketLane]

    init(_ lanes: [PacketLane]) { self.lanes = lanes }

    /// `seen` is the calling thread's, of its lane.
    @inline(__always)
    func enter(_ seen: borrowing Atomic<UInt64>) {
        // Sequentially consistent: what is read afterwards is not older than this store.
        seen.store(
            generation.load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func leave(_ seen: borrowing Atomic<UInt64>) {
        seen.store(Self.idle, ordering: .sequentiallyConsistent)
    }

    /// Called after withdrawing something: it may go once `oldestSeen` is not below the result.
    func advance() -> UInt64 {
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    }

    var oldestSeen: UInt64 {
        lanes.reduce(Self.idle) { min($0, $1.oldestSeen) }
    }
}

/// What waits to be freed. For the control thread alone.
struct Reclaimer: ~Copyable {
    private let quiescence: Quiescence
    private var waiting: [(generation: UInt64, free: () -> Void)] = []

    init(_ quiescence: Quiescence) { self.quiescence = quiescence }

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ free: @escaping () -> Void) {
        waiting.append((quiescence.advance(), free))
    }

    mutating func sweep() {
        guard !waiting.isEmpty else { return }
        let seen = quiescence.oldestSeen
        var done = 0
        while done < waiting.count, waiting[done].generation <= seen {
            waiting[done].free()
            done += 1
        }
        waiting.removeFirst(done)
    }

    /// All packet threads have ended.
    mutating func freeAll() {
        for entry in waiting { entry.free() }
        waiting.removeAll()
    }
}
