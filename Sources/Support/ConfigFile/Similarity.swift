/// Finds the word that someone who mistyped probably meant.
package enum Similarity {
    /// The closest candidate, if it is close: a third of the letters may be wrong, one at least.
    package static func closest(to word: String, among candidates: [String]) -> String? {
        let given = folded(word)
        guard (1...64).contains(given.count) else { return nil }
        var best: (word: String, distance: Int)?
        for candidate in candidates {
            let other = folded(candidate)
            let distance = distance(given, other)
            guard distance <= max(1, max(given.count, other.count) / 3) else { continue }
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.word
    }

    /// Case, dashes and underscores are the commonest slips and count for nothing.
    private static func folded(_ word: String) -> [UInt8] {
        word.utf8.prefix(65).filter { $0 != 45 && $0 != 95 }
            .map { 65...90 ~= $0 ? $0 + 32 : $0 }
    }

    /// Optimal string alignment: insertions, deletions, substitutions, neighbours swapped.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var before: [Int] = []
        var previous = Array(0...b.count)
        for i in a.indices {
            var current = [i + 1]
            for j in b.indices {
                var best = min(
                    previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    best = min(best, before[j - 1] + 1)
                }
                current.append(best)
            }
            before = previous
            previous = current
        }
        return previous[b.count]
    }
}
