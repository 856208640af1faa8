import Timing

/// A chance in parts per billion: integers, so that a trace is the same on every machine.
package struct Probability: Hashable, Sendable {
    package static let one: UInt32 = 1_000_000_000
    package static let never = Probability(partsPerBillion: 0)
    package static let always = Probability(partsPerBillion: one)

    package let partsPerBillion: UInt32

    package init(partsPerBillion: UInt32) { self.partsPerBillion = min(partsPerBillion, Self.one) }

    /// `20%`, `0.5%`; nil outside 0...100 % or finer than a billionth.
    package init?(_ text: some StringProtocol) {
        guard let value = Quantity.parse(text, units: [("%", 10_000_000)]), value <= Self.one else {
            return nil
        }
        partsPerBillion = UInt32(value)
    }

    /// Draws once whatever the chance is, so that later draws do not depend on it.
    func happens(_ random: inout SplitMix64) -> Bool {
        random.next(below: UInt64(Self.one)) < UInt64(partsPerBillion)
    }
}

extension Probability: CustomStringConvertible {
    package var description: String {
        Quantity.decimal(UInt64(partsPerBillion), scale: 10_000_000) + "%"
    }
}

/// Decimal numbers with a unit, as people write them in scripts.
package enum Quantity {
    static let durationUnits: [(String, UInt64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
        ("us", 1_000), ("ns", 1),
    ]
    static let sizeUnits: [(String, UInt64)] = [
        ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000),
        ("B", 1),
    ]
    static let rateUnits: [(String, UInt64)] = [
        ("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1),
    ]

    /// The longest delay or time a script may name: a day.
    package static let longest = Nanoseconds.seconds(86_400)

    package static func duration(_ text: some StringProtocol) -> Nanoseconds? {
        guard let value = parse(text, units: durationUnits), value <= UInt64(longest.count) else {
            return nil
        }
        return Nanoseconds(Int64(value))
    }

    package static func size(_ text: some StringProtocol) -> Int? {
        parse(text, units: sizeUnits).flatMap { $0 <= 1 << 40 ? Int($0) : nil }
    }

    /// 1 kbit/s to 1 Tbit/s: slower, and one packet would hold its link for minutes.
    package static func bitsPerSecond(_ text: some StringProtocol) -> UInt64? {
        parse(text, units: rateUnits).flatMap {
            (1_000...1_000_000_000_000).contains($0) ? $0 : nil
        }
    }

    /// `DIGITS[.DIGITS]UNIT` in the base unit; nil if malformed, too large, or too fine to be
    /// exact. At most 15 digits in all.
    static func parse(_ text: some StringProtocol, units: [(String, UInt64)]) -> UInt64? {
        var mantissa: UInt64 = 0
        var divisor: UInt64 = 1
        var digits = 0
        var seenPoint = false
        var rest = Substring(text)
        while let c = rest.utf8.first {
            if c == UInt8(ascii: "."), !seenPoint, digits > 0 {
                seenPoint = true
            } else if 48...57 ~= c {
                digits += 1
                guard digits <= 15 else { return nil }
                mantissa = mantissa * 10 + UInt64(c - 48)
                if seenPoint { divisor *= 10 }
            } else {
                break
            }
            rest = Substring(rest.utf8.dropFirst())
        }
        guard digits > 0, !seenPoint || divisor > 1,
            let scale = units.first(where: { $0.0 == rest })?.1
        else { return nil }
        let (product, overflow) = mantissa.multipliedReportingOverflow(by: scale)
        guard !overflow, product % divisor == 0 else { return nil }
        return product / divisor
    }

    static func text(_ duration: Nanoseconds) -> String {
        let value = UInt64(max(0, duration.count))
        let (unit, scale) =
            durationUnits.first { ["s", "ms", "us"].contains($0.0) && value >= $0.1 }
            ?? ("ns", 1)
        return value == 0 ? "0ms" : decimal(value, scale: scale) + unit
    }

    static func text(bitsPerSecond value: UInt64) -> String {
        let (unit, scale) = rateUnits.first { value >= $0.1 } ?? ("bit", 1)
        return decimal(value, scale: scale) + unit
    }

    static func text(bytes value: Int) -> String {
        let units = [("MB", 1_000_000), ("kB", 1_000)]
        guard let (unit, scale) = units.first(where: { value > 0 && value % $0.1 == 0 }) else {
            return "\(value)B"
        }
        return "\(value / scale)\(unit)"
    }

    /// `value / scale` as an exact decimal; the scale is a power of ten.
    static func decimal(_ value: UInt64, scale: UInt64) -> String {
        var fraction = String(value % scale + scale).dropFirst()
        while fraction.last == "0" { fraction = fraction.dropLast() }
        return fraction.isEmpty ? "\(value / scale)" : "\(value / scale).\(fraction)"
    }
}
