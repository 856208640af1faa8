/// Quantities as people read them. Deterministic and without a locale: these texts end up in
/// tickets and in tests.
package enum Units {
    /// `0 B`, `999 B`, `1.5 KiB`, `12.3 MiB`, `512 GiB`.
    package static func bytes(_ count: UInt64) -> String {
        guard count >= 1024 else { return "\(count) B" }
        var value = Double(count)
        var unit = 0
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        // 1023.95 would be rounded up to a 1024 that the next unit says better.
        while value >= 1023.95, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(fixed(value, value < 99.95 ? 1 : 0)) \(units[unit])"
    }

    /// `12,345`.
    package static func count(_ count: UInt64) -> String {
        let digits = Array(String(count))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// `1 packet`, `2 packets`.
    package static func count(_ count: UInt64, _ noun: String) -> String {
        "\(self.count(count)) \(noun)\(count == 1 ? "" : "s")"
    }

    /// `0.12 ms`, `1.23 ms`, `12.3 ms`, `123 ms`, `12.3 s`.
    package static func milliseconds(_ value: Double) -> String {
        guard value.isFinite, value >= 0 else { return "?" }
        if value >= 9_999.5 { return "\(fixed(value / 1000, 1)) s" }
        return "\(fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) ms"
    }

    /// `3s`, `2m 5s`, `3h 12m`, `4d 2h`.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "?" }
        // Beyond this it is no measurement, and the conversion below must not trap.
        let whole = UInt64(min(seconds, 1e12))
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return pair(whole / 60, "m", whole % 60, "s")
        case ..<86_400: return pair(whole / 3600, "h", whole % 3600 / 60, "m")
        default: return pair(whole / 86_400, "d", whole % 86_400 / 3600, "h")
        }
    }

    /// `now`, `3s ago`.
    package static func ago(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "?" }
        return seconds < 1 ? "now" : "\(duration(seconds)) ago"
    }

    private static func pair(
        _ large: UInt64, _ largeUnit: String, _ small: UInt64, _ smallUnit: String
    ) -> String {
        small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit) \(small)\(smallUnit)"
    }

    /// A decimal with so many digits after the point, rounded half up.
    package static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite, abs(value) < 1e15, (0...3).contains(decimals) else {
            return "\(value)"
        }
        let scale = [1, 10, 100, 1000][decimals]
        let scaled = UInt64((abs(value) * Double(scale)).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard decimals > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % UInt64(scale))
        let zeros = String(repeating: "0", count: decimals - fraction.utf8.count)
        return "\(sign)\(scaled / UInt64(scale)).\(zeros)\(fraction)"
    }
}
