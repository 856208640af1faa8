import SimulatedWorld
import SliceDirectory
import Testing

/// What the fuzz targets do, for a while in every run: messages in any order on either stream,
/// some with a bit turned. `DirectoryFuzz` traps where a limit or a rule is broken.
@Suite struct NonsenseTests {
    @Test func aPeerMaySayAnything() throws {
        let messages = try Sample.messages()
        var random = SeededRandom(seed: 11)
        for _ in 0..<400 {
            var steps: [(operation: UInt8, bytes: [UInt8])] = [(5, [1]), (4, [])]
            for _ in 0..<24 {
                var bytes = random.pick(messages).frame
                if random.chance(perMille: 100) {
                    bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
                }
                steps.append((UInt8(random.below(8)), bytes))
            }
            DirectoryFuzz.node(steps)
        }
    }

    @Test func streamsMayBeDamagedAnywhere() throws {
        let stream = try Sample.messages().flatMap(\.frame)
        var random = SeededRandom(seed: 12)
        for _ in 0..<400 {
            var bytes = stream
            for _ in 0..<random.below(3) {
                bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            }
            bytes.removeLast(random.below(40))
            bytes.withUnsafeBytes { DirectoryFuzz.frames($0) }
        }
    }
}
