/// One parser of bytes from outside, as a fuzzer and the replay of its corpus see it.
package struct FuzzTarget: Sendable {
    package let name: String
    /// The longest input worth trying.
    package let maximumBytes: Int
    /// What a corpus starts from.
    package let seeds: @Sendable () -> [[UInt8]]
    /// How many times a test cuts each input short, and turns a bit of it.
    package let replays: Int
    /// Words that a fuzzer would not guess.
    package let words: [String]
    /// Traps if a law is broken; anything else is fine.
    package let run: @Sendable (UnsafeRawBufferPointer) -> Void

    package init(
        _ name: String, maximumBytes: Int = 4096, replays: Int = 24, words: [String] = [],
        seeds: @escaping @Sendable () -> [[UInt8]] = { [] },
        run: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.name = name
        self.maximumBytes = maximumBytes
        self.seeds = seeds
        self.replays = replays
        self.words = words
        self.run = run
    }

    /// All targets by name, without the canaries.
    package static let all: [FuzzTarget] =
        noise + packets + packetPath + texts + names + [ciphers, audit, netlink, device] + directory
        + kafka

    package static func named(_ name: String) -> FuzzTarget? {
        (all + [canary, cipherCanary]).first { $0.name == name }
    }
}

/// Cuts an input into steps: an operation, an argument, two bytes of length and that many bytes
/// (or what is left).
struct FuzzScript {
    struct Step {
        var operation: UInt8
        var argument: UInt8
        var bytes: UnsafeRawBufferPointer
    }

    private var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    mutating func next() -> Step? {
        guard rest.count >= 4 else { return nil }
        let length = min(Int(rest[2]) << 8 | Int(rest[3]), rest.count - 4)
        let step = Step(
            operation: rest[0], argument: rest[1],
            bytes: UnsafeRawBufferPointer(rebasing: rest[4..<4 + length]))
        rest = UnsafeRawBufferPointer(rebasing: rest[(4 + length)...])
        return step
    }

    /// The bytes of one step, to write seeds with.
    static func step(_ operation: UInt8, _ argument: UInt8 = 0, _ bytes: [UInt8] = []) -> [UInt8] {
        let length = UInt16(truncatingIfNeeded: bytes.count)
        return [operation, argument, UInt8(length >> 8), UInt8(length & 0xff)] + bytes
    }
}
