/// A place in a document. Every node of a tree has two, so they are kept small: no document that
/// the limits let through has more than 2^32 characters.
package struct ConfigMark: Hashable, Sendable {
    private var narrow: (line: UInt32, column: UInt32, offset: UInt32)

    package init(line: Int, column: Int, offset: Int) {
        narrow = (
            UInt32(clamping: line), UInt32(clamping: column), UInt32(clamping: offset)
        )
    }

    /// From 1.
    package var line: Int { Int(narrow.line) }
    /// From 1, in Unicode scalars.
    package var column: Int { Int(narrow.column) }
    /// Unicode scalars from the beginning of the document.
    package var offset: Int { Int(narrow.offset) }

    package static let start = ConfigMark(line: 1, column: 1, offset: 0)

    package static func == (a: Self, b: Self) -> Bool { a.narrow == b.narrow }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(narrow.line)
        hasher.combine(narrow.column)
    }
}

/// The generic tree of a YAML document: what was written, with no type guessed from its looks.
package struct ConfigNode: Sendable {
    package enum Content: Sendable {
        /// Nothing, `~` or `null`, written plainly.
        case null
        case scalar(String, isQuoted: Bool)
        case list([ConfigNode])
        case map([ConfigEntry])
    }

    package var content: Content
    package var start: ConfigMark
    /// Just after the last character that belongs to the node.
    package var end: ConfigMark
    /// Written with braces or brackets, as JSON is.
    package var isFlow: Bool

    package init(content: Content, start: ConfigMark, end: ConfigMark, isFlow: Bool = false) {
        self.content = content
        self.start = start
        self.end = end
        self.isFlow = isFlow
    }

    /// The first value of a field, if this is a map that has it.
    package subscript(field: String) -> ConfigNode? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.name == field }?.value
    }

    var isContainer: Bool {
        switch content {
        case .null, .scalar: false
        case .list, .map: true
        }
    }

    /// What the node is, for messages.
    package var kind: String {
        switch content {
        case .null: "nothing"
        case .scalar: "a single value"
        case .list: "a list"
        case .map: "a map"
        }
    }
}

package struct ConfigEntry: Sendable {
    package var key: ConfigNode
    package var value: ConfigNode

    /// The key's text; nil if the key is no text, which the parser has reported.
    package var name: String? {
        guard case .scalar(let text, _) = key.content else { return nil }
        return text
    }
}

/// The way from the document's root to a field. A chain, and text only once somebody asks: a
/// document without problems never does.
package struct ConfigPath: Hashable, Sendable, CustomStringConvertible {
    private indirect enum Step: Hashable, Sendable {
        case root
        case field(of: Step, String)
        case item(of: Step, Int)
    }

    private let last: Step

    package static let root = ConfigPath(last: .root)

    package func field(_ name: String) -> ConfigPath {
        ConfigPath(last: .field(of: last, name))
    }

    package func item(_ index: Int) -> ConfigPath {
        ConfigPath(last: .item(of: last, index))
    }

    package var description: String {
        var parts: [String] = []
        var step = last
        while true {
            switch step {
            case .root: return parts.reversed().joined()
            case .item(let before, let index):
                parts.append("[\(index)]")
                step = before
            case .field(let before, let name):
                parts.append((before == .root ? "" : ".") + Self.shown(name))
                step = before
            }
        }
    }

    private static func shown(_ name: String) -> String {
        let plain =
            !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy {
                48...57 ~= $0 || 65...90 ~= $0 || 97...122 ~= $0 || $0 == 45 || $0 == 95
            }
        return plain ? name : "\"" + printable(name) + "\""
    }
}

/// A value and where it was written.
package struct Located<Value> {
    package var value: Value
    package var mark: ConfigMark
    package var path: ConfigPath

    package init(_ value: Value, mark: ConfigMark, path: ConfigPath) {
        self.value = value
        self.mark = mark
        self.path = path
    }
}

extension Located: Sendable where Value: Sendable {}

/// Text from a document made fit for one line of a terminal: no control characters, not long.
package func printable(_ text: String, limit: Int = 64) -> String {
    var shown = ""
    var count = 0
    for scalar in text.unicodeScalars {
        if count == limit { return shown + "..." }
        count += 1
        // C0, DEL, C1, and the invisible or direction-changing ones.
        switch scalar.value {
        case 0..<32, 127..<160, 0x200b...0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff:
            shown += "\\u{" + String(scalar.value, radix: 16) + "}"
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}
