/// An IPv6 address (RFC 4291), without a zone.
package struct IPv6Address: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The first and the last eight bytes, in host byte order.
    package var high: UInt64
    package var low: UInt64

    @inlinable package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The text forms of RFC 4291 section 2.2, dotted-decimal tail included.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 45 else { return nil }
        var head: [UInt16] = []
        var tail: [UInt16] = []
        let halves = Self.splitAtDoubleColon(String(text))
        guard let halves else { return nil }
        guard Self.parseGroups(halves.0, allowDotted: halves.1 == nil, into: &head) else {
            return nil
        }
        if let second = halves.1 {
            guard Self.parseGroups(second, allowDotted: true, into: &tail),
                head.count + tail.count <= 7
            else { return nil }
        } else if head.count != 8 {
            return nil
        }
        let groups = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        high = groups[0..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4..<8].reduce(0) { $0 << 16 | UInt64($1) }
    }

    @inlinable package static func < (a: Self, b: Self) -> Bool {
        (a.high, a.low) < (b.high, b.low)
    }

    /// fe80::/10, meaningful on one link only.
    @inlinable package var isLinkLocal: Bool { high >> 54 == 0xfe80 >> 6 }

    /// ::ffff:a.b.c.d, as a dual-stack socket shows an IPv4 peer.
    @inlinable package var mappedIPv4: IPv4Address? {
        high == 0 && low >> 32 == 0xffff ? IPv4Address(UInt32(truncatingIfNeeded: low)) : nil
    }

    @inlinable package var groups: [UInt16] {
        [high, low].flatMap { half in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> $0) }
        }
    }

    private static func splitAtDoubleColon(_ text: String) -> (Substring, Substring?)? {
        var index = text.startIndex
        while index < text.endIndex {
            let next = text.index(after: index)
            if text[index] == ":", next < text.endIndex, text[next] == ":" {
                let rest = text[text.index(after: next)...]
                if rest.first == ":" || rest.contains("::") { return nil }
                return (text[..<index], rest)
            }
            index = next
        }
        return (text[...], nil)
    }

    private static func parseGroups(
        _ text: Substring, allowDotted: Bool, into groups: inout [UInt16]
    ) -> Bool {
        if text.isEmpty { return true }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return false }
        for (position, part) in parts.enumerated() {
            if allowDotted, position == parts.count - 1, part.contains(".") {
                guard let v4 = IPv4Address(part) else { return false }
                groups.append(UInt16(v4.value >> 16))
                groups.append(UInt16(v4.value & 0xffff))
                continue
            }
            guard (1...4).contains(part.utf8.count),
                part.utf8.allSatisfy({ 48...57 ~= $0 || 65...70 ~= $0 || 97...102 ~= $0 }),
                let group = UInt16(part, radix: 16)
            else { return false }
            groups.append(group)
        }
        return groups.count <= 8
    }
}

extension IPv6Address: CustomStringConvertible {
    /// The canonical form of RFC 5952.
    package var description: String {
        if let v4 = mappedIPv4 { return "::ffff:\(v4)" }
        let groups = self.groups
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start > 1 { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String {
            groups[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return text(0..<8) }
        return text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
    }
}
