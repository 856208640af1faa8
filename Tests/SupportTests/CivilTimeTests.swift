import Testing
import Timing

struct CivilTimeTests {
    @Test(
        arguments: [
            (0, "1970-1-1 0:0:0"), (-1, "1969-12-31 23:59:59"), (951_782_400, "2000-2-29 0:0:0"),
            (951_868_799, "2000-2-29 23:59:59"), (4_107_542_400, "2100-3-1 0:0:0"),
            (4_107_542_399, "2100-2-28 23:59:59"), (1_735_689_599, "2024-12-31 23:59:59"),
            (-62_135_596_800, "1-1-1 0:0:0"), (253_402_300_799, "9999-12-31 23:59:59"),
            (.min, "1-1-1 0:0:0"), (.max, "9999-12-31 23:59:59"),
        ] as [(Int64, String)])
    func knownTimes(_ seconds: Int64, _ text: String) {
        let time = CivilTime(secondsSince1970: seconds)
        let date = "\(time.year)-\(time.month)-\(time.day)"
        #expect("\(date) \(time.hour):\(time.minute):\(time.second)" == text)
    }

    /// Every day of four thousand years follows the one before, and finds its way back.
    @Test func daysFollowEachOther() {
        let lengths: [Int64] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var wrong = 0
        var before = CivilTime(secondsSince1970: -719_162 * 86_400)
        for day in Int64(-719_161)..<(-719_161 + 1_460_970) {
            let time = CivilTime(secondsSince1970: day * 86_400)
            let isLeap = before.year % 4 == 0 && (before.year % 100 != 0 || before.year % 400 == 0)
            let length = lengths[Int(before.month) - 1] + (isLeap && before.month == 2 ? 1 : 0)
            let isNewMonth = before.day == length
            let isNewYear = isNewMonth && before.month == 12
            let isRight =
                time.day == (isNewMonth ? 1 : before.day + 1)
                && time.month == (isNewYear ? 1 : before.month + (isNewMonth ? 1 : 0))
                && time.year == before.year + (isNewYear ? 1 : 0)
                && CivilTime.daysSince1970(year: time.year, month: time.month, day: time.day) == day
            if !isRight { wrong += 1 }
            before = time
        }
        #expect(wrong == 0)
    }
}
