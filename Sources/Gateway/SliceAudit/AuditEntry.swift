/// One line of the log. An entry has one form only: what would be written differently is not read.
package struct AuditEntry: Hashable, Sendable {
    package let sequence: UInt64
    package let event: AuditEvent
    /// Of the line before.
    package let previous: AuditDigest

    package init(sequence: UInt64, event: AuditEvent, previous: AuditDigest) {
        self.sequence = sequence
        self.event = event
        self.previous = previous
    }

    /// JSON (RFC 8259), without the end of the line.
    package var line: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(320 + event.reason.utf8.count + event.subject.utf8.count)
        out += "{\"sequence\":\(sequence),\"time\":\"".utf8
        out += AuditTime.text(event.time).utf8
        out += "\",\"kind\":\"\(event.kind.word)\"".utf8
        Self.append("slice", event.slice, to: &out)
        Self.append("cluster", event.cluster, to: &out)
        Self.append("subject", event.subject, to: &out)
        Self.append("reason", event.reason, to: &out)
        out += ",\"count\":\(event.count),\"previous\":\"\(previous)\"}".utf8
        return out
    }

    /// Control characters do not occur in an event's texts.
    private static func append(_ name: String, _ text: String, to out: inout [UInt8]) {
        out += ",\"\(name)\":\"".utf8
        for byte in text.utf8 {
            if byte == 0x22 || byte == 0x5c { out.append(0x5c) }
            out.append(byte)
        }
        out.append(0x22)
    }

    package init?(line: [UInt8]) {
        guard line.count <= AuditEvent.maximumLineBytes else { return nil }
        var cursor = Cursor(line)
        guard cursor.take("{\"sequence\":"), let sequence = cursor.number(),
            cursor.take(",\"time\":"), let timeText = cursor.text(),
            let time = AuditTime.parse(timeText.utf8),
            cursor.take(",\"kind\":"), let kindText = cursor.text(),
            let kind = AuditEvent.Kind(kindText),
            cursor.take(",\"slice\":"), let slice = cursor.text(),
            cursor.take(",\"cluster\":"), let cluster = cursor.text(),
            cursor.take(",\"subject\":"), let subject = cursor.text(),
            cursor.take(",\"reason\":"), let reason = cursor.text(),
            cursor.take(",\"count\":"), let count = cursor.number(),
            cursor.take(",\"previous\":"), let previousText = cursor.text(),
            let previous = AuditDigest(previousText), cursor.take("}"), cursor.isAtEnd
        else { return nil }
        let isFirst = sequence == 0
        guard isFirst == (kind == .genesis), isFirst == (previous == .none) else { return nil }
        self.init(
            sequence: sequence,
            event: AuditEvent(
                kind, time: time, slice: slice, cluster: cluster, subject: subject,
                reason: reason, count: count),
            previous: previous)
        guard self.line == line, kind != .continued || AuditFilePlace(self) != nil else {
            return nil
        }
    }

    private struct Cursor {
        private let bytes: [UInt8]
        private var at = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { at == bytes.count }

        mutating func take(_ word: StaticString) -> Bool {
            let word = word.description.utf8
            guard bytes[at...].starts(with: word) else { return false }
            at += word.count
            return true
        }

        mutating func number() -> UInt64? {
            let start = at
            while at < bytes.count, 0x30...0x39 ~= bytes[at] { at += 1 }
            guard let value = UInt64(String(decoding: bytes[start..<at], as: UTF8.self)),
                value <= AuditHead.maximumSequence
            else { return nil }
            return value
        }

        mutating func text() -> String? {
            guard at < bytes.count, bytes[at] == 0x22 else { return nil }
            at += 1
            var out: [UInt8] = []
            while at < bytes.count, bytes[at] != 0x22 {
                if bytes[at] == 0x5c { at += 1 }
                guard at < bytes.count else { return nil }
                out.append(bytes[at])
                at += 1
            }
            guard at < bytes.count else { return nil }
            at += 1
            return String(validating: out, as: UTF8.self)
        }
    }
}
