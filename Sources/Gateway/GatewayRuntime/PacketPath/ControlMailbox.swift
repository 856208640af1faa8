import Addresses
import LinuxNet
import Noise
import Synchronization
import Timing
import Tunnel

/// What packet threads and callers leave for the control thread. Handshakes, packets without a
/// session and commands pass here, never data: so a lock is fair. Everything is bounded, and
/// what does not fit is refused and counted by the sender.
final class ControlMailbox: Sendable {
    static let maxHandshakes = 1024  // of each kind
    /// Beyond this many waiting handshake messages the device counts as under load (an eighth,
    /// as other implementations have it).
    static let loadMark = maxHandshakes / 8
    /// Packets without a session, for each peer: a peer that does not answer takes no room from
    /// the others.
    private static let maxStaged = 128
    private static let maxStagedPeers = 256
    private static let maxEvents = 1024

    struct Handshake {
        var bytes: [UInt8]
        var source: IPEndpoint
    }

    typealias Command = @Sendable (ControlThread, Now) -> Void

    struct Contents {
        /// Initiations, which anybody can send in any number.
        var initiations: [Handshake] = []
        /// Responses and cookie replies: a flood of initiations must not crowd out the answers
        /// to our own.
        var answers: [Handshake] = []
        var staged: [Int32: [[UInt8]]] = [:]
        var events: [PacketEvent] = []
        var commands: [Command] = []
        var isStopping = false
        /// Something was put in for which nobody has rung yet.
        var isSilent = false

        var isEmpty: Bool {
            initiations.isEmpty && answers.isEmpty && staged.isEmpty && events.isEmpty
                && commands.isEmpty && !isStopping
        }
    }

    private let contents = Mutex(Contents())
    private let gate = Mutex(FloodGate())
    let wake: EventFD

    init() throws(LinuxError) { wake = try EventFD() }

    /// Whether it was taken. The control thread does not learn of it before `ring`: handshake
    /// messages come in floods, and to wake it for each would cost more than all of them.
    func put(
        handshake bytes: UnsafeRawBufferPointer, from source: IPEndpoint, now: Instant
    ) -> Bool {
        let isInitiation = bytes.count == InitiationMessage.size
        if isInitiation, !gate.withLock({ $0.lets(source.address, now) }) { return false }
        return contents.withLock { contents in
            let waiting = isInitiation ? contents.initiations.count : contents.answers.count
            guard waiting < Self.maxHandshakes else { return false }
            if contents.isEmpty { contents.isSilent = true }
            let handshake = Handshake(bytes: Array(bytes), source: source)
            if isInitiation {
                contents.initiations.append(handshake)
            } else {
                contents.answers.append(handshake)
            }
            return true
        }
    }

    /// By the control thread: whether there is a flood. What the gate has seen of it.
    func setFlood(_ isOn: Bool, _ now: Instant) -> FloodGate.Report {
        gate.withLock { $0.set(isOn, now) }
    }

    /// After `put`, once for all that was put.
    func ring() {
        let isWanted = contents.withLock { contents in
            defer { contents.isSilent = false }
            return contents.isSilent
        }
        if isWanted { wake.signal() }
    }

    /// Whether it was taken.
    func post(packet: UnsafeRawBufferPointer, peer: Int32) -> Bool {
        post { contents in
            let waiting = contents.staged[peer]?.count ?? 0
            guard waiting < Self.maxStaged,
                waiting > 0 || contents.staged.count < Self.maxStagedPeers
            else { return false }
            contents.staged[peer, default: []].append(Array(packet))
            return true
        }
    }

    func post(_ event: PacketEvent) -> Bool {
        post { contents in
            guard contents.events.count < Self.maxEvents else { return false }
            contents.events.append(event)
            return true
        }
    }

    /// False when the control thread has ended or is about to.
    func post(_ command: @escaping Command) -> Bool {
        post { contents in
            guard !contents.isStopping else { return false }
            contents.commands.append(command)
            return true
        }
    }

    func stop() {
        _ = post { contents in
            contents.isStopping = true
            return true
        }
    }

    func take() -> Contents {
        contents.withLock { contents in
            let taken = contents
            contents = Contents()
            contents.isStopping = taken.isStopping
            return taken
        }
    }

    private func post(_ change: (inout Contents) -> Bool) -> Bool {
        let (taken, wasEmpty) = contents.withLock { contents -> (Bool, Bool) in
            let wasEmpty = contents.isEmpty
            return (change(&contents), wasEmpty)
        }
        if taken, wasEmpty { wake.signal() }
        return taken
    }
}
