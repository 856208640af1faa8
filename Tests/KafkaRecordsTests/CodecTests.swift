import KafkaRecords
import NIOCore
import Testing

@Suite struct CodecTests {
    static let codecs: [Compression] = [.gzip, .snappy, .lz4, .zstd]
    static let plain = text(String(repeating: "a slice is a network of its own; ", count: 9))

    private func compressed(
        _ codec: Compression, _ bytes: ByteBuffer, level: Int? = nil
    ) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        try codec.compress(bytes, level: level, into: &buffer)
        return buffer
    }

    /// What other programs made of `plain`: Python 3.11's gzip, python-snappy 0.7.3 (bare, and in
    /// kafka-python 3.0.12's `snappy_encode`), lz4 4.4.5 and zstandard 0.25.0.
    static let foreign: [(Compression, String, String)] = [
        (
            .gzip, "gzip.compress(plain)",
            """
            1f8b08000000000002034b5428cec94c4e55c82c564854c84b2d29cf2fca56c84f53c82c2956c82f
            cfb3068a8e2a002900004bf6e37529010000
            """
        ),
        (
            .gzip, "two members",
            """
            1f8b08000000000002034b5428cec94c4e55c82c564854c84b2d29cf2fca56c84f53c82c2956c82f
            cfb3068a52ac000040d3235f640000001f8b08000000000004035328cec94c4e55c82c564854c84b
            2d29cf2fca56c84f53c82c2956c82fcfb3068a0e010500c5ad4dfcc5000000
            """
        ),
        (
            .snappy, "snappy.compress(plain)",
            """
            a902806120736c6963652069732061206e6574776f726b206f6620697473206f776e3b20fe2100fe
            2100fe2100fe21001121
            """
        ),
        (
            .snappy, "snappy_encode(plain, xerial_blocksize=128)",
            """
            82534e415050590000000001000000010000002a8001806120736c6963652069732061206e657477
            6f726b206f6620697473206f776e3b20fe21007a21000000002a800180776e3b206120736c696365
            2069732061206e6574776f726b206f6620697473206ffe21007a21000000002b29a07473206f776e
            3b206120736c6963652069732061206e6574776f726b206f6620697473206f776e3b20
            """
        ),
        (
            .snappy, "snappy_encode(plain[:150]) + snappy_encode(plain[150:])",
            """
            82534e415050590000000001000000010000002a9601806120736c6963652069732061206e657477
            6f726b206f6620697473206f776e3b20fe2100d2210082534e415050590000000001000000010000
            002c930188726b206f6620697473206f776e3b206120736c6963652069732061206e6574776f726b
            fe2100be2100
            """
        ),
        (
            .snappy, "versions with the low byte first",
            """
            82534e4150505900010000000100000000000032a902806120736c6963652069732061206e657477
            6f726b206f6620697473206f776e3b20fe2100fe2100fe2100fe21001121
            """
        ),
        (
            .lz4, "lz4_encode(plain) of kafka-python",
            """
            04224d1868402901000000000000052c000000ff126120736c6963652069732061206e6574776f72
            6b206f6620697473206f776e3b202100f0506f776e3b2000000000
            """
        ),
        (
            .lz4, "block and content checksums, blocks of 64 KiB that are linked",
            """
            04224d187c4029010000000000000b2c000000ff126120736c6963652069732061206e6574776f72
            6b206f6620697473206f776e3b202100f0506f776e3b20a7bbf48800000000e2b2b177
            """
        ),
        (
            .zstd, "ZstdCompressor(level=3).compress(plain)",
            """
            28b52ffd60290055010014026120736c6963652069732061206e6574776f726b206f662069747320
            6f776e3b2001002920aa7a02
            """
        ),
        (
            .zstd, "compressobj(): no content size",
            """
            28b52ffd005855010014026120736c6963652069732061206e6574776f726b206f6620697473206f
            776e3b2001002920aa7a02
            """
        ),
        (
            .zstd, "level 22, compressobj(): a window of 128 MiB",
            """
            28b52ffd00883d01001242070cd03d80a4560b5a2e347064b507ecfc729df2a6d93cf8f8d647eaf6
            1101002920aa7a02
            """
        ),
        (
            .zstd, "two frames",
            """
            28b52ffd20644d010014026120736c6963652069732061206e6574776f726b206f6620697473206f
            776e3b2001000182aa2728b52ffd20c5550100140220736c6963652069732061206e6574776f726b
            206f6620697473206f776e3b2061010009114a3d01
            """
        ),
    ]

    @Test(arguments: foreign)
    func readsWhatOthersWrote(codec: Compression, how: String, hex: String) throws {
        let bytes = shifted(buffer(hex: hex))
        #expect(try codec.decompress(bytes, limit: 297) == Self.plain)
        #expect(try codec.decompress(bytes, limit: Int.max) == Self.plain)
        #expect(
            recordError { _ = try codec.decompress(bytes, limit: 296) }
                == .decompressedTooLarge(codec, limit: 296))
    }

    /// Sizes around those of the codecs' blocks, easy and hard to compress.
    @Test(arguments: Compression.allCases)
    func roundTrips(codec: Compression) throws {
        var random = SplitMix64(seed: 3)
        for size in [0, 1, 2, 100, 32_767, 32_768, 32_769, 65_536, 65_537, 300_000] {
            let hard = ByteBuffer(bytes: random.bytes(size))
            let easy = ByteBuffer(bytes: (0..<size).map { UInt8($0 / 50 % 7) })
            for plain in [hard, easy] {
                let small = try compressed(codec, shifted(plain))
                #expect(try codec.decompress(shifted(small), limit: size) == plain)
                if size > 0 {
                    #expect(
                        recordError { _ = try codec.decompress(small, limit: size - 1) }
                            == .decompressedTooLarge(codec, limit: size - 1))
                }
            }
            if size >= 32_768, codec != .none {
                #expect(try compressed(codec, easy).readableBytes < size / 4)
            }
        }
    }

    @Test func appendsToWhatIsThere() throws {
        for codec in Compression.allCases {
            var buffer = text("before")
            try codec.compress(Self.plain, into: &buffer)
            #expect(buffer.readString(length: 6) == "before")
            #expect(try codec.decompress(buffer, limit: 1000) == Self.plain)
        }
    }

    @Test func levels() throws {
        for codec in Self.codecs {
            guard let levels = codec.levels else { continue }
            for level in [levels.lowerBound, (levels.upperBound + 1) / 2, levels.upperBound] {
                let small = try compressed(codec, Self.plain, level: level)
                #expect(try codec.decompress(small, limit: 1000) == Self.plain)
            }
            for level in [levels.lowerBound - 1, levels.upperBound + 1, Int.max, Int.min] {
                #expect(throws: RecordError.self) {
                    try compressed(codec, Self.plain, level: level)
                }
            }
        }
        #expect(Compression.snappy.levels == nil)
    }

    /// What Kafka's own readers insist on, and what readers of Kafka look for.
    @Test func writtenAsJavaWritesIt() throws {
        let snappy = try compressed(.snappy, Self.plain)
        #expect(
            snappy.getBytes(at: 0, length: 16) == bytes(hex: "82534e4150505900 00000001 00000001"))
        let lz4 = try compressed(.lz4, ByteBuffer(repeating: 1, count: 200_000))
        // Version 1, independent blocks, no checksums, no content size; blocks of 64 KiB.
        #expect(lz4.getBytes(at: 0, length: 6) == bytes(hex: "04224d18 60 40"))
        #expect(try compressed(.gzip, Self.plain).getBytes(at: 0, length: 3) == [0x1f, 0x8b, 8])
        #expect(
            try compressed(.zstd, Self.plain).getBytes(at: 0, length: 4) == bytes(hex: "28b52ffd"))
    }

    // MARK: Hostile bytes

    /// 64 MiB of zeros in a few KiB (snappy: in 3 MiB).
    @Test(arguments: codecs)
    func bombsAreRefused(codec: Compression) throws {
        let bomb = try compressed(codec, ByteBuffer(repeating: 0, count: 64 << 20))
        #expect(bomb.readableBytes < 4 << 20)
        for limit in [0, 1, 4096, 1 << 20, 64 << 20 - 1] {
            #expect(
                recordError { _ = try codec.decompress(bomb, limit: limit) }
                    == .decompressedTooLarge(codec, limit: limit))
        }
        #expect(try codec.decompress(bomb, limit: 64 << 20).readableBytes == 64 << 20)
    }

    @Test func snappyThatLiesAboutItsSize() {
        // A varint of 2^31 - 1 and then nothing, bare and in a chunk.
        let claim = "ffffffff07"
        #expect(
            recordError { _ = try Compression.snappy.decompress(buffer(hex: claim), limit: .max) }
                == .corruptCompression(.snappy, reason: "5 bytes claim to be 2147483647"))
        let chunk = buffer(hex: "82534e4150505900 00000001 00000001 00000005" + claim)
        #expect(
            recordError { _ = try Compression.snappy.decompress(chunk, limit: .max) }
                == .corruptCompression(.snappy, reason: "5 bytes claim to be 2147483647"))
    }

    /// The block is broken: that its size is what is wrong shows that nobody tried to read it.
    @Test func snappyAboveTheLimitIsNotEvenRead() {
        let block = buffer(hex: "64 ffffffffffffffffffff")
        #expect(
            recordError { _ = try Compression.snappy.decompress(block, limit: 99) }
                == .decompressedTooLarge(.snappy, limit: 99))
        guard
            case .corruptCompression(.snappy, _) = recordError({
                _ = try Compression.snappy.decompress(block, limit: 100)
            })
        else {
            Issue.record("accepted")
            return
        }
    }

    @Test func zstdThatLiesAboutItsSize() {
        // A single segment of 2^31 - 1 bytes, and a raw block of none.
        let frame = buffer(hex: "28b52ffd a0 ffffff7f 010000")
        guard
            case .corruptCompression(.zstd, _) = recordError({
                _ = try Compression.zstd.decompress(frame, limit: .max)
            })
        else {
            Issue.record("accepted")
            return
        }
        #expect(
            recordError { _ = try Compression.zstd.decompress(frame, limit: 1000) }
                == .decompressedTooLarge(.zstd, limit: 1000))
    }

    @Test(
        arguments: [
            "82534e4150505900 00000001 00000001 000000",
            "82534e4150505900 00000001 00000001 7fffffff",
            "82534e4150505900 00000001 00000001 ffffffff",
            "82534e4150505900 00000001 00000001 00000000",
            "82534e4150505900 00000001 00000001 82534e41", "",
        ])
    func snappyChunksThatAreNone(hex: String) {
        guard
            case .corruptCompression(.snappy, _) = recordError({
                _ = try Compression.snappy.decompress(buffer(hex: hex), limit: 1000)
            })
        else {
            Issue.record("accepted")
            return
        }
    }

    /// A prefix is refused; of snappy chunks, it may also be fewer whole ones.
    @Test(arguments: foreign)
    func everyPrefixIsRefused(codec: Compression, how: String, hex: String) throws {
        let whole = bytes(hex: hex)
        for count in 0..<whole.count {
            let prefix = ByteBuffer(bytes: whole.prefix(count))
            do {
                let plain = try codec.decompress(prefix, limit: 1000)
                #expect(plain.readableBytes < 297)
                #expect(
                    codec == .snappy || how.hasPrefix("two"), "\(count) bytes of \(how) accepted")
            } catch {
                guard case .corruptCompression(codec, _) = error else {
                    Issue.record("\(count) bytes: \(error)")
                    continue
                }
            }
        }
    }

    @Test(arguments: [Compression.gzip, .lz4, .zstd])
    func garbageBehindTheEndIsRefused(codec: Compression) throws {
        var bytes = try compressed(codec, Self.plain)
        bytes.writeString("garbage")
        guard
            case .corruptCompression(codec, _) = recordError({
                _ = try codec.decompress(bytes, limit: 1000)
            })
        else {
            Issue.record("accepted")
            return
        }
    }

    @Test func namesOfCodecs() {
        for codec in Compression.allCases {
            #expect(Compression(name: codec.description) == codec)
        }
        #expect(Compression(name: "producer") == nil)
    }
}
