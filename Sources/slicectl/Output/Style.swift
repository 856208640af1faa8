/// Colours, or none. They only repeat what the words say.
package struct Style: Sendable {
    package enum Tint: Sendable {
        case plain, good, warning, bad, dim, strong

        /// ECMA-48 section 8.3.117, the colours of every terminal.
        fileprivate var code: String? {
            switch self {
            case .plain: nil
            case .good: "32"
            case .warning: "33"
            case .bad: "31"
            case .dim: "2"
            case .strong: "1"
            }
        }
    }

    package var hasColour: Bool

    package init(hasColour: Bool) { self.hasColour = hasColour }

    package static let plain = Style(hasColour: false)

    package func paint(_ text: String, _ tint: Tint) -> String {
        guard hasColour, let code = tint.code, !text.isEmpty else { return text }
        return "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }
}
