import Synchronization
import Tunnel

/// When may memory go that a packet thread may still be reading? When every thread has passed a
/// point where it held nothing, after the memory was withdrawn.
///
/// Each thread says at the top of its loop which generation it has seen, and says `idle` before
/// it waits. The control side withdraws, raises the generation, and frees what is older than
/// all threads have seen. No thread ever waits for another.
final class Quiescence: Sendable {
    private static let idle = UInt64.max

    private let generation = Atomic<UInt64>(1)
    private let outboundSeen = Atomic<UInt64>(idle)
    private let inboundSeen = Atomic<UInt64>(idle)

    enum Thread { case outbound, inbound }

    @inline(__always)
    func enter(_ thread: Thread) {
        // Sequentially consistent: what is read afterwards is not older than this store.
        let now = generation.load(ordering: .sequentiallyConsistent)
        switch thread {
        case .outbound: outboundSeen.store(now, ordering: .sequentiallyConsistent)
        case .inbound: inboundSeen.store(now, ordering: .sequentiallyConsistent)
        }
    }

    @inline(__always)
    func leave(_ thread: Thread) {
        switch thread {
        case .outbound: outboundSeen.store(Self.idle, ordering: .sequentiallyConsistent)
        case .inbound: inboundSeen.store(Self.idle, ordering: .sequentiallyConsistent)
        }
    }

    /// Called after withdrawing something: it may go once `oldestSeen` is not below the result.
    func advance() -> UInt64 {
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    }

    var oldestSeen: UInt64 {
        min(
            outboundSeen.load(ordering: .sequentiallyConsistent),
            inboundSeen.load(ordering: .sequentiallyConsistent))
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
