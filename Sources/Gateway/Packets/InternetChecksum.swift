import Bytes

/// The Internet checksum (RFC 1071), its incremental update (RFC 1624) and pseudo headers.
///
/// Sums are kept unfolded, in memory order: RFC 1071 section 2(B) lets us add 16-bit words as
/// the CPU loads them, as long as the folded result is stored as the CPU stores it. Because
/// 2^16 = 1 modulo 65,535, words of 32 bits may be added as they are.
package enum InternetChecksum {
    /// The unfolded sum of `count` bytes. `initial` is another such sum; the bytes before these
    /// must have been an even number.
    @inline(__always)
    package static func sum(
        _ base: UnsafeRawPointer, count: Int, adding initial: UInt64 = 0
    ) -> UInt64 {
        // Four lanes of 64 bits hold sums of 32-bit halves: no carry is lost in 2^32 rounds.
        typealias Lanes = SIMD4<UInt64>
        let mask = Lanes(repeating: 0xffff_ffff)
        var offset = 0
        var total = initial
        if count >= 64 {
            var low = Lanes()
            var high = Lanes()
            var low2 = Lanes()
            var high2 = Lanes()
            while offset &+ 64 <= count {
                let a = (base + offset).loadUnaligned(as: Lanes.self)
                let b = (base + offset + 32).loadUnaligned(as: Lanes.self)
                low &+= a & mask
                high &+= a &>> 32
                low2 &+= b & mask
                high2 &+= b &>> 32
                offset &+= 64
            }
            low &+= low2
            high &+= high2
            low &+= high
            total = shorten(total) &+ shorten(low.wrappedSum())
        }
        return total &+ tail(base + offset, count: count &- offset)
    }

    /// Copies `count` bytes and returns their unfolded sum, touching each byte once.
    package static func copyAndSum(
        to target: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int,
        adding initial: UInt64 = 0
    ) -> UInt64 {
        typealias Lanes = SIMD4<UInt64>
        let mask = Lanes(repeating: 0xffff_ffff)
        var offset = 0
        var low = Lanes()
        var high = Lanes()
        while offset &+ 32 <= count {
            let a = (source + offset).loadUnaligned(as: Lanes.self)
            (target + offset).storeBytes(of: a, as: Lanes.self)
            low &+= a & mask
            high &+= a &>> 32
            offset &+= 32
        }
        low &+= high
        let rest = count &- offset
        let total =
            shorten(initial) &+ shorten(low.wrappedSum()) &+ tail(source + offset, count: rest)
        (target + offset).copyMemory(from: source + offset, byteCount: rest)
        return total
    }

    /// The last, short part of a sum: 8, 4, 2, 1 bytes at a time.
    @inline(__always)
    private static func tail(_ base: UnsafeRawPointer, count: Int) -> UInt64 {
        var total: UInt64 = 0
        var offset = 0
        while offset &+ 8 <= count {
            let word = (base + offset).loadUnaligned(as: UInt64.self)
            total &+= (word & 0xffff_ffff) &+ (word >> 32)
            offset &+= 8
        }
        if count & 4 != 0 {
            total &+= UInt64((base + offset).loadUnaligned(as: UInt32.self))
            offset &+= 4
        }
        if count & 2 != 0 {
            total &+= UInt64((base + offset).loadUnaligned(as: UInt16.self))
            offset &+= 2
        }
        if count & 1 != 0 {
            // An odd last byte is the first byte of a word padded with zero.
            total &+= UInt64(UInt16(littleEndian: UInt16((base + offset).load(as: UInt8.self))))
        }
        return total
    }

    /// The same sum in at most 33 bits, so that many of them can be added.
    @inline(__always)
    static func shorten(_ sum: UInt64) -> UInt64 { (sum & 0xffff_ffff) &+ (sum >> 32) }

    /// The sum as one 16-bit word in memory order, not complemented.
    @inline(__always)
    package static func fold(_ sum: UInt64) -> UInt16 {
        var s = shorten(shorten(sum))
        s = (s & 0xffff) &+ (s >> 16)
        s = (s & 0xffff) &+ (s >> 16)
        s = (s & 0xffff) &+ (s >> 16)
        return UInt16(truncatingIfNeeded: s)
    }

    /// What a 16-bit number in the packet adds to a sum.
    @inline(__always)
    package static func word(_ value: UInt16) -> UInt64 { UInt64(value.bigEndian) }

    /// What a 32-bit number in the packet adds to a sum.
    @inline(__always)
    package static func word(_ value: UInt32) -> UInt64 { UInt64(value.bigEndian) }

    /// The pseudo header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6), without
    /// the length. `header` points at the IP header.
    @inline(__always)
    static func pseudoHeader(
        _ header: UnsafeRawPointer, isIPv4: Bool, protocolNumber: UInt8
    ) -> UInt64 {
        isIPv4
            ? tail(header + 12, count: 8) &+ word(UInt16(protocolNumber))
            : tail(header + 8, count: 32) &+ word(UInt16(protocolNumber))
    }

    /// The pseudo header with the length of the transport header and payload.
    @inline(__always)
    package static func pseudoHeader(
        _ header: UnsafeRawPointer, isIPv4: Bool, protocolNumber: UInt8, length: Int
    ) -> UInt64 {
        pseudoHeader(header, isIPv4: isIPv4, protocolNumber: protocolNumber)
            &+ word(UInt32(truncatingIfNeeded: length))
    }

    /// A checksum after one 16-bit word under it changed (RFC 1624 equation 3). All three in the
    /// same byte order. A wrong checksum stays as wrong as it was.
    @inline(__always)
    package static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }

    /// Whether the checksum of an IPv4 header is the one a sender computes. Of the two
    /// encodings of zero, all ones is one that no sum gives, so it does not count.
    @inline(__always)
    package static func isValidIPv4Header(_ header: UnsafeRawPointer, length: Int) -> Bool {
        fold(sum(header, count: length)) == 0xffff
            && (header + 10).loadUnaligned(as: UInt16.self) != 0xffff
    }
}
