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
        var mark = ConfigMark.start
        for byte in bytes.prefix(offset) {
            if byte == 10 {
                mark.line += 1
                mark.column = 1
                mark.offset += 1
            } else if byte & 0xc0 != 0x80 {
                mark.column += 1
                mark.offset += 1
            }
        }
        return mark
    }

    /// Depth is bounded by the limits, so recursion is too.
    private static func checkKeys(_ node: ConfigNode, _ path: ConfigPath, _ log: ConfigLog) {
        switch node.content {
        case .null, .scalar: break
        case .list(let items):
            for (index, item) in items.enumerated() { checkKeys(item, path.item(index), log) }
        case .map(let entries):
            var seen: [String: ConfigMark] = [:]
            for entry in entries {
                guard let name = entry.name else {
                    log.report(entry.key.start, path, "a field's name must be text")
                    continue
                }
                let place = path.field(name)
                if name == "<<" {
                    log.report(
                        entry.key.start, place, "merge keys are not supported: write it out")
                } else if let first = seen[name] {
                    log.report(
                        entry.key.start, place,
                        "given twice, first on line \(first.line): remove one of them")
                } else {
                    seen[name] = entry.key.start
                }
                checkKeys(entry.value, place, log)
            }
        }
    }
}
