/// Why a text is not JSON, or not JSON that is wanted here.
package struct JSONProblem: Error, Equatable, Sendable, CustomStringConvertible {
    package var line: Int
    package var reason: String

    package var description: String { "line \(line): \(reason)" }
}

/// Reads JSON (RFC 8259) with whole numbers only: nothing that Kafka's tools read has others.
package struct JSONParser {
    private static let depthLimit = 32
    private let bytes: [UInt8]
    private var index = 0

    package static func parse(_ bytes: [UInt8]) throws(JSONProblem) -> JSON {
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value(depth: 0)
        parser.skipBlanks()
        guard parser.index == bytes.count else {
            throw parser.problem("something follows the end of the document")
        }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func problem(_ reason: String) -> JSONProblem {
        JSONProblem(
            line: 1 + bytes.prefix(index).count { $0 == UInt8(ascii: "\n") }, reason: reason)
    }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || (0x09...0x0a).contains(byte) || byte == 0x0d {
            index += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONProblem) -> JSON {
        guard depth < Self.depthLimit else { throw problem("it is nested too deeply") }
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case let byte? where "-0123456789".utf8.contains(byte): return try number()
        default:
            for (word, value) in [
                ("true", JSON.bool(true)), ("false", .bool(false)), ("null", .null),
            ]
            where bytes[index...].starts(with: word.utf8) {
                index += word.utf8.count
                return value
            }
            throw problem(next == nil ? "it ends early" : "a value is expected")
        }
    }

    private mutating func object(_ depth: Int) throws(JSONProblem) -> JSON {
        index += 1
        var members: [JSON.Member] = []
        var names: Set<String> = []
        skipBlanks()
        if take("}") { return .object(members) }
        repeat {
            skipBlanks()
            let name = try string()
            guard names.insert(name).inserted else {
                throw problem("\"\(name)\" is there twice")
            }
            skipBlanks()
            guard take(":") else { throw problem("a colon is expected") }
            members.append(JSON.Member(name: name, value: try value(depth: depth + 1)))
            skipBlanks()
        } while take(",")
        guard take("}") else { throw problem("a comma or } is expected") }
        return .object(members)
    }

    private mutating func array(_ depth: Int) throws(JSONProblem) -> JSON {
        index += 1
        var elements: [JSON] = []
        skipBlanks()
        if take("]") { return .array(elements) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipBlanks()
        } while take(",")
        guard take("]") else { throw problem("a comma or ] is expected") }
        return .array(elements)
    }

    private mutating func number() throws(JSONProblem) -> JSON {
        let start = index
        while let byte = next, "+-.eE0123456789".utf8.contains(byte) { index += 1 }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        guard let value = Int64(text), !text.hasPrefix("+") else {
            throw problem("\(text) is not a whole number")
        }
        return .integer(value)
    }

    private mutating func string() throws(JSONProblem) -> String {
        guard take("\"") else { throw problem("a name or text in quotes is expected") }
        var out: [UInt8] = []
        while let byte = next {
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: out, as: UTF8.self) else {
                    throw problem("a text is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): out += try escape()
            case 0..<0x20: throw problem("a control character in a text")
            default: out.append(byte)
            }
        }
        throw problem("a text has no end")
    }

    private mutating func escape() throws(JSONProblem) -> [UInt8] {
        guard let byte = next else { throw problem("a text has no end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "u"): break
        default: throw problem("an unknown escape")
        }
        var code = try hex()
        // Two halves of one scalar above U+FFFF.
        if (0xd800..<0xdc00).contains(code), take("\\"), take("u") {
            let low = try hex()
            guard (0xdc00..<0xe000).contains(low) else { throw problem("half a character") }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw problem("half a character") }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func hex() throws(JSONProblem) -> UInt32 {
        let end = index + 4
        guard end <= bytes.count,
            bytes[index..<end].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let code = UInt32(String(decoding: bytes[index..<end], as: UTF8.self), radix: 16)
        else { throw problem("\\u needs four hexadecimal digits") }
        index = end
        return code
    }
}
