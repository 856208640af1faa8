import CYaml

/// Text to tree. YAML's tree only: types are the reader's business, so none of YAML 1.1's guesses
/// (`no` is false, `010` is eight, `1:30` is ninety) can happen here.
///
/// It works on libyaml's events rather than on a composed tree, for three reasons: an alias
/// is refused before anything is expanded, depth and size are refused before anything is built,
/// and several duplicate keys are several problems instead of one exception.
package enum ConfigParser {
    /// The tree of the one document in `bytes`, or nil with the reason in `log`. Duplicate or odd
    /// keys are logged and the tree is still returned, so that a reader can add what it finds.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, limits: ConfigLimits = ConfigLimits(), log: ConfigLog
    ) -> ConfigNode? {
        guard bytes.count <= limits.bytes else {
            log.report(
                .start, .root,
                "the document has \(bytes.count) bytes, more than the \(limits.bytes) allowed")
            return nil
        }
        if let offset = firstInvalidUTF8(bytes) {
            log.report(
                mark(ofByte: offset, in: bytes), .root,
                "not valid UTF-8 here (byte \(offset)): save the file as UTF-8")
            return nil
        }
        var builder = TreeBuilder(limits: limits, log: log, bytes: bytes)
        guard let root = builder.build() else { return nil }
        checkKeys(root, .root, log)
        return root
    }

    package static func parse(
        text: String, limits: ConfigLimits = ConfigLimits(), log: ConfigLog
    ) -> ConfigNode? {
        var text = text
        return text.withUTF8 { parse(UnsafeRawBufferPointer($0), limits: limits, log: log) }
    }

    /// The offset of the first byte that is no part of well-formed UTF-8.
    static func firstInvalidUTF8(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): offset += UTF8.width(scalar)
            case .emptyInput: return nil
            case .error: return offset
            }
        }
    }

    static func mark(ofByte offset: Int, in bytes: UnsafeRawBufferPointer) -> ConfigMark {
        var (line, column, scalars) = (1, 1, 0)
        for byte in bytes.prefix(offset) {
            if byte == 10 {
                line += 1
                column = 1
                scalars += 1
            } else if byte & 0xc0 != 0x80 {
                column += 1
                scalars += 1
            }
        }
        return ConfigMark(line: line, column: column, offset: scalars)
    }

    /// Depth is bounded by the limits, so recursion is too.
    private static func checkKeys(_ node: ConfigNode, _ path: ConfigPath, _ log: ConfigLog) {
        switch node.content {
        case .null, .scalar: break
        case .list(let items):
            for (index, item) in items.enumerated() where item.isContainer {
                checkKeys(item, path.item(index), log)
            }
        case .map(let entries):
            var seen = SeenKeys(count: entries.count)
            for entry in entries {
                guard let name = entry.name else {
                    log.report(entry.key.start, path, "a field's name must be text")
                    continue
                }
                if name == "<<" {
                    log.report(
                        entry.key.start, path.field(name),
                        "merge keys are not supported: write it out")
                } else if let first = seen.first(name, at: entry.key.start) {
                    log.report(
                        entry.key.start, path.field(name),
                        "given twice, first on line \(first.line): remove one of them")
                }
                if entry.value.isContainer { checkKeys(entry.value, path.field(name), log) }
            }
        }
    }
}

/// The keys of one map so far. Most maps are small, and there are very many of them: looking
/// through a few names costs less than hashing them.
private struct SeenKeys {
    private var few: [(name: String, mark: ConfigMark)] = []
    private var many: [String: ConfigMark] = [:]
    private let isSmall: Bool

    init(count: Int) {
        isSmall = count <= 16
        if isSmall { few.reserveCapacity(count) } else { many.reserveCapacity(count) }
    }

    /// Where the key was before, if it was.
    mutating func first(_ name: String, at mark: ConfigMark) -> ConfigMark? {
        if isSmall {
            if let before = few.first(where: { $0.name == name }) { return before.mark }
            few.append((name, mark))
            return nil
        }
        if let before = many[name] { return before }
        many[name] = mark
        return nil
    }
}
