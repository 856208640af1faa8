import Bytes
import Noise
import Synchronization

/// Seeded numbers for tests.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// Hands out given bytes in order, then zeros.
final class ScriptedEntropy: Sendable {
    private let left: Mutex<[UInt8]>

    init(_ bytes: [UInt8]) { left = Mutex(bytes) }

    var entropy: Entropy {
        Entropy { buffer in
            self.left.withLock { left in
                for i in buffer.indices { buffer[i] = left.isEmpty ? 0 : left.removeFirst() }
            }
        }
    }
}

func little<T: FixedWidthInteger & UnsignedInteger>(_ bytes: [UInt8]) -> T {
    bytes.reversed().reduce(0) { $0 << 8 | T($1) }
}

func withBytes<R>(
    _ a: [UInt8], _ b: [UInt8],
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> R
) -> R {
    a.withUnsafeBytes { a in b.withUnsafeBytes { b in body(a, b) } }
}

func keyBytes(_ key: TransportKey, _ owner: TransportKeys) -> [UInt8] {
    withExtendedLifetime(owner) { Array(UnsafeRawBufferPointer(start: key.bytes, count: 32)) }
}

/// A whole transport message around `payload`.
func seal(
    _ keys: TransportKeys, receiverIndex: UInt32, counter: UInt64, _ payload: [UInt8]
) -> [UInt8] {
    var message = [UInt8](repeating: 0, count: payload.count + TransportMessage.overhead)
    withExtendedLifetime(keys) {
        message.withUnsafeMutableBytes { buffer in
            let base = buffer.baseAddress!
            TransportMessage.writeHeader(at: base, receiverIndex: receiverIndex, counter: counter)
            for i in payload.indices { buffer[TransportMessage.payload + i] = payload[i] }
            TransportCipher().seal(
                keys.sendKey, counter: counter, plaintext: base + TransportMessage.payload,
                count: payload.count, into: base + TransportMessage.payload)
        }
    }
    return message
}

/// The payload of a whole transport message, opened in place.
func open(_ keys: TransportKeys, _ message: [UInt8]) -> [UInt8]? {
    var message = message
    let isAuthentic = withExtendedLifetime(keys) {
        message.withUnsafeMutableBytes { buffer in
            let base = buffer.baseAddress!
            let header = TransportMessage.readHeader(at: base)
            return TransportCipher().open(
                keys.receiveKey, counter: header.counter,
                ciphertext: base + TransportMessage.payload,
                count: buffer.count - TransportMessage.payload,
                into: base + TransportMessage.payload)
        }
    }
    guard isAuthentic else { return nil }
    return Array(message[TransportMessage.payload..<(message.count - ChaChaPoly.tagSize)])
}
