/// A text in Java's `.properties` format (java.util.Properties.load): `#` and `!` comments,
/// `key=value`, `key: value` or `key value`, a backslash joins lines and escapes characters.
package struct PropertiesFile: Equatable, Sendable {
    package struct Entry: Equatable, Sendable {
        package var key: String
        package var value: String
        /// The line on which the entry starts, from 1.
        package var line: Int

        package init(key: String, value: String, line: Int) {
            self.key = key
            self.value = value
            self.line = line
        }
    }

    package var entries: [Entry]

    /// Longer files are not configuration.
    package static let maximumBytes = 1 << 20

    package init(entries: [Entry]) { self.entries = entries }

    /// - Throws: what is wrong, with its line.
    package init(parsing text: String) throws(PropertiesError) {
        guard text.utf8.count <= Self.maximumBytes else {
            throw PropertiesError(
                line: 1, message: "the file is larger than \(Self.maximumBytes) bytes")
        }
        entries = []
        for (line, logical) in try Self.logicalLines(text) {
            entries.append(try Self.entry(logical, line: line))
        }
    }

    /// Lines with their continuations joined, without blank lines and comments.
    private static func logicalLines(
        _ text: String
    ) throws(PropertiesError) -> [(Int, [Character])] {
        var result: [(Int, [Character])] = []
        var open: (Int, [Character])?
        for (index, raw) in text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        )
        .enumerated() {
            var line = Array(raw.drop(while: \.isBlank))
            if open == nil, line.isEmpty || line[0] == "#" || line[0] == "!" { continue }
            let backslashes = line.reversed().prefix(while: { $0 == "\\" }).count
            let continues = backslashes % 2 == 1
            if continues { line.removeLast() }
            if open == nil { open = (index + 1, line) } else { open?.1 += line }
            if !continues, let whole = open {
                result.append(whole)
                open = nil
            }
        }
        if let whole = open { result.append(whole) }
        return result
    }

    private static func entry(
        _ line: [Character], line number: Int
    ) throws(PropertiesError) -> Entry {
        var position = 0
        var key = ""
        while position < line.count {
            let character = line[position]
            if character == "=" || character == ":" || character.isBlank { break }
            key.append(try unescaped(line, &position, number))
        }
        while position < line.count, line[position].isBlank { position += 1 }
        if position < line.count, line[position] == "=" || line[position] == ":" { position += 1 }
        while position < line.count, line[position].isBlank { position += 1 }
        var value = ""
        while position < line.count { value.append(try unescaped(line, &position, number)) }
        guard !key.isEmpty else {
            throw PropertiesError(line: number, message: "a value without a key")
        }
        // Java keeps blanks at the end; Kafka trims them when it parses a value.
        while let last = value.last, last.isBlank { value.removeLast() }
        return Entry(key: key, value: value, line: number)
    }

    private static func unescaped(
        _ line: [Character], _ position: inout Int, _ number: Int
    ) throws(PropertiesError) -> Character {
        let character = line[position]
        position += 1
        guard character == "\\", position < line.count else { return character }
        let escaped = line[position]
        position += 1
        switch escaped {
        case "t": return "\t"
        case "n": return "\n"
        case "r": return "\r"
        case "f": return "\u{0C}"
        case "u":
            let digits = line[position..<min(position + 4, line.count)]
            guard digits.count == 4, let code = UInt32(String(digits), radix: 16),
                let scalar = Unicode.Scalar(code)
            else {
                throw PropertiesError(
                    line: number,
                    message: "\\u must be followed by the four hexadecimal digits of "
                        + "a character")
            }
            position += 4
            return Character(scalar)
        default: return escaped
        }
    }
}

/// What is wrong with a `.properties` file, and where.
package struct PropertiesError: Error, Equatable, CustomStringConvertible {
    package var line: Int
    package var message: String

    package init(line: Int, message: String) {
        self.line = line
        self.message = message
    }

    /// Line 0 is for what is missing.
    package var description: String { line > 0 ? "line \(line): \(message)" : message }
}

extension Character {
    fileprivate var isBlank: Bool { self == " " || self == "\t" || self == "\u{0C}" }
}
