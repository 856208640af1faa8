import Timing

/// What happened, as it goes into the audit log: not yet chained.
package struct AuditEvent: Hashable, Sendable {
    /// A word. A reader knows that there may be others than these: a newer version's log is in
    /// order for an older one as well.
    package struct Kind: Hashable, Sendable {
        package static let maximumBytes = 32

        package let word: String

        private init(known word: StaticString) { self.word = word.description }

        /// Letters and digits of ASCII, a letter first.
        package init?(_ word: String) {
            func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7a ~= byte | 0x20 }
            guard (1...Self.maximumBytes).contains(word.utf8.count),
                let first = word.utf8.first, isLetter(first),
                word.utf8.allSatisfy({ isLetter($0) || 0x30...0x39 ~= $0 })
            else { return nil }
            self.word = word
        }

        /// The first line of a log. Its subject is the log's id.
        package static let genesis = Kind(known: "genesis")
        /// The first line of every other file: see `AuditFilePlace`.
        package static let continued = Kind(known: "continued")
        package static let started = Kind(known: "started")
        package static let attachRefused = Kind(known: "attachRefused")
        package static let attached = Kind(known: "attached")
        package static let detached = Kind(known: "detached")
        package static let flowRefused = Kind(known: "flowRefused")
        package static let routeRefused = Kind(known: "routeRefused")
        package static let claimRefused = Kind(known: "claimRefused")
        package static let manifestAccepted = Kind(known: "manifestAccepted")
        package static let manifestRefused = Kind(known: "manifestRefused")
        /// So many refusals of the kind that is the subject, each unlike those that are written.
        package static let omitted = Kind(known: "omitted")
        /// Entries that were to be written and were not, or were written and are gone: `count`.
        package static let lost = Kind(known: "lost")
        /// The bytes before this line were no entry, because a writer was cut off. Its subject is
        /// their digest.
        package static let repaired = Kind(known: "repaired")

        package static let refusals: Set<Kind> = [
            .attachRefused, .flowRefused, .routeRefused, .claimRefused, .manifestRefused,
        ]
        package static let known: [Kind] = [
            .genesis, .continued, .started, .attachRefused, .attached, .detached, .flowRefused,
            .routeRefused, .claimRefused, .manifestAccepted, .manifestRefused, .omitted, .lost,
            .repaired,
        ]

        /// Whether repeats may be folded into a count. Order matters for what changes something:
        /// attached, detached, attached again.
        package var isFolded: Bool { Self.refusals.contains(self) }
    }

    /// Of one line without its end. Texts below are cut so that no entry is longer.
    package static let maximumLineBytes = 4096
    package static let maximumNameBytes = 63
    package static let maximumSubjectBytes = 512
    package static let maximumReasonBytes = 1024

    package let time: WallTime
    package let kind: Kind
    /// Empty if it concerns no slice.
    package let slice: String
    package let cluster: String
    package let subject: String
    package let reason: String
    /// How often it happened: more than one for repeats that were folded.
    package let count: UInt64

    /// Control characters become `?`, and texts beyond their limits are cut. Times are kept to the
    /// millisecond.
    package init(
        _ kind: Kind, time: WallTime, slice: String = "", cluster: String = "",
        subject: String = "", reason: String = "", count: UInt64 = 1
    ) {
        self.kind = kind
        self.time = AuditTime.rounded(time)
        self.slice = Self.clean(slice, Self.maximumNameBytes)
        self.cluster = Self.clean(cluster, Self.maximumNameBytes)
        self.subject = Self.clean(subject, Self.maximumSubjectBytes)
        self.reason = Self.clean(reason, Self.maximumReasonBytes)
        self.count = min(max(1, count), AuditHead.maximumSequence)
    }

    /// The same at another time, or so many of it.
    package func with(time: WallTime, count: UInt64) -> AuditEvent {
        AuditEvent(
            kind, time: time, slice: slice, cluster: cluster, subject: subject, reason: reason,
            count: count)
    }

    private static func clean(_ text: String, _ limit: Int) -> String {
        if text.utf8.count <= limit, !text.unicodeScalars.contains(where: isUnsafe) { return text }
        let mark: Unicode.Scalar = "…"
        // The mark itself takes three bytes.
        let room = text.utf8.count <= limit ? limit : limit - 3
        var kept = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            let scalar = isUnsafe(scalar) ? "?" : scalar
            bytes += UTF8.width(scalar)
            guard bytes <= room else { break }
            kept.append(scalar)
        }
        if room < limit { kept.append(mark) }
        return String(kept)
    }

    /// What would steer a terminal, or end a line somewhere: the log is read with any tool.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}
