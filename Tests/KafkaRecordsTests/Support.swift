import KafkaRecords
import NIOCore

/// The bytes of hexadecimal digits; spaces and line ends between them do not count.
func bytes(hex: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in hex.compactMap(\.hexDigitValue) {
        if let first = high {
            bytes.append(first << 4 | UInt8(digit))
            high = nil
        } else {
            high = UInt8(digit)
        }
    }
    precondition(high == nil, "an odd number of digits")
    return bytes
}

func buffer(hex: String) -> ByteBuffer { ByteBuffer(bytes: bytes(hex: hex)) }

func text(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

/// The readable bytes behind others, so that a confusion of indices shows.
func shifted(_ buffer: ByteBuffer, by count: Int = 7) -> ByteBuffer {
    var result = ByteBuffer()
    result.writeRepeatingByte(0xee, count: count)
    result.moveReaderIndex(to: count)
    result.writeImmutableBuffer(buffer)
    return result
}

struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// The error that the body throws, or nil.
func recordError(_ body: () throws -> Void) -> RecordError? {
    do {
        try body()
        return nil
    } catch {
        return error as? RecordError
    }
}

/// Batches that kafka-python 3.0.12 wrote: `DefaultRecordBatchBuilder(2, codec, isTransactional,
/// producerId, producerEpoch, baseSequence, 1 << 20)`, `append(offset, timestamp, key, value,
/// headers)`, `build()`. Its codecs were Python's zlib, python-snappy 0.7.3, lz4 4.4.5 and
/// zstandard 0.25.0.
enum PythonBatch {
    /// (0, 1700000000123, b"key", b"value", [])
    static let single = """
        0000000000000000 00000040 00000000 02 ce1e8b09 0000 00000000 0000018bcfe5687b
        0000018bcfe5687b ffffffffffffffff ffff ffffffff 00000001
        1c 00 00 00 06 6b6579 0a 76616c7565 00
        """

    /// Transactional, producer 4711, epoch 3, sequence 99:
    /// (0, 1700000000000, None, b"first", [("h1", b"v1"), ("h2", None)])
    /// (1, 1700000000007, b"k2", None, [])
    /// (2, 1699999999990, b"", b"x" * 40, [("é", b"")])
    static let three = """
        0000000000000000 00000083 00000000 02 b2710f09 0010 00000002 0000018bcfe56800
        0000018bcfe56807 0000000000001267 0003 00000063 00000003
        2a 00 00 00 01 0a 6669727374 04 04 6831 04 7631 04 6832 01
        10 00 0e 02 04 6b32 01 00
        64 00 13 04 00 50 7878787878787878787878787878787878787878
        7878787878787878787878787878787878787878
        02 04 c3a9 00
        """

    /// Four times
    /// (i, 1700000000000 + i, b"key-%d" % (i % 2), b"the same value again and again", [])
    static let compressed: [(Compression, String)] = [
        (
            .gzip,
            """
            00000000000000000000007d00000000029545d6d90001000000030000018bcfe568000000018bcf
            e56803ffffffffffffffffffffffffffff000000041f8b0800abe0046b02ff0b626060e0ca4eadd4
            35b029c94855284ecc4d55284bcc294d55484c4fcccc5348cc4b81b01882189898c02a0d09ab6461
            21d64c3636e2cc0400cf8fd96da8000000
            """
        ),
        (
            .snappy,
            """
            00000000000000000000008b000000000258647c050002000000030000018bcfe568000000018bcf
            e56803ffffffffffffffffffffffffffff0000000482534e41505059000000000100000001000000
            46a80188520000000a6b65792d303c7468652073616d652076616c756520616761696e20616e6409
            0a1400520002020a012a0031862a00040404052a8a5400040606052a825400
            """
        ),
        (
            .lz4,
            """
            0000000000000000000000940000000002d62933aa0003000000030000018bcfe568000000018bcf
            e56803ffffffffffffffffffffffffffff0000000404224d186840a800000000000000b74c000000
            f214520000000a6b65792d303c7468652073616d652076616c756520616761696e20616e640a0051
            00520002022a001f312a000f2104042a000f5400102106062a000f540009506761696e0000000000
            """
        ),
        (
            .zstd,
            """
            00000000000000000000007c0000000002f71d41910004000000030000018bcfe568000000018bcf
            e56803ffffffffffffffffffffffffffff0000000428b52ffd20a8150200f402520000000a6b6579
            2d303c7468652073616d652076616c756520616761696e20616e6400520002023104043006063107
            00000b20207006ae065c3475f53a9427
            """
        ),
    ]
}
