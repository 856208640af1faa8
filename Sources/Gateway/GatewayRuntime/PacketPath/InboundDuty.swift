import LinuxNet
import Synchronization
import Timing

/// Which of the two packet threads serves what the underlay brings.
///
/// While traffic is light the outbound thread serves both directions, and the inbound thread is
/// parked: of two threads that take turns at one packet each, the scheduler moves one to another
/// core time and again, and a lone packet waits for that. When batches form, the inbound thread
/// has its direction to itself, so that both cores work.
///
/// Who holds the duty follows from the state alone, and only the holder gives it away: so there
/// is always exactly one. The descriptors are for waking; state is looked at after each drain,
/// and written before each signal.
final class InboundDuty: Sendable {
    enum State: UInt8 {
        /// The inbound thread holds it, and is in poll(2) or at work.
        case own
        /// As `own`; the control side would have the outbound thread hold it.
        case asked
        /// The outbound thread holds it, and may not know yet.
        case released
        /// The outbound thread holds it, and polls for both directions.
        case lent
    }

    /// Rounds of so much make batches worth a second thread.
    private static let heavyUnits = 4
    private static let heavyBytes = 16_384
    /// Without such a round for so long, one thread does.
    private static let lightAfter = Nanoseconds.milliseconds(500)
    /// After so long without a round, what comes is taken for a packet on its own.
    static let loneAfter = Nanoseconds.microseconds(20)

    private let raw = Atomic<UInt8>(State.lent.rawValue)
    /// In units of 2^27 ns, 134 ms: two threads write it, and seldom so.
    private let lastHeavy = Atomic<UInt64>(0)
    private static let heavyShift: UInt64 = 27
    /// Since the outbound thread took the duty.
    private let wasHeavy = Atomic<Bool>(false)
    /// Readable: `released`.
    let released: EventFD
    /// Readable: `own` again.
    let returned: EventFD

    init() throws(LinuxError) {
        released = try EventFD()
        returned = try EventFD()
    }

    @inline(__always)
    var state: State { State(rawValue: raw.load(ordering: .acquiring)) ?? .own }

    /// For both packet threads, after each round.
    @inline(__always)
    func noteRound(units: Int, bytes: Int, _ now: Instant) {
        guard Self.isHeavy(units: units, bytes: bytes) else { return }
        let unit = now.nanoseconds >> Self.heavyShift
        if lastHeavy.load(ordering: .relaxed) != unit {
            lastHeavy.store(unit, ordering: .relaxed)
        }
        if !wasHeavy.load(ordering: .relaxed) { wasHeavy.store(true, ordering: .relaxed) }
    }

    @inline(__always)
    static func isHeavy(units: Int, bytes: Int) -> Bool {
        units >= heavyUnits || bytes >= heavyBytes
    }

    private func isLight(_ now: Instant) -> Bool {
        let last = (lastHeavy.load(ordering: .relaxed) + 1) << Self.heavyShift
        return now - Instant(nanoseconds: last) >= Self.lightAfter
    }

    // MARK: The control side

    /// Asks the inbound thread to let go if traffic is light. Whether the packet threads have to
    /// be interrupted, now and until they have handed over.
    func askIfLight(_ now: Instant) -> Bool {
        switch state {
        case .lent: return false
        case .asked, .released: return true
        case .own:
            guard isLight(now) else { return false }
            raw.store(State.asked.rawValue, ordering: .releasing)
            return true
        }
    }

    /// Whether a hand-over is under way.
    var isChanging: Bool { state == .asked || state == .released }

    // MARK: The inbound thread

    /// In `asked`.
    func release() {
        raw.store(State.released.rawValue, ordering: .releasing)
        released.signal()
    }

    // MARK: The outbound thread

    /// In `released`.
    func take() {
        wasHeavy.store(false, ordering: .relaxed)
        raw.store(State.lent.rawValue, ordering: .releasing)
    }

    /// In `lent`: gives it back if batches form.
    @inline(__always)
    func giveBackIfHeavy() {
        guard wasHeavy.load(ordering: .relaxed) else { return }
        raw.store(State.own.rawValue, ordering: .releasing)
        returned.signal()
    }
}
