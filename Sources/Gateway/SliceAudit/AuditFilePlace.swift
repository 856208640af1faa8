import Timing

/// Which file of which log a file is. Its first line says so: the log's own first line for the
/// first file, and for every later one an entry (`continued`) that repeats the log's id and where
/// the file before it ended. So a log whose first files were taken away can tell which.
package struct AuditFilePlace: Hashable, Sendable {
    /// The log's.
    package let id: String
    /// Files of the log before this one.
    package let filesBefore: UInt64
    /// Of those so many are kept, not more.
    package let kept: UInt64

    package init(id: String, filesBefore: UInt64, kept: Int) {
        self.init(id: id, filesBefore: filesBefore, kept: UInt64(max(0, kept)))
    }

    private init(id: String, filesBefore: UInt64, kept: UInt64) {
        self.id = id
        self.filesBefore = filesBefore
        self.kept = kept
    }

    package func next(keeping kept: Int) -> AuditFilePlace {
        AuditFilePlace(
            id: id, filesBefore: min(filesBefore + 1, AuditHead.maximumSequence), kept: kept)
    }

    /// The first file that must be there while this one is the newest, counted from 0.
    package var oldestKept: UInt64 { filesBefore - min(filesBefore, kept) }

    private func reason(after head: AuditHead) -> String {
        "keeps \(kept) older files; the one before this ends with \(head)"
    }

    func event(after head: AuditHead, time: WallTime, cluster: String) -> AuditEvent {
        AuditEvent(
            .continued, time: time, cluster: cluster, subject: id, reason: reason(after: head),
            count: filesBefore)
    }

    /// Nil if the entry is no `continued` in the one form that it has.
    init?(_ entry: AuditEntry) {
        let words = entry.event.reason.split(separator: " ")
        guard entry.event.kind == .continued, entry.sequence > 0, words.count == 11,
            let kept = UInt64(words[1]), let head = AuditHead(words[10]),
            min(head.sequence + 1, AuditHead.maximumSequence) == entry.sequence,
            head.hash == entry.previous
        else { return nil }
        self.init(id: entry.event.subject, filesBefore: entry.event.count, kept: kept)
        guard reason(after: head).utf8.elementsEqual(entry.event.reason.utf8) else { return nil }
    }

    /// What the beginning of a file says, behind what a crash may have left there.
    package init?(beginning bytes: [UInt8], kept: Int) {
        for line in bytes.split(separator: 0x0a) {
            guard let entry = AuditEntry(line: Array(line)) else { continue }
            switch entry.event.kind {
            case .genesis:
                self.init(id: entry.event.subject, filesBefore: 0, kept: kept)
                return
            case .continued:
                guard let place = AuditFilePlace(entry) else { return nil }
                self = place
                return
            case .repaired: continue
            default: return nil
            }
        }
        return nil
    }
}
