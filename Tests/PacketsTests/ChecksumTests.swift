import Addresses
import Bytes
import Packets
import Testing

@Suite struct ChecksumTests {
    private func folded(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes {
            guard let base = $0.baseAddress else { return 0 }
            let sum = InternetChecksum.sum(base, count: $0.count)
            return Int(UInt16(bigEndian: InternetChecksum.fold(sum)))
        }
    }

    @Test func exampleOfRFC1071() {
        // Section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        #expect(folded(Hex.decode("0001f203f4f5f6f7")!) == 0xddf2)
    }

    @Test func everyLengthAndAlignment() {
        var random = SplitMix(1)
        let bytes = random.bytes(700)
        for start in 0..<9 {
            for count in 0...(bytes.count - start) {
                let part = Array(bytes[start..<start + count])
                let expected = Reference.sum(part)
                let found = bytes.withUnsafeBytes {
                    InternetChecksum.sum($0.baseAddress! + start, count: count)
                }
                #expect(Int(UInt16(bigEndian: InternetChecksum.fold(found))) == expected)
            }
        }
    }

    @Test func carriesAreNotLost() {
        #expect(folded(Array(repeating: 0xff, count: 65_535)) == 0xff00)
        #expect(folded(Array(repeating: 0xff, count: 65_534)) == 0xffff)
        #expect(InternetChecksum.fold(.max) == 0xffff)
        #expect(InternetChecksum.fold(0) == 0)
        #expect(InternetChecksum.fold(0xffff_ffff_0000_0001) == 1)
    }

    @Test func sumsAddUp() {
        var random = SplitMix(2)
        for _ in 0..<500 {
            let bytes = random.bytes(2 + random.below(3_000))
            let middle = random.below(bytes.count) & ~1
            let sum = bytes.withUnsafeBytes {
                let first = InternetChecksum.sum($0.baseAddress!, count: middle)
                return InternetChecksum.sum(
                    $0.baseAddress! + middle, count: $0.count - middle, adding: first)
            }
            let found = Int(UInt16(bigEndian: InternetChecksum.fold(sum)))
            #expect(found == Reference.sum(bytes))
        }
    }

    @Test func copyAndSumCopiesAndSums() {
        var random = SplitMix(3)
        for count in 0..<400 {
            let bytes = random.bytes(count + 1)
            var target = [UInt8](repeating: 0x77, count: count + 2)
            let sum = bytes.withUnsafeBytes { source in
                target.withUnsafeMutableBytes {
                    InternetChecksum.copyAndSum(
                        to: $0.baseAddress! + 1, from: source.baseAddress! + 1, count: count)
                }
            }
            #expect(target == [0x77] + bytes[1...] + [0x77])
            let expected = Reference.sum(Array(bytes[1...]))
            #expect(Int(UInt16(bigEndian: InternetChecksum.fold(sum))) == expected)
        }
    }

    @Test func incrementalUpdateIsWhatASenderComputes() {
        var random = SplitMix(4)
        for _ in 0..<2_000 {
            var builder = v4
            builder.trafficClass = UInt8(random.below(256))
            builder.identification = UInt16(random.below(65_536))
            var packet = builder.packet(17, [])
            let (old, new) = (UInt16(Reference.get16(packet, 4)), UInt16(random.below(65_536)))
            let updated = InternetChecksum.updated(
                UInt16(Reference.get16(packet, 10)), from: old, to: new)
            Reference.put16(&packet, 4, Int(new))
            Reference.put16(&packet, 10, 0)
            #expect(Int(updated) == 0xffff - Reference.sum(packet))
        }
        // The example of RFC 1624 section 4: dd2f, 5555 becomes 3285, gives 0000.
        #expect(InternetChecksum.updated(0xdd2f, from: 0x5555, to: 0x3285) == 0)
    }

