/// An IPv4 address (RFC 791).
package struct IPv4Address: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// In host byte order: 10.0.0.1 is 0x0a000001.
    package var value: UInt32

    @inlinable package init(_ value: UInt32) { self.value = value }

    /// Strict dotted decimal: four parts, no leading zeros (they mean octal to some readers).
    package init?(_ text: some StringProtocol) {
        var value: UInt32 = 0
        var parts = 0
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ 48...57 ~= $0 }),
                part == "0" || part.utf8.first != 48, let byte = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(byte)
            parts += 1
            guard parts <= 4 else { return nil }
        }
        guard parts == 4 else { return nil }
        self.value = value
    }

    @inlinable package static func < (a: Self, b: Self) -> Bool { a.value < b.value }
}

extension IPv4Address: CustomStringConvertible {
    package var description: String {
        "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    }
}
