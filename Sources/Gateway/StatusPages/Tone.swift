import AdminAPI

/// What a colour says; the words beside it say it too.
enum Tone: String, Sendable {
    case good, warn, bad, idle

    init(_ state: HealthState) {
        self =
            switch state {
            case .up: .good
            case .degraded, .starting, .stopping: .warn
            case .down: .bad
            }
    }
}

extension HTML.StringInterpolation {
    mutating func appendInterpolation(_ tone: Tone) { appendLiteral(tone.rawValue) }
}

/// How a peer does, in a word, a sentence and a colour.
struct PeerHealth {
    var tone: Tone
    /// What stands on the line of the map.
    var label: String
    var sentence: String

    init(_ peer: PeerReport, in slice: SliceStatus) {
        let problem = slice.problems.first { Self.mentions($0, peer.cluster) }
        let time = peer.rttMilliseconds.map(Units.milliseconds)
        if peer.hasSession {
            tone = problem == nil ? .good : .warn
            label = time ?? (problem == nil ? "session" : "silent")
            sentence = problem ?? "session" + (time.map { ", round trip \($0)" } ?? "")
        } else if problem == nil, peer.handshakeAgeSeconds != nil, peer.stagedPackets == 0 {
            // A tunnel without traffic lets its session lapse.
            tone = .idle
            label = "idle"
            sentence = "no session, and nothing to send"
        } else {
            tone = .bad
            label = "no session"
            sentence = problem ?? "no session"
        }
    }

    private static func mentions(_ sentence: String, _ name: String) -> Bool {
        sentence.split { !($0.isLetter || $0.isNumber || $0 == "-") }.contains { $0 == name }
    }
}
