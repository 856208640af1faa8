import Addresses
import LinuxNet
import Logging
import SliceDNS
import Synchronization
import Telemetry
import Timing

/// What the sockets of one name server share: the zone, the limits, the counters, the log.
final class NameService: Sendable {
    private struct State {
        var counters = NameCounters()
        var limiter: QueryLimiter
        var rotation: UInt32 = 0
        /// By question: who asks again and again is told of once a minute.
        var log = RateLimit<String>(1, per: .seconds(60), maximumKeys: 256)
    }

    private let zone: Mutex<SliceZone>
    private let state: Mutex<State>
    let options: NameServer.Options
    private let logger: Logger

    init(_ zone: SliceZone, _ options: NameServer.Options, _ logger: Logger) {
        self.zone = Mutex(zone)
        self.options = options
        self.logger = logger
        state = Mutex(
            State(
                limiter: QueryLimiter(
                    perSecond: options.queriesPerSecond, burst: options.queryBurst)))
    }

    var counters: NameCounters { state.withLock { $0.counters } }

    func count(_ change: (inout NameCounters) -> Void) { state.withLock { change(&$0.counters) } }

    func replace(_ next: SliceZone) {
        let before = zone.withLock { zone in
            let before = zone
            zone = next
            return before
        }
        if next.omissions != before.omissions { tell(next.omissions) }
    }

    func tell(_ omissions: [String]) {
        for omission in omissions { logger.warning("no names for \(omission)") }
    }

    /// Whoever asks is who he seems to be: sources are checked before they get here.
    func react(
        to bytes: UnsafeRawBufferPointer, from source: IPAddress, isStream: Bool
    ) -> SliceZone.Reaction {
        let now = MonotonicClock.now()
        let rotation: UInt32? = state.withLock { state in
            if isStream { state.counters.streamed += 1 } else { state.counters.datagrams += 1 }
            guard state.limiter.allows(source, now: now) else {
                state.counters.count(.rateLimited)
                return nil
            }
            state.rotation &+= 1
            return state.rotation
        }
        guard let rotation else { return .drop(.rateLimited) }
        let zone = zone.withLock { $0 }
        let reaction = zone.answer(
            bytes,
            SliceZone.Circumstances(
                isStream: isStream, rotation: rotation, forwards: !options.forwarders.isEmpty))
        switch reaction {
        case .drop(let drop): count { $0.count(drop) }
        case .forward(let query): count { $0.count(type: query.type) }
        case .reply(_, let note):
            count {
                $0.count(type: note.type)
                $0.count(code: note.code)
                if note.isTruncated { $0.truncated += 1 }
            }
            tell(note, source, now)
        }
        return reaction
    }

    /// Of a question that was forwarded.
    func finished(_ query: Query, _ code: ResponseCode, _ reason: Reason, from source: IPAddress) {
        count {
            $0.count(code: code)
            if code == .serverFailure { $0.forwardFailures += 1 }
        }
        tell(
            SliceZone.Note(type: query.type, name: query.name, code: code, reason: reason),
            source, MonotonicClock.now())
    }

    private func tell(_ note: SliceZone.Note, _ source: IPAddress, _ now: Instant) {
        guard note.reason != .answered else { return }
        guard note.reason.isNotable else {
            // Not put together unless somebody reads it.
            logger.debug(
                "\(source) asked for \(Self.question(note)): \(note.code): \(note.reason)")
            return
        }
        let question = Self.question(note)
        let verdict = state.withLock { $0.log.step(question, at: now) }
        guard case .pass(let suppressed) = verdict else { return }
        var text = "\(source) asked for \(question): \(note.code): \(note.reason)"
        if suppressed > 0 { text += " (and \(suppressed) more)" }
        logger.notice("\(text)")
    }

    private static func question(_ note: SliceZone.Note) -> String {
        guard let name = note.name, let type = note.type else { return "what cannot be read" }
        return "\(name.lowercased) \(type)"
    }
}
