import Addresses
import Timing

// Quantities carry their unit, always: a bare number is where mistakes of a factor of a thousand
// come from.

extension ConfigType where Value == Nanoseconds {
    /// `500ms`, `10s`, `2m`, `1h`.
    package static func duration(_ range: ClosedRange<Nanoseconds>) -> ConfigType {
        let units: [(String, Int64)] = [
            ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ]
        return ConfigType<Int64>.quantity("a duration such as 500ms, 10s or 2m", units)
            .map { Nanoseconds($0) }
            .checked { value in
                range.contains(value)
                    ? nil
                    : "is out of range: \(text(range.lowerBound)) to "
                        + "\(text(range.upperBound)) allowed"
            }
    }

    /// In the largest unit that is exact.
    private static func text(_ value: Nanoseconds) -> String {
        for (unit, name) in [
            (3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"),
            (1_000_000, "ms"), (1_000, "us"),
        ] as [(Int64, String)] where value.count % unit == 0 && value.count != 0 {
            return "\(value.count / unit)\(name)"
        }
        return "\(value.count)ns"
    }
}

extension ConfigType where Value == Int {
    /// `4096B`, `64KiB`, `16MiB`, `1GiB`.
    package static func byteSize(_ range: ClosedRange<Int>) -> ConfigType {
        ConfigType<Int64>.quantity(
            "a size such as 4096B, 64KiB or 16MiB (1 KiB is 1024 bytes)",
            [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        )
        .map { Int($0) }
        .checked { value in
            range.contains(value)
                ? nil : "is out of range: \(range.lowerBound)B to \(range.upperBound)B allowed"
        }
    }
}

extension ConfigType where Value == Int64 {
    static func quantity(_ expected: String, _ units: [(name: String, scale: Int64)]) -> ConfigType
    {
        .parsed(expected) { text in
            let digits = text.utf8.prefix { 48...57 ~= $0 }
            let name = text[digits.endIndex...]
            guard digits.count == 1 || digits.first != 48,
                let count = Int64(text[..<digits.endIndex]),
                let unit = units.first(where: { $0.name == name })
            else { return nil }
            let (value, overflow) = count.multipliedReportingOverflow(by: unit.scale)
            return overflow ? nil : value
        }
    }
}

extension ConfigType where Value == IPAddress {
    package static var address: ConfigType {
        .parsed("an address such as 10.0.0.1 or fd00::1") { IPAddress($0) }
    }
}

extension ConfigType where Value == IPPrefix {
    /// A prefix with its length, and no bits set beyond it.
    package static var prefix: ConfigType {
        ConfigType<(String, IPPrefix)>.parsed("a prefix such as 10.80.0.0/16 or fd00:80::/48") {
            text in
            guard text.utf8.contains(47), let prefix = IPPrefix(text) else { return nil }
            return (text, prefix)
        }
        .checked { text, prefix in
            IPPrefix.hasHostBits(text)
                ? "`\(printable(text))` has bits set beyond /\(prefix.length): write \(prefix)"
                : nil
        }
        .map { $0.1 }
    }
}

extension ConfigType where Value == IPEndpoint {
    package static var endpoint: ConfigType {
        .parsed("an address with a port such as 192.0.2.1:51820 or \"[2001:db8::1]:51820\"") {
            IPEndpoint($0)
        }
    }
}
