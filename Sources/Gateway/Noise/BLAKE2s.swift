import Bytes

/// BLAKE2s (RFC 7693): incremental, keyed or not, digests of 1 to 32 bytes, no heap.
///
/// The state is two vectors of four words and the rounds work on the four rows of the 4x4
/// matrix at once: a column step, a rotation of the rows, the diagonal step, and back.
package struct BLAKE2s {
    private typealias Row = SIMD4<UInt32>

    package static let blockSize = 64
    package static let maxDigestSize = 32

    private var low: SIMD4<UInt32>
    private var high: SIMD4<UInt32>
    private var block = InlineArray<64, UInt8>(repeating: 0)
    private var filled = 0
    private var total: UInt64 = 0
    package let digestSize: Int

    /// RFC 7693 section 2.6: the square roots of the first primes, as in SHA-256.
    private static let ivLow = SIMD4<UInt32>(0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A)
    private static let ivHigh = SIMD4<UInt32>(0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19)

    package init(digestSize: Int = 32) {
        self.init(keySize: 0, digestSize: digestSize)
    }

    /// A keyed hash: the key, padded with zeros, is the first block (RFC 7693 section 2.9).
    package init(key: UnsafeRawBufferPointer, digestSize: Int = 32) {
        precondition(key.count <= 32, "BLAKE2s keys are at most 32 bytes")
        self.init(keySize: key.count, digestSize: digestSize)
        guard key.count > 0 else { return }
        update(key)
        filled = Self.blockSize
    }

    private init(keySize: Int, digestSize: Int) {
        precondition((1...Self.maxDigestSize).contains(digestSize), "digests are 1 to 32 bytes")
        self.digestSize = digestSize
        low = Self.ivLow
        high = Self.ivHigh
        // Parameter block: digest length, key length, fanout 1, depth 1 (section 2.5).
        low[0] ^= 0x0101_0000 ^ (UInt32(keySize) << 8) ^ UInt32(digestSize)
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        update(base, bytes.count)
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    package mutating func update(_ bytes: Bytes32) {
        bytes.withPointer { update($0, Bytes32.size) }
    }

    /// `count` bytes at `pointer`. The last block stays in the buffer, because only `finish`
    /// knows that it is the last.
    package mutating func update(_ pointer: UnsafeRawPointer, _ count: Int) {
        var pointer = pointer
        var count = count
        while count > 0 {
            if filled == Self.blockSize {
                total &+= UInt64(Self.blockSize)
                compressBlock(isLast: false)
                filled = 0
            }
            let n = min(count, Self.blockSize - filled)
            let offset = filled
            withUnsafeMutableBytes(of: &block) { buffer in
                UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + n)])
                    .copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: n))
            }
            filled += n
            pointer += n
            count -= n
        }
    }

    /// Writes `digestSize` bytes and wipes the state: the value is of no more use.
    package mutating func finish(into digest: UnsafeMutableRawPointer) {
        total &+= UInt64(filled)
        let used = filled
        withUnsafeMutableBytes(of: &block) { buffer in
            for i in used..<Self.blockSize { buffer[i] = 0 }
        }
        compressBlock(isLast: true)
        var words = (low, high)
        withUnsafeMutableBytes(of: &words) { buffer in
            // Words are little endian on the wire; so is every machine Swift runs on here, and
            // the loop keeps it right on one that is not.
            for i in 0..<digestSize {
                let word = i < 16 ? low[i >> 2] : high[(i >> 2) - 4]
                buffer[i] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(i & 3)))
            }
            if let base = buffer.baseAddress {
                digest.copyMemory(from: base, byteCount: digestSize)
                Sodium.wipe(base, buffer.count)
            }
        }
        wipe()
    }

    package mutating func finish() -> [UInt8] {
        let size = digestSize
        return Array(unsafeUninitializedCapacity: size) { buffer, count in
            if let base = buffer.baseAddress { finish(into: UnsafeMutableRawPointer(base)) }
            count = size
        }
    }

    package mutating func finish32() -> Bytes32 {
        precondition(digestSize == Bytes32.size)
        return Bytes32 { finish(into: $0) }
    }

    mutating func wipe() {
        withUnsafeMutableBytes(of: &self) { buffer in
            // `digestSize` is part of self and of no further use either.
            if let base = buffer.baseAddress { Sodium.wipe(base, buffer.count) }
        }
    }

    // MARK: Compression, RFC 7693 section 3.2

    private mutating func compressBlock(isLast: Bool) {
        var matrix = Matrix(
            a: low, b: high, c: Self.ivLow,
            d: Self.ivHigh
                ^ Row(
                    UInt32(truncatingIfNeeded: total), UInt32(truncatingIfNeeded: total >> 32),
                    isLast ? UInt32.max : 0, 0))
        withUnsafeBytes(of: &block) { buffer in
            guard let words = buffer.baseAddress else { return }
            // SIGMA, section 2.7: one hexadecimal digit an index, in the order of the table.
            matrix.round(words, 0x0123_4567_89AB_CDEF)
            matrix.round(words, 0xEA48_9FD6_1C02_B753)
            matrix.round(words, 0xB8C0_52FD_AE36_7194)
            matrix.round(words, 0x7931_DCBE_265A_40F8)
            matrix.round(words, 0x9057_24AF_E1BC_683D)
            matrix.round(words, 0x2C6A_0B83_4D75_FE19)
            matrix.round(words, 0xC51F_ED4A_0763_928B)
            matrix.round(words, 0xDB7E_C139_50F4_862A)
            matrix.round(words, 0x6FE9_B308_C2D7_14A5)
            matrix.round(words, 0xA284_7615_FB9E_3CD0)
        }
        low ^= matrix.a ^ matrix.c
        high ^= matrix.b ^ matrix.d
    }

    private struct Matrix {
        var a: SIMD4<UInt32>
        var b: SIMD4<UInt32>
        var c: SIMD4<UInt32>
        var d: SIMD4<UInt32>

        @inline(__always)
        mutating func round(_ words: UnsafeRawPointer, _ sigma: UInt64) {
            mix(Self.gather(words, sigma, from: 0), Self.gather(words, sigma, from: 1))
            b = Row(b[1], b[2], b[3], b[0])
            c = Row(c[2], c[3], c[0], c[1])
            d = Row(d[3], d[0], d[1], d[2])
            mix(Self.gather(words, sigma, from: 8), Self.gather(words, sigma, from: 9))
            b = Row(b[3], b[0], b[1], b[2])
            c = Row(c[2], c[3], c[0], c[1])
            d = Row(d[1], d[2], d[3], d[0])
        }

        /// The message words of the digits `first`, `first` + 2, + 4 and + 6 of a SIGMA row.
        @inline(__always)
        static func gather(_ words: UnsafeRawPointer, _ sigma: UInt64, from first: Int) -> Row {
            @inline(__always) func word(_ i: Int) -> UInt32 {
                let index = Int(truncatingIfNeeded: (sigma >> UInt64(60 - 4 * i)) & 15)
                return words.loadLittle(4 * index, as: UInt32.self)
            }
            return Row(word(first), word(first + 2), word(first + 4), word(first + 6))
        }

        /// G of section 3.1 on four columns at once.
        @inline(__always)
        mutating func mix(_ x: Row, _ y: Row) {
            a = a &+ b &+ x
            d = Self.rotate(d ^ a, 16)
            c = c &+ d
            b = Self.rotate(b ^ c, 12)
            a = a &+ b &+ y
            d = Self.rotate(d ^ a, 8)
            c = c &+ d
            b = Self.rotate(b ^ c, 7)
        }

        @inline(__always)
        static func rotate(_ row: Row, _ right: UInt32) -> Row {
            (row &>> Row(repeating: right)) | (row &<< Row(repeating: 32 - right))
        }
    }
}
