/// The first thing wrong with a log.
package struct AuditBreak: Equatable, Sendable, CustomStringConvertible {
    package enum Reason: String, Equatable, Sendable {
        /// A line is not what it was when the next one, or a head, was written.
        case changed
        case missing, reordered
        /// A line is no entry in the one form that entries have.
        case notAnEntry
        case tooLong
        /// The last line has no end.
        case torn
        /// The end is missing: a head names an entry behind it.
        case cutOff
        /// A head names an entry that is older than all that is kept.
        case tooOld
        case empty
    }

    package var reason: Reason
    /// Which file it is in, from the oldest, and the line there: from 1. 0: no line at all.
    package var file: Int
    package var line: Int
    package var detail: String

    package var description: String { detail }
}

/// What a walk over a whole log has found.
package struct AuditReport: Equatable, Sendable {
    /// Nil: nothing is wrong.
    package var problem: AuditBreak?
    /// Entries before the problem.
    package var entries: UInt64 = 0
    package var first: UInt64?
    package var head: AuditHead?
    /// The id in the log's first line, if that is still kept.
    package var id: String?
    /// Lines that a crash had cut off, and that were noted.
    package var repairs: UInt64 = 0
    /// Entries that the gateway itself says it could not write.
    package var lost: UInt64 = 0
}

/// Walks over the files of a log, from the oldest to the newest, in any pieces.
package struct AuditVerifier: Sendable {
    private struct Place {
        var file = -1
        var line = 0
    }

    private let heads: [AuditHead]
    private var lines = AuditLines()
    private var here = Place()
    private var report = AuditReport()
    private var lastPlace = Place()
    /// Lines that are no entry, until one comes that vouches for them.
    private var fragment: [UInt8] = []
    private var fragmentPlace: Place?
    private var unended: AuditLines.Line?
    /// Numbers that were passed over: if they come later, it is the order that is wrong.
    private var skipped: Range<UInt64> = 0..<0

    /// `heads`, kept anywhere, must be heads of this log.
    package init(heads: [AuditHead] = []) { self.heads = heads }

    package mutating func beginFile() {
        takeUnended()
        here = Place(file: here.file + 1, line: 0)
    }

    package mutating func feed(_ bytes: [UInt8]) {
        if here.file < 0 { beginFile() }
        var found: [AuditLines.Line] = []
        lines.feed(bytes) { found.append($0) }
        for line in found { take(line) }
    }

    package mutating func endFile() { unended = lines.end() }

    package mutating func finish() -> AuditReport {
        if report.problem == nil {
            if unended != nil {
                here.line += 1
                note(.torn, "the last line has no end: its writer was cut off")
            } else if let place = fragmentPlace {
                noteFragment(place)
            } else {
                checkEnd()
            }
        }
        return report
    }

    /// Only the newest file is allowed to end without the end of a line, and only once.
    private mutating func takeUnended() {
        guard let line = unended ?? lines.end() else { return }
        unended = nil
        take(line)
    }

    private mutating func take(_ line: AuditLines.Line) {
        here.line += 1
        if line.isCut {
            note(.tooLong, "more than \(AuditEvent.maximumLineBytes) bytes without end")
        } else if let entry = AuditEntry(line: line.bytes) {
            accept(entry, line.bytes)
        } else if report.problem == nil {
            if fragmentPlace == nil { fragmentPlace = here } else { fragment.append(0x0a) }
            fragment += line.bytes
            if fragment.count > AuditLines.maximumBytes { noteFragment(fragmentPlace ?? here) }
        }
    }

    private mutating func accept(_ entry: AuditEntry, _ line: [UInt8]) {
        guard report.problem == nil else {
            if report.problem?.reason == .missing, skipped.contains(entry.sequence) {
                report.problem?.reason = .reordered
                report.problem?.detail = "entry \(skipped.lowerBound) comes later"
            }
            return
        }
        guard acceptFragment(before: entry), acceptOrder(of: entry) else { return }
        let head = AuditHead(sequence: entry.sequence, hash: AuditDigest(of: line))
        for other in heads {
            if other.sequence == head.sequence, other.hash != head.hash {
                note(
                    .changed,
                    "entry \(head.sequence) is not the one that was there when its head was kept")
                return
            }
            if report.head == nil, other.sequence + 1 == entry.sequence,
                other.hash != entry.previous
            {
                note(.changed, "it does not follow the entry \(other.sequence) of the head")
                return
            }
        }
        if report.first == nil { report.first = entry.sequence }
        switch entry.event.kind {
        case .genesis: report.id = entry.event.subject
        case .lost: report.lost += entry.event.count
        default: break
        }
        report.entries += 1
        report.head = head
        lastPlace = here
    }

    /// Bytes that are no entry are in order if the next line tells their digest.
    private mutating func acceptFragment(before entry: AuditEntry) -> Bool {
        let event = entry.event
        guard let place = fragmentPlace else {
            let speaks = event.kind == .repaired || event.kind == .genesis && event.reason != ""
            if speaks { note(.missing, "the bytes are gone that this entry says came before it") }
            return !speaks
        }
        let told = event.kind == .repaired ? event.subject : event.reason
        guard event.kind == .repaired || event.kind == .genesis,
            told == "\(AuditDigest(of: fragment))"
        else {
            noteFragment(place)
            return false
        }
        fragment = []
        fragmentPlace = nil
        report.repairs += 1
        return true
    }

    private mutating func acceptOrder(of entry: AuditEntry) -> Bool {
        guard let last = report.head else { return true }
        let expected = last.sequence + 1
        if entry.sequence == expected {
            guard entry.previous != last.hash else { return true }
            let text = "entry \(last.sequence) is not what it was when the next one was written"
            here = lastPlace
            note(.changed, text)
        } else if entry.sequence > expected {
            skipped = expected..<entry.sequence
            let end = entry.sequence - 1
            note(
                .missing,
                end == expected
                    ? "entry \(expected) is not there"
                    : "entries \(expected) to \(end) are not there")
        } else {
            note(.reordered, "entry \(entry.sequence) comes after entry \(last.sequence)")
        }
        return false
    }

    private mutating func checkEnd() {
        let last = report.head
        let isBehind = { (head: AuditHead) in last.map { $0.sequence < head.sequence } ?? true }
        if let head = heads.first(where: isBehind) {
            here = lastPlace
            let end = last.map { "with entry \($0.sequence)" } ?? "before its first entry"
            note(.cutOff, "the log ends \(end), and a head names entry \(head.sequence)")
        } else if let first = report.first,
            let head = heads.first(where: { $0.sequence + 1 < first })
        {
            here = Place(file: 0, line: 1)
            note(
                .tooOld,
                "the oldest entry kept is \(first): entry \(head.sequence) cannot be checked")
        } else if last == nil {
            here.line = 0
            note(.empty, "there is no entry in it")
        }
    }

    private mutating func noteFragment(_ place: Place) {
        here = place
        if fragment.count > AuditEvent.maximumLineBytes, !fragment.contains(0x0a) {
            note(.tooLong, "more than \(AuditEvent.maximumLineBytes) bytes in a line")
        } else {
            note(.notAnEntry, "this is no entry")
        }
    }

    private mutating func note(_ reason: AuditBreak.Reason, _ detail: String) {
        guard report.problem == nil else { return }
        report.problem = AuditBreak(
            reason: reason, file: max(0, here.file), line: here.line, detail: detail)
    }
}
