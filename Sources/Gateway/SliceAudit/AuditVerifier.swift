/// Walks over the files of a log, from the oldest to the newest, in any pieces.
package struct AuditVerifier: Sendable {
    private struct Place {
        var file = -1
        var line = 0
    }

    /// Of two lines one is wrong. Which, the line behind them says: it names the digest of the
    /// later one, as that was when it was written.
    private struct Doubt {
        struct Finding {
            var reason: AuditBreak.Reason
            var place: Place
            var detail: String
            var entries: UInt64
        }

        /// The later one, as it stands.
        var later: AuditHead
        var ifItIsTrue: Finding
        var ifItIsNot: Finding
        /// If nobody can tell.
        var otherwise: Finding
    }

    private let heads: [AuditHead]
    private var lines = AuditLines()
    private var here = Place()
    private var report = AuditReport()
    private var lastPlace = Place()
    private var lastPrevious = AuditDigest.none
    /// Lines that are no entry, until one comes that vouches for them.
    private var fragment: [UInt8] = []
    private var fragmentPlace: Place?
    private var doubt: Doubt?
    private var unended: AuditLines.Line?
    /// Numbers that were passed over: if they come later, it is the order that is wrong.
    private var skipped: Range<UInt64> = 0..<0
    private var files = Files()

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
        settle(nil)
        if report.problem == nil {
            if let place = fragmentPlace {
                noteFragment(place)
            } else if let unended {
                noteUnended(unended)
            } else if let detail = files.missing {
                here = Place(file: 0, line: 0)
                note(.noBeginning, detail)
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
        let entry = line.isCut ? nil : AuditEntry(line: line.bytes)
        settle(entry)
        if let entry {
            accept(entry, AuditHead(sequence: entry.sequence, hash: AuditDigest(of: line.bytes)))
        } else if report.problem == nil {
            if line.isCut, fragmentPlace == nil {
                note(.tooLong, "more than \(AuditEvent.maximumLineBytes) bytes without end")
                return
            }
            if fragmentPlace == nil { fragmentPlace = here } else { fragment.append(0x0a) }
            fragment += line.bytes
            if line.isCut || fragment.count > AuditLines.maximumBytes {
                noteFragment(fragmentPlace ?? here)
            }
        }
    }

    private mutating func accept(_ entry: AuditEntry, _ head: AuditHead) {
        guard report.problem == nil else {
            if report.problem?.reason == .missing, skipped.contains(entry.sequence) {
                report.problem?.reason = .reordered
                report.problem?.detail = "entry \(entry.sequence) comes later"
            }
            return
        }
        guard acceptFragment(before: entry, head), acceptOrder(of: entry, head),
            acceptHeads(entry, head)
        else { return }
        if let (reason, detail) = files.take(entry) { return note(reason, detail) }
        if report.first == nil { report.first = entry.sequence }
        report.id = files.id
        report.firstFile = files.first.map { $0 + 1 }
        switch entry.event.kind {
        case .lost: report.lost += entry.event.count
        case .omitted: report.omitted += entry.event.count
        default: break
        }
        report.entries += 1
        report.head = head
        lastPlace = here
        lastPrevious = entry.previous
    }

    private mutating func acceptHeads(_ entry: AuditEntry, _ head: AuditHead) -> Bool {
        for other in heads {
            if other.sequence == head.sequence, other.hash != head.hash {
                note(
                    .changed,
                    "entry \(head.sequence) is not the one that was there when its head was kept")
                return false
            }
            if report.head == nil, other.sequence + 1 == entry.sequence,
                other.hash != entry.previous
            {
                note(.changed, "it does not follow the entry \(other.sequence) of the head")
                return false
            }
        }
        return true
    }

    /// Bytes that are no entry are in order if the next line tells their digest.
    private mutating func acceptFragment(before entry: AuditEntry, _ head: AuditHead) -> Bool {
        let event = entry.event
        let isChanged = finding(.changed, Self.changed(entry))
        guard let place = fragmentPlace else {
            let speaks = event.kind == .repaired || event.kind == .genesis && event.reason != ""
            if speaks {
                let gone = finding(
                    .missing, "the bytes are gone that this entry says came before it")
                raise(
                    Doubt(
                        later: head, ifItIsTrue: gone, ifItIsNot: isChanged, otherwise: gone))
            }
            return !speaks
        }
        let told = event.kind == .repaired ? event.subject : event.reason
        guard event.kind == .repaired || event.kind == .genesis else {
            // A line that was an entry leaves a gap. Without one this line may have been what
            // vouched for the bytes.
            let isGap = report.head.map { entry.sequence != $0.sequence + 1 } ?? true
            let junk = fragmentFinding(place)
            raise(
                Doubt(
                    later: head, ifItIsTrue: junk, ifItIsNot: isGap ? junk : isChanged,
                    otherwise: junk))
            return false
        }
        guard told == "\(AuditDigest(of: fragment))" else {
            let other = finding(
                .changed, "these bytes are not those that entry \(entry.sequence) tells of",
                at: place)
            raise(
                Doubt(
                    later: head, ifItIsTrue: other, ifItIsNot: isChanged, otherwise: other))
            return false
        }
        fragment = []
        fragmentPlace = nil
        report.repairs += 1
        return true
    }

    private mutating func acceptOrder(of entry: AuditEntry, _ head: AuditHead) -> Bool {
        guard let last = report.head else { return true }
        let expected = last.sequence + 1
        if entry.sequence == expected {
            guard entry.previous != last.hash else { return true }
            let text = "entry \(last.sequence) is not what it was when the next one was written"
            let before = finding(.changed, text, at: lastPlace, entries: report.entries - 1)
            var either = before
            either.detail = text + ", unless that was changed"
            raise(
                Doubt(
                    later: head, ifItIsTrue: before,
                    ifItIsNot: finding(.changed, Self.changed(entry)), otherwise: either))
        } else if entry.previous == last.hash {
            note(
                .changed,
                "it follows entry \(last.sequence), and says that it is entry \(entry.sequence)")
        } else if entry.sequence > expected {
            skipped = expected..<entry.sequence
            note(.missing, Self.gap(skipped) + files.gap(before: entry))
        } else {
            noteEarlier(entry, head, last)
        }
        return false
    }

    /// An entry whose number was there.
    private mutating func noteEarlier(_ entry: AuditEntry, _ head: AuditHead, _ last: AuditHead) {
        if entry.event.kind == .genesis, entry.event.subject != files.id {
            note(.otherLog, "another log begins here")
        } else if entry.sequence < report.first ?? 0 {
            note(.reordered, "entry \(entry.sequence) comes after entry \(last.sequence)")
        } else if head.sequence == last.sequence, head.hash != last.hash,
            entry.previous == lastPrevious
        {
            let text = "there are two entries \(entry.sequence), and this one does not belong here"
            let second = finding(.repeated, text)
            raise(
                Doubt(
                    later: head,
                    ifItIsTrue: finding(
                        .repeated, text, at: lastPlace, entries: report.entries - 1),
                    ifItIsNot: second, otherwise: second))
        } else {
            note(.repeated, "entry \(entry.sequence) was there before")
        }
    }

    private static func changed(_ entry: AuditEntry) -> String {
        "entry \(entry.sequence) is not what it was when it was written"
    }

    private static func gap(_ numbers: Range<UInt64>) -> String {
        numbers.count == 1
            ? "entry \(numbers.lowerBound) is not there"
            : "entries \(numbers.lowerBound) to \(numbers.upperBound - 1) are not there"
    }

    // MARK: The end

    private mutating func noteUnended(_ line: AuditLines.Line) {
        here.line += 1
        let end = AuditEntry(line: line.bytes)?.sequence ?? report.head?.sequence
        // The gateway names an entry in a head once it is on the disk, to its end.
        if let head = heads.first(where: { head in end.map { $0 < head.sequence } ?? true }) {
            note(.cutOff, "the log ends within this line, and a head names entry \(head.sequence)")
        } else {
            note(.torn, "the last line has no end: its writer was cut off")
        }
    }

    private mutating func checkEnd() {
        let last = report.head
        let isBehind = { (head: AuditHead) in last.map { $0.sequence < head.sequence } ?? true }
        if let head = heads.first(where: isBehind) {
            here = lastPlace
            let end = last.map { "the log ends with entry \($0.sequence)" } ?? "the log is gone"
            note(.cutOff, "\(end), and a head names entry \(head.sequence)")
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

    // MARK: Findings

    private func finding(
        _ reason: AuditBreak.Reason, _ detail: String, at place: Place? = nil,
        entries: UInt64? = nil
    ) -> Doubt.Finding {
        Doubt.Finding(
            reason: reason, place: place ?? here, detail: detail,
            entries: entries ?? report.entries)
    }

    /// A head of the later one decides at once, otherwise the next line does.
    private mutating func raise(_ new: Doubt) {
        if let head = heads.first(where: { $0.sequence == new.later.sequence }) {
            note(head.hash == new.later.hash ? new.ifItIsTrue : new.ifItIsNot)
        } else {
            doubt = new
        }
    }

    private mutating func settle(_ witness: AuditEntry?) {
        guard let doubt else { return }
        self.doubt = nil
        guard let witness, witness.sequence == doubt.later.sequence + 1 else {
            return note(doubt.otherwise)
        }
        note(witness.previous == doubt.later.hash ? doubt.ifItIsTrue : doubt.ifItIsNot)
    }

    private func fragmentFinding(_ place: Place) -> Doubt.Finding {
        fragment.count > AuditEvent.maximumLineBytes && !fragment.contains(0x0a)
            ? finding(
                .tooLong, "more than \(AuditEvent.maximumLineBytes) bytes in a line", at: place)
            : finding(.notAnEntry, "this is no entry", at: place)
    }

    private mutating func noteFragment(_ place: Place) { note(fragmentFinding(place)) }

    private mutating func note(_ reason: AuditBreak.Reason, _ detail: String) {
        note(finding(reason, detail))
    }

    private mutating func note(_ finding: Doubt.Finding) {
        guard report.problem == nil else { return }
        report.entries = finding.entries
        report.problem = AuditBreak(
            reason: finding.reason, file: max(0, finding.place.file), line: finding.place.line,
            detail: finding.detail)
    }
}

extension AuditVerifier {
    /// What the beginnings of files say of which there were.
    private struct Files {
        private(set) var id: String?
        /// Counted from 0.
        private(set) var first: UInt64?
        private var newest: UInt64 = 0
        private var oldestKept: UInt64 = 0
        private var kept: UInt64 = 0

        mutating func take(_ entry: AuditEntry) -> (AuditBreak.Reason, String)? {
            let kind = entry.event.kind
            if kind == .genesis {
                (id, first) = (entry.event.subject, 0)
            } else if let place = AuditFilePlace(entry) {
                if let id, id != place.id {
                    return (.otherLog, "here goes on another log, whose id is \(place.id)")
                }
                id = place.id
                if first == nil { first = place.filesBefore }
                newest = max(newest, place.filesBefore)
                oldestKept = max(oldestKept, place.oldestKept)
                kept = place.kept
            } else if first == nil, kind != .repaired {
                return (
                    .noBeginning,
                    kind == .lost
                        ? "the log was gone when the gateway started: \(entry.event.reason)"
                        : "no file of a log begins with an entry like this: what came before "
                            + "entry \(entry.sequence) is gone"
                )
            }
            return nil
        }

        /// Files that the gateway would have kept.
        var missing: String? {
            guard let first, first > oldestKept else { return nil }
            return Self.names(oldestKept..<first) + " missing: the oldest here is file "
                + "\(first + 1), and the gateway keeps \(kept) older than the newest, which is "
                + "file \(newest + 1)"
        }

        /// Whether it is whole files that are not there.
        func gap(before entry: AuditEntry) -> String {
            guard let place = AuditFilePlace(entry), first != nil,
                place.filesBefore > newest + 1
            else { return "" }
            return ": \(Self.names(newest + 1..<place.filesBefore)) missing"
        }

        private static func names(_ files: Range<UInt64>) -> String {
            files.count == 1
                ? "file \(files.lowerBound + 1) of the log is"
                : "files \(files.lowerBound + 1) to \(files.upperBound) of the log are"
        }
    }
}
