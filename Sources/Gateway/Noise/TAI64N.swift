import Bytes
import Timing

/// The timestamp of an initiation: 8 bytes of TAI seconds and 4 of nanoseconds, big endian
/// (WireGuard paper 5.4.2). A responder takes only ones greater than the last it saw.
package struct TAI64N: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The TAI64 label: 2^62 is 1970-01-01 00:00:00 TAI.
    package var label: UInt64
    package var nanoseconds: UInt32

    package static let size = 12

    /// TAI was ten seconds ahead of UTC in 1970. Implementations add just that and ignore leap
    /// seconds: only the order counts.
    private static let epoch: UInt64 = 0x4000_0000_0000_000A

    /// The low 24 bits of the nanoseconds (about 16.8 ms) are cleared, as other implementations
    /// do, so that the clock's fine detail does not leave the host. It also bounds the rate of
    /// initiations that a responder will take from one peer.
    private static let whitening: UInt32 = (1 << 24) - 1

    package init(label: UInt64, nanoseconds: UInt32) {
        self.label = label
        self.nanoseconds = nanoseconds
    }

    package init(_ time: WallTime) {
        var (seconds, rest) = time.nanosecondsSince1970
            .quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest < 0 {
            seconds -= 1
            rest += 1_000_000_000
        }
        label = Self.epoch &+ UInt64(bitPattern: seconds)
        nanoseconds = UInt32(truncatingIfNeeded: rest) & ~Self.whitening
    }

    /// Reads 12 bytes at `pointer`. Whatever a peer wrote is taken: it is only compared.
    package init(at pointer: UnsafeRawPointer) {
        label = pointer.loadBig(0, as: UInt64.self)
        nanoseconds = pointer.loadBig(8, as: UInt32.self)
    }

    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        let value = bytes.withUnsafeBytes { $0.baseAddress.map { TAI64N(at: $0) } }
        guard let value else { return nil }
        self = value
    }

    package func store(to pointer: UnsafeMutableRawPointer) {
        pointer.storeBig(label, 0)
        pointer.storeBig(nanoseconds, 8)
    }

    package var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { store(to: base) } }
        return bytes
    }

    /// The same order as that of the 12 bytes.
    package static func < (a: Self, b: Self) -> Bool {
        (a.label, a.nanoseconds) < (b.label, b.nanoseconds)
    }
}
