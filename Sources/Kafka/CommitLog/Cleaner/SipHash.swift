/// SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012, and its reference implementation): the
/// hash of record keys. Its key is secret, so nobody who writes records can make two keys collide.
package struct SipHash {
    private let key: (UInt64, UInt64)

    package struct Value: Hashable {
        package var low: UInt64
        package var high: UInt64
    }

    package init(key low: UInt64, _ high: UInt64) { key = (low, high) }

    private struct State {
        var a: UInt64
        var b: UInt64
        var c: UInt64
        var d: UInt64

        @inline(__always)
        mutating func round() {
            a = a &+ b
            b = rotated(b, 13) ^ a
            a = rotated(a, 32)
            c = c &+ d
            d = rotated(d, 16) ^ c
            a = a &+ d
            d = rotated(d, 21) ^ a
            c = c &+ b
            b = rotated(b, 17) ^ c
            c = rotated(c, 32)
        }

        @inline(__always)
        mutating func take(_ word: UInt64) {
            d ^= word
            round()
            round()
            a ^= word
        }

        mutating func finish() -> UInt64 {
            for _ in 0..<4 { round() }
            return a ^ b ^ c ^ d
        }

        @inline(__always)
        private func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 {
            word << count | word >> (64 - count)
        }
    }

    package func hash(_ bytes: UnsafeRawBufferPointer) -> Value {
        var state = State(
            a: 0x736f_6d65_7073_6575 ^ key.0, b: 0x646f_7261_6e64_6f6d ^ key.1 ^ 0xee,
            c: 0x6c79_6765_6e65_7261 ^ key.0, d: 0x7465_6462_7974_6573 ^ key.1)
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            state.take(UInt64(littleEndian: word))
            index += 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        for (place, byte) in bytes[index...].enumerated() {
            last |= UInt64(byte) << UInt64(8 * place)
        }
        state.take(last)
        state.c ^= 0xee
        let low = state.finish()
        state.b ^= 0xdd
        let high = state.finish()
        return Value(low: low, high: high)
    }
}
