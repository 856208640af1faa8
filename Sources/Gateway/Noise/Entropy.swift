import CSodium
import Synchronization

/// Where random bytes come from. The room has no randomness of its own: whoever wires it up
/// hands in `.system`, and tests and simulations hand in `.seeded`.
package struct Entropy: Sendable {
    private let source: @Sendable (UnsafeMutableRawBufferPointer) -> Void

    package init(_ source: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void) {
        self.source = source
    }

    package func fill(_ buffer: UnsafeMutableRawBufferPointer) { source(buffer) }

    package func uint32() -> UInt32 {
        var value: UInt32 = 0
        withUnsafeMutableBytes(of: &value) { source($0) }
        return value
    }

    package func uint64() -> UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { source($0) }
        return value
    }

    /// The kernel's generator, through libsodium.
    package static let system = Entropy { buffer in
        Sodium.prepare()
        if let base = buffer.baseAddress { randombytes_buf(base, buffer.count) }
    }

    /// The same bytes for the same seed, in the order of the calls. For tests and simulations.
    package static func seeded(_ seed: UInt64) -> Entropy {
        let state = Mutex(seed)
        return seeded(sharing: SharedState(state))
    }

    private static func seeded(sharing shared: SharedState) -> Entropy {
        Entropy { buffer in
            shared.state.withLock { state in
                for i in buffer.indices {
                    // SplitMix64, one step a byte: slow, plain, and the same everywhere.
                    state &+= 0x9E37_79B9_7F4A_7C15
                    var z = state
                    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
                    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
                    buffer[i] = UInt8(truncatingIfNeeded: z ^ (z >> 31))
                }
            }
        }
    }

    private final class SharedState: Sendable {
        let state: Mutex<UInt64>
        init(_ state: consuming Mutex<UInt64>) { self.state = state }
    }
}
