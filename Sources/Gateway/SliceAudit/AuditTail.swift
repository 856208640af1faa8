import Timing

/// The end of a file that somebody wrote earlier, perhaps not to its end.
package struct AuditTail: Equatable, Sendable {
    /// How much of a file has to be looked at.
    package static let maximumBytes = 2 * AuditLines.maximumBytes

    /// The last line that is an entry.
    package private(set) var last: AuditHead?
    /// What follows it and is none, if anything does: lines of a writer that was cut off.
    package private(set) var fragment: [UInt8]?
    /// Whether the file ends with the end of a line, or is empty.
    package private(set) var isEnded = true

    /// Of a file that is not written to any more: what follows its last entry does not matter.
    package static func closed(_ bytes: [UInt8]) -> AuditTail? {
        var tail = AuditTail(bytes)
        tail.fragment = nil
        tail.isEnded = true
        return tail.last == nil ? nil : tail
    }

    /// The end of a file without any entry is behind that of the file before it.
    package func behind(_ older: AuditTail?) -> AuditTail {
        var tail = self
        tail.last = last ?? older?.last
        return tail
    }

    /// `bytes` may begin in the middle of a line unless they are all of the file.
    package init(_ bytes: [UInt8]) {
        isEnded = bytes.isEmpty || bytes.last == 0x0a
        let text = isEnded ? bytes.dropLast() : bytes[...]
        guard !bytes.isEmpty else { return }
        var end = text.endIndex
        while true {
            let start = text[..<end].lastIndex(of: 0x0a).map { $0 + 1 } ?? text.startIndex
            let line = Array(text[start..<end])
            if let entry = AuditEntry(line: line) {
                last = AuditHead(sequence: entry.sequence, hash: AuditDigest(of: line))
                if end < text.endIndex { fragment = Array(text[(end + 1)...]) }
                return
            }
            if start == text.startIndex {
                fragment = Array(text)
                return
            }
            end = start - 1
        }
    }
}

/// How a log goes on after a start.
package struct AuditResumption: Sendable {
    package let chain: AuditChain
    /// To be written before anything else; may be empty.
    package let opening: [UInt8]
    /// What somebody should look at, if anything.
    package let warning: String?
    /// Whether it is a new log, whose first line is the opening's.
    package let isNew: Bool

    /// `tail` of the newest file that has anything in it, and the head that was kept beside it.
    /// `beginning` if the file that is written to does not say yet which one it is.
    package init(
        tail: AuditTail?, head: AuditHead?, id: String, time: WallTime, cluster: String,
        beginning: AuditFilePlace? = nil
    ) {
        let fragment = tail?.fragment
        let digest = fragment.map { "\(AuditDigest(of: $0))" } ?? ""
        var opening: [UInt8] = tail?.isEnded ?? true ? [] : [0x0a]
        let found = tail?.last
        guard let base = Self.base(found, head) else {
            let (chain, line) = AuditChain.genesis(
                id: id, time: time, cluster: cluster, reason: digest)
            self.chain = chain
            self.opening = opening + line
            isNew = true
            warning = fragment.map { "\($0.count) bytes that are no entry came before it" }
            return
        }
        var chain = AuditChain(after: base)
        var warning: String?
        if let fragment {
            let reason = "\(fragment.count) bytes before this line are no entry"
            opening += chain.append(
                AuditEvent(
                    .repaired, time: time, cluster: cluster, subject: digest, reason: reason))
            warning = "its end was cut off: \(reason)"
        }
        if let beginning {
            opening += chain.begin(beginning, time: time, cluster: cluster)
        }
        if let head, base == head, head != found {
            // The chain goes on behind the head: what is gone stays visible for good.
            let (reason, count) = Self.loss(found, head)
            opening += chain.append(
                AuditEvent(
                    .lost, time: time, cluster: cluster, subject: "\(head)", reason: reason,
                    count: count))
            warning = reason
        }
        self.chain = chain
        self.opening = opening
        self.warning = warning
        isNew = false
    }

    private static func loss(_ found: AuditHead?, _ head: AuditHead) -> (String, UInt64) {
        guard let found else {
            return (
                "the log is gone, the head beside it names entry \(head.sequence)",
                head.sequence + 1
            )
        }
        if head.sequence > found.sequence {
            return (
                "the log ended with entry \(found.sequence), the head beside it names entry "
                    + "\(head.sequence)", head.sequence - found.sequence
            )
        }
        return ("entry \(head.sequence) is not the one that the head beside the log names", 1)
    }

    /// The log is written before its head, so it may be ahead of it, never behind.
    private static func base(_ found: AuditHead?, _ head: AuditHead?) -> AuditHead? {
        guard let found else { return head }
        guard let head else { return found }
        return head.sequence >= found.sequence ? head : found
    }
}
