/// A time of day in UTC, in the proleptic Gregorian calendar. It is counted in 400-year cycles of
/// 146,097 days, and in years that begin in March: so the day that comes and goes is their last.
package struct CivilTime: Hashable, Sendable {
    package let year, month, day, hour, minute, second: Int64

    /// 0000-03-01 is so many days before 1970-01-01.
    private static let epoch: Int64 = 719_468

    package init(secondsSince1970: Int64) {
        // Clamped to the years 1 to 9999: a clock beyond them is broken, and the sums stay small.
        let seconds = min(max(secondsSince1970, -62_135_596_800), 253_402_300_799)
        let ofDay = ((seconds % 86_400) + 86_400) % 86_400
        let days = (seconds - ofDay) / 86_400 + Self.epoch
        let cycle = days / 146_097
        let dayOfCycle = days % 146_097
        let yearOfCycle =
            (dayOfCycle - dayOfCycle / 1_460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = cycle * 400 + yearOfCycle + (month <= 2 ? 1 : 0)
        hour = ofDay / 3_600
        minute = ofDay / 60 % 60
        second = ofDay % 60
    }

    /// The way back, for years from 1 to 9999. A month or day that no calendar has gives some other
    /// day's number.
    package static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let fromMarch = month <= 2 ? year - 1 : year
        let yearOfCycle = fromMarch % 400
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + dayOfYear
        return fromMarch / 400 * 146_097 + dayOfCycle - epoch
    }
}
