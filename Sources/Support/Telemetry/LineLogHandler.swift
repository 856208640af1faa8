import Glibc
import Logging

/// swift-log to a file descriptor: one record, one line, one write(2), so that lines of several
/// threads and processes never mix. The write is not repeated when it fails: a daemon must not
/// hang, nor die, because nobody reads its log.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level = .info
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let style: LogStyle
    private let descriptor: CInt

    package init(label: String, style: LogStyle, descriptor: CInt = 2) {
        self.label = label
        self.style = style
        self.descriptor = descriptor
    }

    /// Makes this the process's log, with the style stderr asks for. Once per process.
    package static func bootstrap(level: Logger.Level, json: Bool = false) {
        let stream = getenv("JOURNAL_STREAM").map { String(cString: $0) }
        let style = LogStyle.detect(
            journalStream: stream, isTerminal: isatty(2) == 1, json: json)
        LoggingSystem.bootstrap { label in
            var handler = LineLogHandler(label: label, style: style)
            handler.logLevel = level
            return handler
        }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var merged = metadata
        if let provided = metadataProvider?.get() {
            merged.merge(provided) { _, new in new }
        }
        if let given = event.metadata { merged.merge(given) { _, new in new } }
        var fields = merged.map { (key: $0.key, value: "\($0.value)") }
        fields.sort { $0.key < $1.key }
        if let error = event.error { fields.append((key: "error", value: "\(error)")) }
        let record = LogRecord(
            level: event.level.rawValue, priority: Self.priority(event.level), label: label,
            message: event.message.description, fields: fields,
            secondsSince1970: Int64(now.tv_sec), nanoseconds: Int64(now.tv_nsec))
        record.line(style).withUnsafeBytes { line in
            _ = write(descriptor, line.baseAddress, line.count)
        }
    }

    /// syslog(3)'s numbers, which sd-daemon(3) takes over.
    package static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
