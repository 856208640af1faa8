import KafkaClient
import NIOCore
import Testing

@Suite struct PartitionerTests {
    /// Values that Apache Kafka's own test of its hash expects (UtilsTest, testMurmur2).
    @Test(
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] as [(String, Int32)])
    func murmur2(_ key: String, _ hash: Int32) {
        #expect(Int32(bitPattern: Partitioner.murmur2(ByteBuffer(string: key))) == hash)
    }

    @Test func partitionsAreWithinTheTopic() {
        // The hash of 21 is negative: its sign is dropped.
        let positive = Int(Int32(-973_932_308) & Int32.max)
        #expect(
            Partitioner.partition(ofKey: ByteBuffer(string: "21"), count: 12)
                == Int32(positive % 12))
        for length in 0..<20 {
            let key = ByteBuffer(repeating: 0xfe, count: length)
            #expect((0..<5).contains(Partitioner.partition(ofKey: key, count: 5)))
        }
        #expect(Partitioner.partition(ofKey: ByteBuffer(string: "x"), count: 0) == 0)
    }
}