    @Test func decapsulationFollowsRFC6040() {
        // Figure 4. Rows: inner Not-ECT, ECT(0), ECT(1), CE. Columns: outer, the same.
        let codes: [UInt8] = [0b00, 0b10, 0b01, 0b11]
        let figure: [[UInt8?]] = [
            [0b00, 0b00, 0b00, nil],
            [0b10, 0b10, 0b01, 0b11],
            [0b01, 0b01, 0b01, 0b11],
            [0b11, 0b11, 0b11, 0b11],
        ]
        for (row, inner) in codes.enumerated() {
            for (column, outer) in codes.enumerated() {
                let dscp: UInt8 = 0b1011_1000
                let expected = figure[row][column].map { dscp | $0 }
                #expect(
                    ECN.decapsulate(inner: dscp | inner, outer: 0b0100_0000 | outer) == expected)
                #expect(ECN.encapsulate(dscp | inner) == inner)
                for var builder in [v4, v6] {
                    builder.trafficClass = dscp | inner
                    builder.flowLabel = 0xabcde
                    var packet = builder.udp(1, 2, [3])
                    let before = packet
                    let kept = packet.withUnsafeMutableBytes { ECN.apply(outer: outer, to: $0) }
                    #expect(kept == (expected != nil))
                    builder.trafficClass = expected ?? dscp | inner
                    #expect(packet == (kept ? builder.udp(1, 2, [3]) : before))
                }
            }
        }
    }

    @Test func wrongChecksumStaysWrong() {
        var builder = v4
        builder.trafficClass = ECN.capable0
        var packet = builder.udp(1, 2, [])
        packet[10] ^= 1
        let kept = packet.withUnsafeMutableBytes { ECN.apply(outer: ECN.congestion, to: $0) }
        #expect(kept)
        #expect(packet[1] == ECN.congestion)
        #expect(Reference.sum(Array(packet[..<20])) != 0xffff)
    }

    @Test func builderMakesRightPackets() {
        var random = SplitMix(5)
        for var builder in [v4, v6] {
            builder.trafficClass = 0xa2
            for count in 0..<70 {
                let payload = random.bytes(count)
                var tcp = PacketBuilder.TCP()
                tcp.options = random.bytes(count % 41)
                for packet in [builder.tcp(1, 2, tcp, payload), builder.udp(3, 4, payload)] {
                    #expect(Reference.isWhole(packet))
                    #expect(Reference.fix(packet) == packet)
                }
            }
        }
        // Computed with Python: struct and a sum of 16-bit words.
        let request = v4.echo(identifier: 0x1234, sequence: 7, [0x61, 0x62, 0x63])
        #expect(Hex.encode(request) == echoV4)
        #expect(Hex.encode(v6.echo(identifier: 0x1234, sequence: 7, [0x61, 0x62, 0x63])) == echoV6)
    }

    @Test func echoReplyIsRecognised() {
        for builder in [v4, v6] {
            let good = builder.echo(reply: true, identifier: 5, sequence: 6, [1, 2, 3])
            let reply = good.withUnsafeBytes { EchoReply($0) }
            #expect(reply?.identifier == 5 && reply?.sequence == 6 && reply?.payload == [1, 2, 3])
            #expect(reply?.source == builder.source)
            let request = builder.echo(identifier: 5, sequence: 6)
            #expect(request.withUnsafeBytes { EchoReply($0) } == nil)
            for length in 0..<good.count {
                #expect(Array(good[..<length]).withUnsafeBytes { EchoReply($0) } == nil)
            }
            var bad = good
            bad[good.count - 1] ^= 0x10
            #expect(bad.withUnsafeBytes { EchoReply($0) } == nil)
        }
    }

    private let echoV4 = "4500001f00004000400126d70a0100020a0200030800216212340007616263"
    private let echoV6 =
        "60000000000b3a40fd000001000000000000000000000002fd000002000000000000000000000003"
        + "8000af1212340007616263"
}
