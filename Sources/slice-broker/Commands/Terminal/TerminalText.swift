/// Text that came from elsewhere, on a terminal.
package enum TerminalText {
    /// It may not steer the terminal: control characters and the marks that turn the direction of
    /// writing become `?`; a tab or line break becomes a space.
    package static func clean(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isBlank = [9, 10, 13].contains(scalar.value)
            out.append(isBlank ? " " : isUnsafe(scalar) ? "?" : scalar)
        }
        return String(out)
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}
