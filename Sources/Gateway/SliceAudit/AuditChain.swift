import Timing

/// The end of a log, to which events are added. Each line names the digest of the one before.
package struct AuditChain: Sendable {
    package private(set) var head: AuditHead

    /// Goes on behind a line that is there.
    package init(after head: AuditHead) { self.head = head }

    /// A new log, and its first line. The id tells it from any other that begins here later.
    package static func genesis(
        id: String, time: WallTime, cluster: String, reason: String = ""
    ) -> (chain: AuditChain, line: [UInt8]) {
        let event = AuditEvent(.genesis, time: time, cluster: cluster, subject: id, reason: reason)
        let line = AuditEntry(sequence: 0, event: event, previous: .none).line
        let head = AuditHead(sequence: 0, hash: AuditDigest(of: line))
        return (AuditChain(after: head), line + [0x0a])
    }

    /// The first line of a file that is not the log's first.
    package mutating func begin(
        _ place: AuditFilePlace, time: WallTime, cluster: String
    ) -> [UInt8] {
        append(place.event(after: head, time: time, cluster: cluster))
    }

    /// The bytes to write, with the end of the line.
    package mutating func append(_ event: AuditEvent) -> [UInt8] {
        let line = AuditEntry(
            sequence: min(head.sequence + 1, AuditHead.maximumSequence), event: event,
            previous: head.hash
        ).line
        head = AuditHead(sequence: head.sequence + 1, hash: AuditDigest(of: line))
        return line + [0x0a]
    }
}
