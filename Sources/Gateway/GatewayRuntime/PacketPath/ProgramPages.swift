import LinuxNet
import Synchronization
import Timing

/// Keeps small what of the program is mapped in while no packets pass. There is one program, so
/// one of these for all interfaces of the process.
///
/// Configuration, handshakes and timers touch far more code than packets do, and the kernel maps
/// in 64 KiB around each touch. What is let go of stays in the page cache: the next touch finds
/// it there, without a disk. That costs a thread some tens of microseconds, so it is not done
/// while packets pass or soon after: a ping each second never meets it.
final class ProgramPages: Sendable {
    static let shared = ProgramPages()

    /// Without packets and news for so long before pages go.
    static let quietTime = Nanoseconds.milliseconds(1200)
    /// Many interfaces wake at times of their own: together they release no oftener than this.
    private static let leastInterval = Nanoseconds.milliseconds(200)
    /// Packets are noted in units of 2^27 ns, 134 ms: packet threads of all interfaces read one
    /// word in each round, and write it only when it is out of date.
    private static let noteShift: UInt64 = 27

    private let lastPackets = Atomic<UInt64>(0)
    private let lastRelease = Atomic<UInt64>(0)

    /// For packet threads, in each round.
    @inline(__always)
    func notePackets(_ now: Instant) {
        let unit = now.nanoseconds >> Self.noteShift
        if lastPackets.load(ordering: .relaxed) != unit {
            lastPackets.store(unit, ordering: .relaxed)
        }
    }

    /// Before a control thread sleeps. `quietSince` is when it had its last news.
    func releaseIfQuiet(since quietSince: Instant, now: Instant) {
        let packets = Instant(
            nanoseconds: (lastPackets.load(ordering: .relaxed) + 1) << Self.noteShift)
        guard now - quietSince >= Self.quietTime, now - packets >= Self.quietTime else { return }
        let last = lastRelease.load(ordering: .relaxed)
        guard now - Instant(nanoseconds: last) >= Self.leastInterval,
            lastRelease.compareExchange(
                expected: last, desired: now.nanoseconds, ordering: .relaxed
            ).exchanged
        else { return }
        ResidentMemory.releaseProgramPages()
    }
}
