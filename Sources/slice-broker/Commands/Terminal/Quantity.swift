/// Numbers as people read them, without a locale.
package enum Quantity {
    /// `999 B`, `1.5 KiB`, `512 GiB`.
    package static func bytes(_ count: Int64) -> String {
        guard count >= 1024 else { return count < 0 ? "?" : "\(count) B" }
        var value = Double(count)
        var unit = -1
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        // 1023.5 would be rounded up to a 1024 that the next unit says better.
        while value >= 1023.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let tenths = Int((value * 10).rounded())
        return tenths < 1000
            ? "\(tenths / 10).\(tenths % 10) \(units[unit])"
            : "\(Int(value.rounded())) \(units[unit])"
    }

    /// `1 record`, `2 records`.
    package static func count(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// `12ms`, `3s`, `2m 5s`, `4d 2h`.
    package static func duration(milliseconds: Int64) -> String {
        let seconds = milliseconds / 1000
        switch milliseconds {
        case ..<0: return "?"
        case ..<1000: return "\(milliseconds)ms"
        case ..<60_000: return "\(seconds)s"
        case ..<3_600_000: return pair(seconds / 60, "m", seconds % 60, "s")
        case ..<86_400_000: return pair(seconds / 3600, "h", seconds % 3600 / 60, "m")
        default: return pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h")
        }
    }

    private static func pair(
        _ large: Int64, _ largeUnit: String, _ small: Int64, _ smallUnit: String
    ) -> String {
        small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit) \(small)\(smallUnit)"
    }
}
