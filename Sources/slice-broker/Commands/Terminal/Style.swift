/// Colours, or none. They only repeat what the words say.
package struct Style: Sendable {
    package enum Tint: String, Sendable {
        case plain = ""
        // ECMA-48 section 8.3.117.
        case strong = "1"
        case dim = "2"
        case bad = "31"
        case good = "32"
        case warning = "33"
    }

    package var hasColour: Bool

    package static let plain = Style(hasColour: false)

    package init(hasColour: Bool) { self.hasColour = hasColour }

    package func paint(_ text: String, _ tint: Tint) -> String {
        guard hasColour, tint != .plain, !text.isEmpty else { return text }
        return "\u{1b}[\(tint.rawValue)m\(text)\u{1b}[0m"
    }
}
