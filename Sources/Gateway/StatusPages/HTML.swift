/// A piece of a page. What is put into it with `\(...)` is escaped, unless it is such a piece
/// itself: text can become markup only where a literal of ours says so.
struct HTML: Equatable, Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) { self.text = text }

    init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount * 16)
        }

        mutating func appendLiteral(_ literal: String) { text += literal }
        mutating func appendInterpolation(_ text: String) { self.text += HTML.escape(text) }
        mutating func appendInterpolation(_ number: some BinaryInteger) { text += "\(number)" }
        mutating func appendInterpolation(_ html: HTML) { text += html.text }
        mutating func appendInterpolation(_ html: [HTML]) {
            for piece in html { text += piece.text }
        }
    }

    static func += (left: inout HTML, right: HTML) { left.text += right.text }

    /// Fit for an element's content and for an attribute in double quotes (HTML Living Standard
    /// section 13.1). Control characters, and the marks that turn the direction of writing, would
    /// let a name pretend to be another: they become U+FFFD.
    static func escape(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default:
                switch scalar.value {
                case 9, 10, 13: out += " "
                case 0..<0x20, 0x7f..<0xa0, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069:
                    out += "\u{fffd}"
                default: out.unicodeScalars.append(scalar)
                }
            }
        }
        return out
    }
}
