import Glibc
import Noise
import Synchronization

extension FuzzTarget {
    /// libsodium and IPsec-MB held to each other, as the packet path uses them.
    static let ciphers = FuzzTarget("ciphers", maximumBytes: 512, seeds: { CipherScript.seeds }) {
        CipherScript.run($0)
    }

    /// The same with a bug put in on purpose: at few lengths, one bit of a tag is wrong.
    package static let cipherCanary = cipherCanary(.wrongBit)

    /// What the laws of `ciphers` must not overlook.
    package static func cipherCanary(_ bug: CipherBug) -> FuzzTarget {
        FuzzTarget("cipher-canary", maximumBytes: 512, seeds: { CipherScript.seeds }) {
            CipherScript.run($0, bug)
        }
    }
}

package enum CipherBug: Sendable {
    /// One bit of the tag, where the last block has 49 bytes of 64 and three whole ones go before.
    case wrongBit
    /// A tag whose last byte is not compared.
    case takesForgery
    /// What was refused is left behind.
    case keepsRefused
}

/// Keys, counters and bursts of messages, out of the bytes of an input:
/// 0: a key; 1: a counter; others: a burst of messages under the next counters.
enum CipherScript {
    /// The ciphers and their memory are made once: IPsec-MB's start-up tests all that it has.
    private static let lock = Mutex(())
    nonisolated(unsafe) private static var pair = CipherPair()

    static func run(_ bytes: UnsafeRawBufferPointer, _ bug: CipherBug? = nil) {
        lock.withLock { _ in
            pair.bug = bug
            script(bytes)
        }
    }

    private static func script(_ bytes: UnsafeRawBufferPointer) {
        var script = FuzzScript(bytes)
        var keys = makeKeys(UnsafeRawBufferPointer(start: nil, count: 0), .chaChaPoly)
        var counter: UInt64 = 0
        // Bytes that an input may have sealed: a fuzzer likes many short inputs better.
        var budget = 512 << 10
        while budget > 0, let step = script.next() {
            switch step.operation & 7 {
            case 0:
                let suite = step.argument & 1 == 1 ? TransportSuite.aesGCM : .chaChaPoly
                keys = makeKeys(step.bytes, suite.isAvailable ? suite : .chaChaPoly)
                budget -= 4096
            case 1: counter = step.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
            default:
                let burst = CipherBurst(step)
                withExtendedLifetime(keys) { pair.check(burst, keys.sendKey, counter) }
                counter &+= UInt64(burst.lengths.count)
                budget -= burst.bytes
            }
        }
    }

    private static func makeKeys(
        _ bytes: UnsafeRawBufferPointer, _ suite: TransportSuite
    ) -> TransportKeys {
        var key = [UInt8](repeating: 0, count: 32)
        for (i, byte) in bytes.prefix(32).enumerated() { key[i] = byte }
        guard
            let keys = TransportKeys(
                sendKey: key, receiveKey: key, isInitiator: true, localIndex: 1, remoteIndex: 2,
                suite: suite)
        else { preconditionFailure("a key of 32 bytes is refused") }
        return keys
    }

    /// Batches of the packet path and the edges of blocks, under both suites.
    static let seeds: [[UInt8]] = {
        let key = (0..<32).map { UInt8($0 * 7) }
        let bursts: [(segments: UInt8, lengths: [Int])] = [
            (1, [0]), (1, [1]), (16, [15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257]),
            (45, [1424]), (64, [1008]), (8, [1424, 1424, 1424, 96]), (128, [64]), (1, [65_535]),
            (2, [65_519, 1]), (12, [8912]), (9, [241, 512, 513, 576, 1280]), (3, [0, 32, 0]),
        ]
        var seeds: [[UInt8]] = []
        for suite in [0, 1] as [UInt8] {
            for (i, burst) in bursts.enumerated() {
                let flip = [UInt8(i), UInt8(i * 37 & 0xff), UInt8(i * 91 & 0xff)]
                let lengths = burst.lengths.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
                seeds.append(
                    FuzzScript.step(0, suite, key)
                        + FuzzScript.step(1, 0, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xf8])
                        + FuzzScript.step(
                            UInt8(2 | (i & 3) << 4), burst.segments - 1, flip + lengths))
            }
        }
        return seeds
    }()
}

/// Messages of one batch: three bytes say which bit a forger turns, pairs of bytes the lengths,
/// taken in turn. All of them are also what is in the messages.
struct CipherBurst {
    let lengths: [Int]
    let forgery: Int
    let sealsInPlace: Bool
    let opensInPlace: Bool
    let content: UnsafeRawBufferPointer

    /// Two full groups of a batch.
    private static let mostSegments = 128

    init(_ step: FuzzScript.Step) {
        content = step.bytes
        sealsInPlace = step.operation & 0x10 != 0
        opensInPlace = step.operation & 0x20 == 0
        forgery = step.bytes.prefix(3).reduce(0) { $0 << 8 | Int($1) }
        let given = stride(from: 3, to: max(3, step.bytes.count - 1), by: 2).map {
            Int(step.bytes[$0]) << 8 | Int(step.bytes[$0 + 1])
        }
        let segments = 1 + Int(step.argument) % Self.mostSegments
        var lengths: [Int] = []
        var total = 0
        while lengths.count < segments {
            let length = given.isEmpty ? 0 : given[lengths.count % given.count]
            total += CipherPair.overhead + length
            guard total <= GuardedMemory.capacity else { break }
            lengths.append(length)
        }
        self.lengths = lengths
    }

    var plainBytes: Int { lengths.reduce(0, +) }
    var bytes: Int { plainBytes + lengths.count * CipherPair.overhead }
}

/// Memory whose end is followed by a page that nobody may touch: whoever reads or writes beyond
/// the last byte of it is found, though it be in assembly that no sanitizer sees.
struct GuardedMemory: ~Copyable {
    /// More than two of the longest messages, and than two full groups of a batch.
    static let capacity = 192 << 10
    private let base: UnsafeMutableRawPointer

    init() {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let size = Self.capacity + page
        guard
            let base = mmap(
                nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            base != MAP_FAILED, mprotect(base + Self.capacity, page, PROT_NONE) == 0
        else { preconditionFailure("no memory") }
        self.base = base
    }

    /// The last so many bytes.
    func last(_ count: Int) -> UnsafeMutableRawPointer {
        precondition(count <= Self.capacity)
        return base + (Self.capacity - count)
    }
}
