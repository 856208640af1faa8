// Single values. YAML 1.1 readers, which are most, take `no` for false, `010` for eight, `1_000`
// for a thousand and `1:30` for ninety (yaml.org/type/bool.html, int.html, float.html); 1.2 takes
// them for text, or for ten. So only what every reader takes alike is accepted, and the message
// says how to write it.

extension ConfigType where Value == String {
    /// Text. Plain text that some reader takes for something else must be quoted.
    package static func string(
        _ length: ClosedRange<Int> = 1...1024, allowsControls: Bool = false
    ) -> ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, let isQuoted) = node.content else {
                log.report(node.start, path, "must be text, not \(node.kind)")
                return nil
            }
            if !isQuoted, let other = Ambiguity.reading(of: text) {
                log.report(
                    node.start, path,
                    "`\(printable(text))` could be read as \(other): "
                        + "quote it, \"\(printable(text))\""
                )
                return nil
            }
            let count = text.utf8.count
            guard length.contains(count) else {
                let rule =
                    count < length.lowerBound
                    ? "at least \(length.lowerBound)" : "at most \(length.upperBound)"
                log.report(node.start, path, "has \(count) bytes; \(rule) allowed")
                return nil
            }
            if !allowsControls, text.unicodeScalars.contains(where: { isControl($0) }) {
                log.report(node.start, path, "holds a control character: remove it")
                return nil
            }
            return text
        }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 32 || 127..<160 ~= scalar.value
    }
}

extension ConfigType where Value == Bool {
    package static var bool: ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, let isQuoted) = node.content else {
                log.report(node.start, path, "must be true or false, not \(node.kind)")
                return nil
            }
            switch (text, isQuoted) {
            case ("true", false): return true
            case ("false", false): return false
            case ("true", true), ("false", true):
                log.report(node.start, path, "is quoted: write \(text) without quotes")
            default:
                let hint =
                    switch text.lowercased() {
                    case "yes", "on", "y", "true": ": write true"
                    case "no", "off", "n", "false": ": write false"
                    default: ""
                    }
                log.report(
                    node.start, path,
                    "`\(printable(text))` is not true or false\(hint)")
            }
            return nil
        }
    }
}

extension ConfigType where Value: FixedWidthInteger & Sendable {
    /// A whole number in plain decimal.
    package static func int(_ range: ClosedRange<Value>) -> ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, let isQuoted) = node.content else {
                log.report(node.start, path, "must be a whole number, not \(node.kind)")
                return nil
            }
            let shown = printable(text)
            if isQuoted {
                log.report(
                    node.start, path, "must be a whole number without quotes, not \"\(shown)\"")
                return nil
            }
            let digits = text.utf8.first == 45 ? text.utf8.dropFirst() : text.utf8[...]
            guard !digits.isEmpty, digits.allSatisfy({ 48...57 ~= $0 }) else {
                log.report(
                    node.start, path,
                    "`\(shown)` is not a whole number in decimal digits")
                return nil
            }
            if digits.count > 1, digits.first == 48 {
                log.report(
                    node.start, path,
                    "`\(shown)` begins with 0, which some readers take for octal: remove the 0")
                return nil
            }
            guard text != "-0", let value = Value(text), range.contains(value) else {
                log.report(
                    node.start, path,
                    "\(shown) is out of range: \(range.lowerBound) to \(range.upperBound) allowed")
                return nil
            }
            return value
        }
    }
}

/// What a plain scalar could be taken for, other than text.
enum Ambiguity {
    static func reading(of text: String) -> String? {
        switch text {
        case "", "~", "null", "Null", "NULL": return "nothing"
        case "=", "<<": return "a YAML operator"
        case "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE",
            "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF":
            return "true or false"
        default: break
        }
        guard text.utf8.count <= 128 else { return nil }
        let units = Array(text.utf8)
        if isNumber(units) { return "a number" }
        if isSexagesimal(units) { return "a number in base sixty" }
        if isDate(units) { return "a date" }
        return nil
    }

    private static func isDigit(_ unit: UInt8) -> Bool { 48...57 ~= unit }

    /// Integers in every base either version knows, and floats. Generous on purpose.
    private static func isNumber(_ all: [UInt8]) -> Bool {
        var units = all[...]
        if let sign = units.first, sign == 43 || sign == 45 { units = units.dropFirst() }
        guard let first = units.first else { return false }
        let lower = String(decoding: units, as: UTF8.self).lowercased()
        if lower == ".inf" || lower == ".nan" { return true }
        if lower.hasPrefix("0x") {
            return lower.utf8.count > 2
                && lower.utf8.dropFirst(2).allSatisfy {
                    isDigit($0) || 97...102 ~= $0 || $0 == 95
                }
        }
        if lower.hasPrefix("0b") || lower.hasPrefix("0o") {
            return lower.utf8.count > 2
                && lower.utf8.dropFirst(2).allSatisfy { isDigit($0) || $0 == 95 }
        }
        guard isDigit(first) || first == 46 else { return false }
        var dots = 0
        var digits = 0
        while let unit = units.first, isDigit(unit) || unit == 95 || unit == 46 {
            if unit == 46 { dots += 1 }
            if isDigit(unit) { digits += 1 }
            units = units.dropFirst()
        }
        guard dots <= 1, digits > 0 else { return false }
        guard let e = units.first else { return true }
        guard e == 101 || e == 69 else { return false }
        units = units.dropFirst()
        if let sign = units.first, sign == 43 || sign == 45 { units = units.dropFirst() }
        return !units.isEmpty && units.allSatisfy(isDigit)
    }

    private static func isSexagesimal(_ all: [UInt8]) -> Bool {
        var units = all[...]
        if let sign = units.first, sign == 43 || sign == 45 { units = units.dropFirst() }
        guard let first = units.first, isDigit(first), units.contains(58) else { return false }
        return units.allSatisfy { isDigit($0) || $0 == 58 || $0 == 95 || $0 == 46 }
    }

    /// 2001-12-14 and anything that begins so with a time after it.
    private static func isDate(_ units: [UInt8]) -> Bool {
        guard units.count >= 8, units[0..<4].allSatisfy(isDigit), units[4] == 45 else {
            return false
        }
        return units[4...].allSatisfy {
            isDigit($0) || [45, 58, 46, 43, 84, 116, 90, 122, 32].contains($0)
        }
    }
}

/// A word as YAML that every reader takes for text: quoted only if it must be. For letters,
/// digits and `-_./:`; anything else is quoted too, with quotes and backslashes escaped.
package func plainIfSafe(_ text: String) -> String {
    let isPlain =
        Ambiguity.reading(of: text) == nil
        && text.utf8.allSatisfy {
            48...57 ~= $0 || 65...90 ~= $0 || 97...122 ~= $0 || [45, 46, 47, 58, 95].contains($0)
        }
        && text.utf8.first.map { $0 != 45 && $0 != 58 } ?? false && text.utf8.last != 58
    if isPlain { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": quoted += "\\\""
        case "\\": quoted += "\\\\"
        case _ where scalar.value < 32 || 127..<160 ~= scalar.value:
            let digits = String(scalar.value, radix: 16)
            quoted += "\\x" + (digits.utf8.count == 1 ? "0" : "") + digits
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}
