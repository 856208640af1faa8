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
        let date = CivilTime(secondsSince1970: all / 1000)
        return "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))"
            + "T\(pad(date.hour, 2)):\(pad(date.minute, 2)):\(pad(date.second, 2))"
            + ".\(pad(all % 1000, 3))Z"
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
        let days = CivilTime.daysSince1970(
            year: year, month: number(5..<7), day: number(8..<10))
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
}
