/// A JSON value as it was written: members in their order, numbers as text, so that what a
/// plugin does not understand comes out of it as it went in.
package enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    /// As RFC 8259 section 6 has it.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    package static func number(_ value: Int) -> JSON { .number("\(value)") }

    package var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    package var integer: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text)
    }

    package var flag: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    package var items: [JSON]? {
        guard case .array(let items) = self else { return nil }
        return items
    }

    package var object: JSONObject? {
        guard case .object(let object) = self else { return nil }
        return object
    }

    /// Of this or of every item of it; nil if one is no string.
    package var texts: [String]? {
        guard let items else { return nil }
        let texts = items.compactMap(\.text)
        return texts.count == items.count ? texts : nil
    }

    /// How it is called in messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

package struct JSONObject: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    package struct Member: Equatable, Sendable {
        package var key: String
        package var value: JSON
    }

    /// Duplicates are kept, and the last one counts, as it does for Go's reader.
    package private(set) var members: [Member] = []

    package init() {}

    package init(dictionaryLiteral elements: (String, JSON)...) {
        members = elements.map { Member(key: $0.0, value: $0.1) }
    }

    package init(members: [Member]) { self.members = members }

    package init(_ texts: [(key: String, value: String)]) {
        members = texts.map { Member(key: $0.key, value: .string($0.value)) }
    }

    package mutating func append(_ key: String, _ value: JSON) {
        members.append(Member(key: key, value: value))
    }

    /// Null is as good as absent.
    package subscript(key: String) -> JSON? {
        get {
            guard let value = members.last(where: { $0.key == key })?.value, value != .null else {
                return nil
            }
            return value
        }
        set {
            guard let newValue else {
                members.removeAll { $0.key == key }
                return
            }
            guard let place = members.lastIndex(where: { $0.key == key }) else {
                members.append(Member(key: key, value: newValue))
                return
            }
            members[place].value = newValue
        }
    }
}

// MARK: Writing

extension JSON {
    /// On one line, without white space.
    package var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .null: out += Array("null".utf8)
        case .bool(let flag): out += Array((flag ? "true" : "false").utf8)
        case .number(let text): out += Array(text.utf8)
        case .string(let text): Self.write(text, to: &out)
        case .array(let items):
            out.append(0x5b)
            for (index, item) in items.enumerated() {
                if index > 0 { out.append(0x2c) }
                item.write(to: &out)
            }
            out.append(0x5d)
        case .object(let object):
            out.append(0x7b)
            for (index, member) in object.members.enumerated() {
                if index > 0 { out.append(0x2c) }
                Self.write(member.key, to: &out)
                out.append(0x3a)
                member.value.write(to: &out)
            }
            out.append(0x7d)
        }
    }

    private static func write(_ text: String, to out: inout [UInt8]) {
        out.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5c: out += [0x5c, byte]
            case 0x0a: out += [0x5c, 0x6e]
            case 0x0d: out += [0x5c, 0x72]
            case 0x09: out += [0x5c, 0x74]
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                out += Array("\\u00\(digits.count == 1 ? "0" : "")\(digits)".utf8)
            default: out.append(byte)
            }
        }
        out.append(0x22)
    }
}
