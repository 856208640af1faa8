/// The names of a partition's files: the segment's base offset in twenty digits, and a kind.
///
/// From Kafka's LogFileUtils: `.log`, `.index`, `.timeindex`, `.txnindex`, `.snapshot`; a file
/// on its way in or out has one of `.cleaned`, `.swap` and `.deleted` behind that.
package struct LogFileName: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        case log, index, timeindex, txnindex, snapshot

        /// What belongs to a segment; a snapshot may stand at any offset.
        static let ofSegment: [Kind] = [.log, .index, .timeindex, .txnindex]
    }

    package enum Stage: String, CaseIterable, Sendable {
        case cleaned, swap, deleted
    }

    /// No segment begins above: an index entry, and the offset behind it, still fit.
    package static let maxOffset = Int64.max - Int64(Int32.max) - 1

    package var offset: Int64
    package var kind: Kind
    package var stage: Stage?

    package init(_ offset: Int64, _ kind: Kind, _ stage: Stage? = nil) {
        self.offset = offset
        self.kind = kind
        self.stage = stage
    }

    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3 else { return nil }
        guard parts[0].utf8.count == 20, parts[0].utf8.allSatisfy({ (48...57).contains($0) }),
            let offset = Int64(parts[0]), offset <= Self.maxOffset,
            let kind = Kind(rawValue: String(parts[1]))
        else { return nil }
        self.offset = offset
        self.kind = kind
        if parts.count == 3 {
            guard let stage = Stage(rawValue: String(parts[2])) else { return nil }
            self.stage = stage
        }
    }

    package static func digits(_ offset: Int64) -> String {
        let text = String(offset)
        return String(repeating: "0", count: max(0, 20 - text.utf8.count)) + text
    }

    package var text: String {
        let base = Self.digits(offset) + "." + kind.rawValue
        guard let stage else { return base }
        return base + "." + stage.rawValue
    }

    func path(in directory: String) -> String { DiskPath.join(directory, text) }
}

/// Files that are renamed away already and may be removed after `file.delete.delay.ms`.
package struct DeletedFile: Hashable, Sendable {
    package var path: String
    package var size: Int64

    package init(path: String, size: Int64) {
        self.path = path
        self.size = size
    }
}
