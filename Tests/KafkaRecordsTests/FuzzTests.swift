import KafkaRecords
import NIOCore
import Testing

@Suite struct FuzzTests {
    private static let seeds =
        [PythonBatch.single, PythonBatch.three].map { bytes(hex: $0) }
        + PythonBatch.compressed.map { bytes(hex: $0.1) }

    private func mutate(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.removeSubrange(index..<min(bytes.count, index + 3))
            case 3: bytes.insert(contentsOf: random.bytes(2), at: index)
            default: bytes[index] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &random) ?? 0
            }
        }
        return bytes
    }

    @Test func batchesTakeAnything() {
        var random = SplitMix64(seed: 11)
        for seed in Self.seeds {
            (seed + seed).withUnsafeBytes { fuzzRecordBatches($0) }
            for _ in 0..<2000 {
                mutate(seed, &random).withUnsafeBytes { fuzzRecordBatches($0) }
            }
        }
        for count in 0..<300 { random.bytes(count).withUnsafeBytes { fuzzRecordBatches($0) } }
    }

    @Test func codecsTakeAnything() {
        var random = SplitMix64(seed: 12)
        for (codec, _, hex) in CodecTests.foreign {
            let seed = [codec.rawValue, 12] + bytes(hex: hex)
            for _ in 0..<300 {
                mutate(seed, &random).withUnsafeBytes { fuzzDecompress($0) }
            }
        }
        for count in 0..<300 { random.bytes(count).withUnsafeBytes { fuzzDecompress($0) } }
    }
}
