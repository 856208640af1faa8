/// Times as people write them, in milliseconds since 1970.
package enum TimeText {
    /// `2026-11-23T22:00:00.123Z`; what is no time becomes `-`.
    package static func text(_ milliseconds: Int64) -> String {
        guard (0...253_402_300_799_999).contains(milliseconds) else { return "-" }
        let (days, rest) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        let (year, month, day) = date(days: days)
        let seconds = rest / 1000
        return digits(year, 4) + "-" + digits(month, 2) + "-" + digits(day, 2) + "T"
            + digits(seconds / 3600, 2) + ":" + digits(seconds / 60 % 60, 2) + ":"
            + digits(seconds % 60, 2) + "." + digits(rest % 1000, 3) + "Z"
    }

    private static func digits(_ value: Int64, _ count: Int) -> String {
        let text = "\(value)"
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }

    /// `2026-11-23`, `2026-11-23T22:00`, with seconds and their fraction, with `Z` or `+01:00`;
    /// without a zone it is UTC (RFC 3339, with fewer parts than it wants).
    package static func parse(_ text: String) -> Int64? {
        let parts = text.split(separator: "T", maxSplits: 1, omittingEmptySubsequences: false)
        let date = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard date.count == 3, let year = number(date[0], 4), let month = number(date[1], 2),
            let day = number(date[2], 2), year >= 1970, (1...12).contains(month), day >= 1,
            day <= length(of: month, year)
        else { return nil }
        let start = days(year, month, day) * 86_400_000
        guard parts.count == 2 else { return start }
        guard let (clock, zone) = zone(parts[1]), let time = time(clock) else { return nil }
        let result = start + time - zone
        return result >= 0 ? result : nil
    }

    private static func zone(_ text: Substring) -> (Substring, Int64)? {
        if text.hasSuffix("Z") { return (text.dropLast(), 0) }
        guard let sign = text.lastIndex(where: { "+-".contains($0) }) else { return (text, 0) }
        let parts = text[text.index(after: sign)...]
            .split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let hours = number(parts[0], 2), let minutes = number(parts[1], 2),
            hours < 24, minutes < 60
        else { return nil }
        let offset = (hours * 60 + minutes) * 60_000
        return (text[..<sign], text[sign] == "-" ? -offset : offset)
    }

    private static func time(_ text: Substring) -> Int64? {
        var fraction: Int64 = 0
        let halves = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), let hours = number(parts[0], 2),
            let minutes = number(parts[1], 2), hours < 24, minutes < 60,
            let seconds = parts.count == 3 ? number(parts[2], 2) : 0, seconds < 60
        else { return nil }
        if halves.count == 2 {
            guard parts.count == 3, (1...9).contains(halves[1].utf8.count),
                number(halves[1], halves[1].utf8.count) != nil
            else { return nil }
            let three = (halves[1] + "00").prefix(3)
            fraction = Int64(three) ?? 0
        }
        return ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction
    }

    private static func number(_ text: Substring, _ count: Int) -> Int64? {
        guard text.utf8.count == count,
            text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return Int64(text)
    }

    // MARK: The calendar, in days since 1970

    private static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    private static func length(of month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days before a year that is 1970 or later.
    private static func days(before year: Int64) -> Int64 {
        let leaps = { (year: Int64) in year / 4 - year / 100 + year / 400 }
        return (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        var days = days(before: year)
        for before in 1..<month { days += length(of: before, year) }
        return days + day - 1
    }

    private static func date(days: Int64) -> (Int64, Int64, Int64) {
        var year = 1970 + days / 366
        while self.days(before: year + 1) <= days { year += 1 }
        var rest = days - self.days(before: year)
        var month: Int64 = 1
        while rest >= length(of: month, year) {
            rest -= length(of: month, year)
            month += 1
        }
        return (year, month, rest + 1)
    }
}
