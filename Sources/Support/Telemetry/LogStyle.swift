import Timing

/// How log lines look. All styles are one line a record.
package enum LogStyle: Sendable, Equatable {
    /// For eyes: a time, a level, the words.
    case human
    /// For journald reading our stderr: `<N>` in front is the priority (sd-daemon(3)), and no
    /// time, because the journal stamps each line itself.
    case journal
    /// For collectors: one JSON object a line.
    case json

    /// systemd sets JOURNAL_STREAM when stderr goes to the journal (systemd.exec(5)). A process
    /// that was started by hand from such a service inherits the variable but has a terminal.
    package static func detect(
        journalStream: String?, isTerminal: Bool, json: Bool = false
    ) -> LogStyle {
        if json { return .json }
        if isTerminal { return .human }
        return journalStream?.isEmpty == false ? .journal : .human
    }
}

/// One record, ready to be laid out. Everything of it may come from outside, so nothing of it
/// may end the line or reach the terminal as a control character.
package struct LogRecord: Sendable {
    package var level: String
    /// 0...7 as in syslog(3): 7 debug, 6 info, 5 notice, 4 warning, 3 error, 2 critical.
    package var priority: Int
    package var label: String
    package var message: String
    /// Sorted by the caller: lines must not depend on the order of a dictionary.
    package var fields: [(key: String, value: String)]
    package var secondsSince1970: Int64
    package var nanoseconds: Int64

    package init(
        level: String, priority: Int, label: String, message: String,
        fields: [(key: String, value: String)], secondsSince1970: Int64, nanoseconds: Int64
    ) {
        self.level = level
        self.priority = priority
        self.label = label
        self.message = message
        self.fields = fields
        self.secondsSince1970 = secondsSince1970
        self.nanoseconds = nanoseconds
    }

    /// Lines above this are cut: write(2) to a pipe is only atomic up to PIPE_BUF, and journald
    /// splits at LineMax (48 KiB by default). 4,096 is Linux's PIPE_BUF.
    package static let maximumLineBytes = 4096

    package static let partKey = "part"

    /// The line with its newline, at most `maximumLineBytes` long.
    package func line(_ style: LogStyle) -> [UInt8] {
        switch style {
        case .human: plainLine(prefix: "\(timestamp) \(padded(level)) ")
        case .journal: plainLine(prefix: "<\(priority)>")
        case .json: jsonLine()
        }
    }

    private func plainLine(prefix: String) -> [UInt8] {
        var out: [UInt8] = Array(prefix.utf8)
        appendEscaped(message, quote: false, to: &out)
        for (key, value) in fields {
            out.append(0x20)
            appendEscaped(key, quote: false, to: &out)
            out.append(0x3d)
            let bare = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 }
            if bare {
                appendEscaped(value, quote: false, to: &out)
            } else {
                out.append(0x22)
                appendEscaped(value, quote: true, to: &out)
                out.append(0x22)
            }
        }
        if out.count > Self.maximumLineBytes - 1 {
            cut(&out, to: Self.maximumLineBytes - 4)
            out.append(contentsOf: "...".utf8)
        }
        out.append(0x0a)
        return out
    }

    private func jsonLine() -> [UInt8] {
        // Which part of the process speaks stands beside who speaks, as in every line of it.
        let part = fields.first { $0.key == Self.partKey }?.value
        let fields = fields.filter { $0.key != Self.partKey }
        func close(_ fields: [(key: String, value: String)], message: String) -> [UInt8] {
            var out: [UInt8] = Array("{\"time\":\"\(timestamp)\",\"level\":\"".utf8)
            appendEscaped(level, quote: true, to: &out)
            out.append(contentsOf: "\",\"logger\":\"".utf8)
            appendEscaped(label, quote: true, to: &out)
            if let part {
                out.append(contentsOf: "\",\"part\":\"".utf8)
                appendEscaped(part, quote: true, to: &out)
            }
            out.append(contentsOf: "\",\"message\":\"".utf8)
            appendEscaped(message, quote: true, to: &out)
            out.append(0x22)
            if !fields.isEmpty {
                // Their own object: a field named "level" must not shadow ours.
                out.append(contentsOf: ",\"fields\":{".utf8)
                for (index, field) in fields.enumerated() {
                    if index > 0 { out.append(0x2c) }
                    out.append(0x22)
                    appendEscaped(field.key, quote: true, to: &out)
                    out.append(contentsOf: "\":\"".utf8)
                    appendEscaped(field.value, quote: true, to: &out)
                    out.append(0x22)
                }
                out.append(0x7d)
            }
            out.append(0x7d)
            out.append(0x0a)
            return out
        }
        let whole = close(fields, message: message)
        if whole.count <= Self.maximumLineBytes { return whole }
        // Half an object is of no use to a collector: drop the fields, then shorten the words.
        // An escape is at most 6 bytes a byte of input, and the frame is far below 400 bytes.
        var short = Array(message.utf8)
        cut(&short, to: 500)
        var record = self
        record.label = String(label.unicodeScalars.prefix(64).map(Character.init))
        return record.truncatedJSON(String(decoding: short, as: UTF8.self) + "...")
    }

    private func truncatedJSON(_ message: String) -> [UInt8] {
        var kept = [(key: "truncated", value: "true")]
        // Ours, and so never long.
        if let part = fields.first(where: { $0.key == Self.partKey }), part.value.utf8.count < 32 {
            kept.append(part)
        }
        return LogRecord(
            level: level, priority: priority, label: label, message: message, fields: kept,
            secondsSince1970: secondsSince1970, nanoseconds: nanoseconds
        ).jsonLine()
    }

    private func padded(_ level: String) -> String {
        level + String(repeating: " ", count: max(0, 8 - level.utf8.count))
    }

    /// RFC 3339 in UTC with milliseconds.
    var timestamp: String {
        let date = CivilTime(secondsSince1970: secondsSince1970)
        func two(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
        let milliseconds = max(0, min(999, nanoseconds / 1_000_000))
        let fraction = String(1000 + milliseconds).dropFirst()
        return "\(date.year)-\(two(date.month))-\(two(date.day))T\(two(date.hour)):"
            + "\(two(date.minute)):\(two(date.second)).\(fraction)Z"
    }
}

/// Appends text with control characters, DEL and (for `quote`) `"` and `\` escaped as JSON does.
/// C1 controls and the bidirectional overrides are escaped as well: a terminal obeys them.
private func appendEscaped(_ text: String, quote: Bool, to out: inout [UInt8]) {
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 0x0a: out.append(contentsOf: "\\n".utf8)
        case 0x09: out.append(contentsOf: "\\t".utf8)
        case 0x22 where quote: out.append(contentsOf: "\\\"".utf8)
        case 0x5c where quote: out.append(contentsOf: "\\\\".utf8)
        case 0..<0x20, 0x7f..<0xa0, 0x2028...0x202e, 0x2066...0x2069:
            let hex = String(scalar.value, radix: 16)
            out.append(contentsOf: "\\u".utf8)
            out.append(contentsOf: String(repeating: "0", count: max(0, 4 - hex.utf8.count)).utf8)
            out.append(contentsOf: hex.utf8)
        default: out.append(contentsOf: UTF8.encode(scalar)!)
        }
    }
}

/// Shortens to at most `count` bytes without leaving half a UTF-8 sequence.
private func cut(_ bytes: inout [UInt8], to count: Int) {
    guard bytes.count > count else { return }
    var end = count
    while end > 0, bytes[end] & 0xc0 == 0x80 { end -= 1 }
    bytes.removeSubrange(end...)
}
