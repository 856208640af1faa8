/// A topic's or directory's id: 16 bytes, written by Kafka in the URL-safe base64 alphabet.
package struct KafkaUUID: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static let zero = KafkaUUID(high: 0, low: 0)
    /// The topic id of `__cluster_metadata` (KIP-595).
    package static let clusterMetadata = KafkaUUID(high: 0, low: 1)
}

extension KafkaUUID: Comparable {
    /// Kafka compares ids as Java compares two signed longs.
    package static func < (left: KafkaUUID, right: KafkaUUID) -> Bool {
        let (leftHigh, rightHigh) = (Int64(bitPattern: left.high), Int64(bitPattern: right.high))
        if leftHigh != rightHigh { return leftHigh < rightHigh }
        return Int64(bitPattern: left.low) < Int64(bitPattern: right.low)
    }
}

extension KafkaUUID: LosslessStringConvertible {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// 128 bits are 21 digits of 6 bits and one whose last 4 bits are zero; no padding.
    package var description: String {
        var digits: [UInt8] = []
        digits.reserveCapacity(22)
        for position in 0..<22 {
            let (start, end) = (position * 6, position * 6 + 6)
            let value =
                end <= 64
                ? high >> UInt64(64 - end)
                : start >= 64
                    ? end <= 128 ? low >> UInt64(128 - end) : low << UInt64(end - 128)
                    : high << UInt64(end - 64) | low >> UInt64(128 - end)
            digits.append(Self.alphabet[Int(value & 63)])
        }
        return String(decoding: digits, as: UTF8.self)
    }

    package init?(_ text: String) {
        let digits = Array(text.utf8)
        guard digits.count == 22 else { return nil }
        self = .zero
        for (position, digit) in digits.enumerated() {
            guard let index = Self.alphabet.firstIndex(of: digit) else { return nil }
            if position == 21 {
                guard index & 15 == 0 else { return nil }
                high = high << 2 | low >> 62
                low = low << 2 | UInt64(index) >> 4
            } else {
                high = high << 6 | low >> 58
                low = low << 6 | UInt64(index)
            }
        }
    }
}
