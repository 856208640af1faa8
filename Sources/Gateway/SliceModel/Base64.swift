/// Base64 with padding (RFC 4648 section 4). Strict: one text per value, so that no two texts
/// name the same key.
package enum Base64 {
    private static let digits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var rest = bytes[...]
        while let first = rest.popFirst() {
            let second = rest.popFirst()
            let third = rest.popFirst()
            text.append(digits[Int(first >> 2)])
            text.append(digits[Int((first & 3) << 4 | (second ?? 0) >> 4)])
            text.append(second.map { digits[Int(($0 & 15) << 2 | (third ?? 0) >> 6)] } ?? 61)
            text.append(third.map { digits[Int($0 & 63)] } ?? 61)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil unless `text` is exactly what `encode` makes of some bytes.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let units = Array(text.utf8)
        guard units.count % 4 == 0 else { return nil }
        let padding = units.suffix(2).reversed().prefix { $0 == 61 }.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(units.count / 4 * 3)
        var pending: UInt32 = 0
        var bits = 0
        for unit in units.dropLast(padding) {
            guard let value = value(of: unit) else { return nil }
            pending = pending << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
                pending &= (1 << UInt32(bits)) - 1
            }
        }
        return pending == 0 ? bytes : nil
    }

    private static func value(of unit: UInt8) -> UInt8? {
        switch unit {
        case 65...90: unit - 65
        case 97...122: unit - 71
        case 48...57: unit + 4
        case 43: 62
        case 47: 63
        default: nil
        }
    }
}
