import Timing

/// RFC 3339 in UTC with milliseconds, always 24 bytes: `2026-11-23T22:00:00.123Z`.
package enum AuditTime {
    private static let dayMilliseconds: Int64 = 86_400_000
    /// The end of 2261, the last whole year of `WallTime`.
    private static let last: Int64 = 9_214_646_399_999

    static func rounded(_ time: WallTime) -> WallTime {
        let milliseconds = min(max(0, time.nanosecondsSince1970 / 1_000_000), last)
        return WallTime(nanosecondsSince1970: milliseconds * 1_000_000)
    }

    package static func text(_ time: WallTime) -> String {
        let all = rounded(time).nanosecondsSince1970 / 1_000_000
        let (year, month, day) = civil(all / dayMilliseconds)
        let rest = all % dayMilliseconds
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(rest / 3_600_000, 2)):"
            + "\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1000 % 60, 2)).\(pad(rest % 1000, 3))Z"
    }

    /// Nothing but what `text` writes.
    package static func parse(_ text: some Collection<UInt8>) -> WallTime? {
        let bytes = Array(text)
        guard bytes.count == 24 else { return nil }
        func number(_ range: Range<Int>) -> Int64 {
            bytes[range].reduce(0) { $0 * 10 + Int64($1) - 48 }
        }
        let year = number(0..<4)
        guard 1970...2261 ~= year else { return nil }
        let days = days(year, number(5..<7), number(8..<10))
        let clock = number(11..<13) * 3_600_000 + number(14..<16) * 60_000
        let milliseconds =
            days * dayMilliseconds + clock + number(17..<19) * 1000 + number(20..<23)
        guard 0...last ~= milliseconds else { return nil }
        let time = WallTime(nanosecondsSince1970: milliseconds * 1_000_000)
        // Whatever was no digit, no separator or no day of the calendar comes out differently.
        return Array(self.text(time).utf8) == bytes ? time : nil
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    // The proleptic Gregorian calendar in years that begin in March, from 0000-03-01 on: 719,468
    // days before 1970.

    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let z = days + 719_468
        let era = z / 146_097
        let dayOfEra = z % 146_097
        let year =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        return (year + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month > 2 ? month - 3 : month + 9
        let y = month <= 2 ? year - 1 : year
        let yearOfEra = y % 400
        let dayOfYear = (153 * shifted + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return y / 400 * 146_097 + dayOfEra - 719_468
    }
}
