import KafkaRecords
import NIOCore
import Testing

@Suite struct ChecksumTests {
    /// RFC 3720, appendix B.4, whose checksums are written with the low byte first; the last one is
    /// the check value of the catalogues of CRCs.
    static let published: [([UInt8], UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        ([UInt8](0..<32), 0x46dd_794e),
        ([UInt8]((0..<32).reversed()), 0x113f_db5c),
        (
            bytes(
                hex: """
                    01c00000 00000000 00000000 00000000 14000000 00000400
                    00000014 00000018 28000000 00000000 02000000 00000000
                    """), 0xd996_3a56
        ),
        (Array("123456789".utf8), 0xe306_9283),
    ]

    @Test(arguments: ChecksumWay.allCases)
    func publishedVectors(way: ChecksumWay) {
        for (bytes, expected) in Self.published {
            #expect(bytes.withUnsafeBytes { way.crc32c($0) } == expected)
            #expect(crc32c(ByteBuffer(bytes: bytes)) == expected)
        }
    }

    /// Bit by bit, as the polynomial is written.
    private func step(_ crc: UInt32, _ byte: UInt8) -> UInt32 {
        var crc = crc ^ UInt32(byte)
        for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
        return crc
    }

    /// Longer than two of the longest stretches that are done in three lanes.
    @Test(arguments: ChecksumWay.allCases)
    func everyLengthAtEveryAlignment(way: ChecksumWay) {
        var random = SplitMix64(seed: 1)
        let data = random.bytes(13_000)
        for alignment in 0..<8 {
            var crc = UInt32.max
            var wrong = 0
            data.withUnsafeBytes { all in
                for end in alignment..<all.count {
                    // All the short ones, and of the long ones a share.
                    if end - alignment < 3000 || (end - alignment) % 13 == alignment {
                        let part = UnsafeRawBufferPointer(rebasing: all[alignment..<end])
                        if way.crc32c(part) != ~crc { wrong += 1 }
                    }
                    crc = step(crc, all[end])
                }
            }
            #expect(wrong == 0, "alignment \(alignment)")
        }
    }

    @Test func continuesBehindOtherBytes() {
        var random = SplitMix64(seed: 2)
        let data = random.bytes(7000)
        let whole = crc32c(ByteBuffer(bytes: data))
        for cut in [0, 1, 7, 8, 95, 96, 767, 6144, 6999, 7000] {
            let first = crc32c(ByteBuffer(bytes: data[..<cut]))
            #expect(crc32c(ByteBuffer(bytes: data[cut...]), after: first) == whole)
        }
        #expect(crc32c(UnsafeRawBufferPointer(start: nil, count: 0), after: 5) == 5)
    }
}
