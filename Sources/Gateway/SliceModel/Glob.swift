/// A pattern for names and label values: `*` stands for any run of characters, also none.
/// Everything else stands for itself.
package struct Glob: Hashable, Comparable, Sendable, CustomStringConvertible {
    package static let rule =
        "must be 1 to 63 lower-case letters, digits, dashes, dots, underscores and asterisks"

    package let text: String

    package init?(_ text: String) {
        guard (1...63).contains(text.utf8.count),
            text.utf8.allSatisfy({
                97...122 ~= $0 || 48...57 ~= $0 || $0 == 45 || $0 == 46 || $0 == 95 || $0 == 42
            })
        else { return nil }
        self.text = text
    }

    package var description: String { text }

    package var isEverything: Bool { text.utf8.allSatisfy { $0 == 42 } }

    package static func < (a: Self, b: Self) -> Bool {
        a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
    }

    /// Linear in the product of the lengths at worst, both of which are bounded.
    package func matches(_ value: String) -> Bool {
        let pattern = Array(text.utf8)
        let value = Array(value.utf8)
        var (at, place) = (0, 0)
        // Where the last asterisk was, and what it has taken so far.
        var retry: (pattern: Int, value: Int)?
        while place < value.count {
            if at < pattern.count, pattern[at] == 42 {
                retry = (at, place)
                at += 1
            } else if at < pattern.count, pattern[at] == value[place] {
                at += 1
                place += 1
            } else if let back = retry {
                retry = (back.pattern, back.value + 1)
                at = back.pattern + 1
                place = back.value + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == 42 }
    }
}
