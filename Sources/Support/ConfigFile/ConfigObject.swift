/// Reads one map with known fields, and remembers which were asked for: the rest is unknown.
package final class ConfigObject {
    package let node: ConfigNode
    package let path: ConfigPath
    package let log: ConfigLog
    private let entries: [ConfigEntry]
    private var known: [String] = []
    private var refused: [String] = []

    /// Nil, and a problem, if the node is no map.
    package init?(_ node: ConfigNode, _ path: ConfigPath, _ log: ConfigLog) {
        guard case .map(let entries) = node.content else {
            log.report(node.start, path, "must be a map of fields, not \(node.kind)")
            return nil
        }
        self.node = node
        self.path = path
        self.log = log
        self.entries = entries
    }

    package func required<Value>(_ field: String, _ type: ConfigType<Value>) -> Value? {
        known.append(field)
        guard let entry = entry(field) else {
            log.report(node.start, path, "the field `\(field)` is missing")
            return nil
        }
        return read(entry, field, type)
    }

    /// Nil if absent, or wrong and reported.
    package func optional<Value>(_ field: String, _ type: ConfigType<Value>) -> Value? {
        known.append(field)
        return entry(field).flatMap { read($0, field, type) }
    }

    package func optional<Value>(
        _ field: String, _ type: ConfigType<Value>, default value: Value
    ) -> Value {
        optional(field, type) ?? value
    }

    package func has(_ field: String) -> Bool { entry(field) != nil }

    /// A problem at a field's value, or at the map if the field is absent.
    package func report(_ field: String, _ message: String) {
        let mark = entry(field)?.value.start ?? node.start
        log.report(mark, path.field(field), message)
    }

    /// A field that someone may well try, and why it is not here.
    package func refuse(_ field: String, _ message: String) {
        guard let entry = entry(field) else { return }
        refused.append(field)
        log.report(entry.key.start, path.field(field), message)
    }

    package func reportUnknownFields() {
        for entry in entries {
            guard let name = entry.name, name != "<<", !known.contains(name),
                !refused.contains(name)
            else { continue }
            let hint =
                log.isFull
                ? ""
                : Similarity.closest(to: name, among: known).map { "did you mean `\($0)`?" }
                    ?? "known here: \(known.joined(separator: ", "))"
            log.report(entry.key.start, path.field(name), "unknown field; \(hint)")
        }
    }

    private func entry(_ field: String) -> ConfigEntry? { entries.first { $0.name == field } }

    private func read<Value>(
        _ entry: ConfigEntry, _ field: String, _ type: ConfigType<Value>
    ) -> Value? {
        if case .null = entry.value.content {
            log.report(
                entry.key.start, path.field(field), "has no value: give it one or remove the field")
            return nil
        }
        return type.read(entry.value, path.field(field), log)
    }
}

extension ConfigType {
    /// A whole document: all its problems, or the value.
    package func readDocument(
        _ bytes: UnsafeRawBufferPointer, file: String, limits: ConfigLimits = ConfigLimits()
    ) throws(ConfigProblems) -> Value {
        let log = ConfigLog(file: file, limit: limits.problems)
        let value = ConfigParser.parse(bytes, limits: limits, log: log).flatMap {
            read($0, .root, log)
        }
        try log.throwIfAny()
        guard let value else {
            // A type that fails must say why; if one forgot, the document is still not read.
            log.report(.start, .root, "cannot be read")
            throw ConfigProblems(log.problems)
        }
        return value
    }
}
