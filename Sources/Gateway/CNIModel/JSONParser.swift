/// Why a text is not JSON, and where.
package struct JSONProblem: Error, Equatable, Sendable, CustomStringConvertible {
    package var line: Int
    package var column: Int
    package var what: String

    package var description: String { "line \(line), column \(column): \(what)" }
}

/// Strict JSON (RFC 8259), with limits on size and depth.
package struct JSONParser {
    package static let maximumBytes = 8 << 20
    package static let maximumDepth = 64

    private let bytes: [UInt8]
    private var at = 0
    private var depth = 0

    package static func parse(_ bytes: [UInt8]) throws(JSONProblem) -> JSON {
        guard bytes.count <= maximumBytes else {
            throw JSONProblem(line: 1, column: 1, what: "more than \(maximumBytes) bytes")
        }
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value()
        parser.skipSpace()
        if parser.at < bytes.count { throw parser.problem("something comes after the end") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func problem(_ what: String) -> JSONProblem {
        let before = bytes[..<min(at, bytes.count)]
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return JSONProblem(
            line: before.count { $0 == 0x0a } + 1, column: before.count - lineStart + 1, what: what)
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            at += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        at += 1
        return true
    }

    private mutating func value() throws(JSONProblem) -> JSON {
        skipSpace()
        switch next {
        case nil: throw problem(bytes.isEmpty ? "there is nothing" : "it ends too early")
        case 0x7b: return try nested { parser throws(JSONProblem) in .object(try parser.object()) }
        case 0x5b: return try nested { parser throws(JSONProblem) in .array(try parser.array()) }
        case 0x22: return .string(try string())
        case .some(0x2d), .some(0x30...0x39): return .number(try number())
        default: return try word()
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(JSONProblem) -> JSON
    ) throws(JSONProblem) -> JSON {
        guard depth < Self.maximumDepth else {
            throw problem("more than \(Self.maximumDepth) levels deep")
        }
        depth += 1
        defer { depth -= 1 }
        at += 1
        return try body(&self)
    }

    private mutating func object() throws(JSONProblem) -> JSONObject {
        var members: [JSONObject.Member] = []
        skipSpace()
        if take(0x7d) { return JSONObject() }
        while true {
            skipSpace()
            guard next == 0x22 else { throw problem("a name in double quotes is missing") }
            let key = try string()
            skipSpace()
            guard take(0x3a) else { throw problem("a colon is missing") }
            members.append(JSONObject.Member(key: key, value: try value()))
            skipSpace()
            if take(0x7d) { return JSONObject(members: members) }
            guard take(0x2c) else { throw problem("a comma or } is missing") }
        }
    }

    private mutating func array() throws(JSONProblem) -> [JSON] {
        var items: [JSON] = []
        skipSpace()
        if take(0x5d) { return items }
        while true {
            items.append(try value())
            skipSpace()
            if take(0x5d) { return items }
            guard take(0x2c) else { throw problem("a comma or ] is missing") }
        }
    }

    private mutating func word() throws(JSONProblem) -> JSON {
        for (word, value) in [("true", JSON.bool(true)), ("false", .bool(false)), ("null", .null)]
        where bytes[at...].starts(with: word.utf8) {
            at += word.utf8.count
            return value
        }
        throw problem("this is no JSON value")
    }

    private mutating func number() throws(JSONProblem) -> String {
        let start = at
        _ = take(0x2d)
        if !take(0x30) { try digits() }
        if take(0x2e) { try digits() }
        if take(0x65) || take(0x45) {
            _ = take(0x2b) || take(0x2d)
            try digits()
        }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func digits() throws(JSONProblem) {
        let start = at
        while let byte = next, 0x30...0x39 ~= byte { at += 1 }
        if at == start { throw problem("a digit is missing") }
    }

    private mutating func string() throws(JSONProblem) -> String {
        at += 1
        var out: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case 0x22:
                guard let text = String(validating: out, as: UTF8.self) else {
                    throw problem("a text that is not UTF-8")
                }
                return text
            case 0x5c: out += try escape()
            case 0..<0x20: throw problem("a control character in a text")
            default: out.append(byte)
            }
        }
        throw problem("a text has no end")
    }

    private mutating func escape() throws(JSONProblem) -> [UInt8] {
        guard let byte = next else { throw problem("a text has no end") }
        at += 1
        switch byte {
        case 0x22, 0x5c, 0x2f: return [byte]
        case 0x62: return [0x08]
        case 0x66: return [0x0c]
        case 0x6e: return [0x0a]
        case 0x72: return [0x0d]
        case 0x74: return [0x09]
        case 0x75: return Array(String(Character(try scalar())).utf8)
        default: throw problem("an unknown escape")
        }
    }

    /// Half of a surrogate pair stands for nothing: U+FFFD, as with Go's reader.
    private mutating func scalar() throws(JSONProblem) -> Unicode.Scalar {
        let first = try unit()
        let replacement: Unicode.Scalar = "\u{fffd}"
        guard 0xd800...0xdbff ~= first else { return Unicode.Scalar(first) ?? replacement }
        guard bytes[at...].starts(with: [0x5c, 0x75]) else { return replacement }
        let back = at
        at += 2
        let second = try unit()
        guard 0xdc00...0xdfff ~= second else {
            at = back
            return replacement
        }
        return Unicode.Scalar(0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00))) ?? replacement
    }

    private mutating func unit() throws(JSONProblem) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Self.digit(byte) else {
                throw problem("an escape needs four hexadecimal digits")
            }
            value = value << 4 | digit
            at += 1
        }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte - 0x30)
        case 0x41...0x46: UInt32(byte - 0x37)
        case 0x61...0x66: UInt32(byte - 0x57)
        default: nil
        }
    }
}
