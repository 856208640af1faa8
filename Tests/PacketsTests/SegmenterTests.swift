import Addresses
import Bytes
import Packets
import Testing

@Suite struct SegmenterTests {
    /// Bytes computed with Python. TCP over IPv4: identification and sequence number wrap, CWR
    /// only on the first, FIN and PSH only on the last, ECE, ECN and options on all.
    private let tcpSegments = [
        "45020039ffff0000400666b60a0100020a0200031f90c001fffffffe0102030480d07ffff5510000"
            + "0101080a00000001000000020102030405",
        "4502003900000000400666b60a0100020a0200031f90c001000000030102030480507fffe6c30000"
            + "0101080a0000000100000002060708090a",
        "4502003500010000400666b90a0100020a0200031f90c001000000080102030480597ffff3c90000"
            + "0101080a00000001000000020b",
    ]
    /// UDP over IPv6.
    private let udpSegments = [
        "6b9abcde000c1140fd000001000000000000000000000002fd000002000000000000000000000003"
            + "0035c002000c418f01020304",
        "6b9abcde000c1140fd000001000000000000000000000002fd000002000000000000000000000003"
            + "0035c002000c398705060708",
        "6b9abcde000b1140fd000001000000000000000000000002fd000002000000000000000000000003"
            + "0035c002000b318d090a0b",
    ]

    @Test func tcpBytes() throws {
        var builder = v4
        builder.trafficClass = ECN.capable0
        builder.identification = 0xffff
        builder.dontFragment = false
        var tcp = PacketBuilder.TCP()
        tcp.sequence = 0xffff_fffe
        tcp.acknowledgment = 0x0102_0304
        tcp.flags = 0xd9
        tcp.window = 0x7fff
        tcp.options = Hex.decode("0101080a0000000100000002")!
        let packet = builder.tcp(0x1f90, 0xc001, tcp, Array(1...11))
        let virtio = gso(VirtioNetHeader.GSO.tcpV4 | VirtioNetHeader.GSO.ecnBit, 5)
        #expect(try cut(packet, virtio).map { Hex.encode($0) } == tcpSegments)
    }

    @Test func udpBytes() throws {
        var builder = v6
        builder.trafficClass = 0xb9
        builder.flowLabel = 0xabcde
        let packet = builder.udp(53, 0xc002, Array(1...11))
        let virtio = gso(VirtioNetHeader.GSO.udpL4, 4)
        #expect(try cut(packet, virtio).map { Hex.encode($0) } == udpSegments)
    }

    @Test func noIdentificationsStayNone() throws {
        // RFC 6864: with "don't fragment" the field may be anything, and zero says it is unused.
        let packet = v4.tcp(1, 2, .init(), Array(1...4))
        let all = try cut(packet, gso(VirtioNetHeader.GSO.tcpV4, 1))
        #expect(all.map { Reference.get16($0, 4) } == [0, 0, 0, 0])
        var counting = v4
        counting.dontFragment = false
        let some = try cut(
            counting.tcp(1, 2, .init(), Array(1...4)), gso(VirtioNetHeader.GSO.tcpV4, 1))
        #expect(some.map { Reference.get16($0, 4) } == [0, 1, 2, 3])
    }

    @Test func agreesWithModel() throws {
        var random = SplitMix(20)
        for round in 0..<3_000 {
            var builder = random.chance(50) ? v4 : v6
            builder.trafficClass = UInt8(random.below(256))
            builder.identification = UInt16(random.chance(20) ? 0 : random.below(65_536))
            builder.dontFragment = random.chance(50)
            builder.flowLabel = UInt32(random.below(1 << 20))
            if random.chance(20) { builder.options = random.bytes(4 * random.below(11)) }
            // The largest of all now and then.
            let longest = round % 500 == 0 ? 65_535 - 20 - builder.options.count - 60 : 3_000
            let payload = random.bytes(round % 500 == 0 ? longest : 1 + random.below(longest))
            let least = payload.count / Segmenter.maximumSegments + 1
            let size = min(payload.count, least + random.below(min(payload.count, 1_500)))
            let packet: [UInt8]
            if random.chance(60) {
                var tcp = PacketBuilder.TCP()
                tcp.sequence = UInt32(truncatingIfNeeded: random.next())
                tcp.flags = UInt8(random.below(256))
                tcp.options = random.bytes(4 * random.below(11))
                packet = builder.tcp(1, 2, tcp, payload)
            } else {
                packet = builder.udp(1, 2, payload)
            }
            let segments = try cut(packet, gso(gsoType(of: packet), size))
            #expect(segments == Reference.segment(packet, size: size), "round \(round)")
        }
    }

    @Test func extensionHeadersAreKept() throws {
        // Hop-by-hop and destination options of 8 and 16 bytes in front of TCP.
        let plain = v6.tcp(5, 6, .init(), Array(1...10))
        let options: [UInt8] =
            [60, 0, 1, 4, 0, 0, 0, 0] + [6, 1, 1, 12] + Array(repeating: 0, count: 12)
        func extend(_ packet: [UInt8]) -> [UInt8] {
            var p = Array(packet[..<40]) + options + packet[40...]
            p[6] = 0
            Reference.put16(&p, 4, p.count - 40)
            return p
        }
        let segments = try cut(extend(plain), gso(VirtioNetHeader.GSO.tcpV6, 3))
        #expect(segments == Reference.segment(plain, size: 3).map(extend))
        // A chain that runs out of the packet, and a routing header.
        for change in [(41, 200), (40, 43)] as [(Int, UInt8)] {
            var bad = extend(plain)
            bad[change.0] = change.1
            #expect(throws: PacketProblem.unsupportedSegmentation) {
                try cut(bad, gso(VirtioNetHeader.GSO.tcpV6, 3))
            }
        }
    }

    @Test func partialChecksumIsCompleted() throws {
        for builder in [v4, v6] {
            for (packet, place) in [
                (builder.tcp(1, 2, .init(), [1, 2, 3]), 16), (builder.udp(1, 2, [1, 2, 3]), 6),
            ] {
                let start = Reference.headerLength(packet)
                var partial = packet
                Reference.put16(&partial, start + place, Reference.sum(Reference.pseudo(packet)))
                var virtio = VirtioNetHeader()
                virtio.flags = VirtioNetHeader.Flag.needsChecksum
                virtio.checksumStart = UInt16(start)
                virtio.checksumOffset = UInt16(place)
                #expect(try cut(partial, virtio) == [packet])
                virtio.flags = VirtioNetHeader.Flag.dataValid
                #expect(try cut(packet, virtio) == [packet])
                virtio.flags = VirtioNetHeader.Flag.needsChecksum
                for (first, offset) in [
                    (start - 1, place), (0, 10), (start, packet.count - start - 1),
                    (65_535, 65_535), (packet.count, 0),
                ] {
                    virtio.checksumStart = UInt16(first)
                    virtio.checksumOffset = UInt16(offset)
                    #expect(throws: PacketProblem.badChecksumPlace) { try cut(partial, virtio) }
                }
            }
        }
    }

    @Test func udpChecksumOfZeroIsNeverWritten() throws {
        // A payload that makes the sum come out as zero: it must be sent as ffff (RFC 768).
        let probe = v4.udp(1, 2, [0, 0])
        let rest = Reference.get16(probe, 26)
        let packet = v4.udp(1, 2, [UInt8(rest >> 8), UInt8(rest & 255)])
        #expect(Reference.get16(packet, 26) == 0xffff)
        let big = v4.udp(1, 2, Array(packet[28...]) + [9])
        #expect(try cut(big, gso(VirtioNetHeader.GSO.udpL4, 2))[0] == packet)
        var partial = packet
        Reference.put16(&partial, 26, Reference.sum(Reference.pseudo(packet)))
        var virtio = gso(VirtioNetHeader.GSO.none, 0)
        virtio.checksumStart = 20
        virtio.checksumOffset = 6
        #expect(try cut(partial, virtio) == [packet])
        // A sender that gives none gets none.
        var without = big
        Reference.put16(&without, 26, 0)
        virtio = gso(VirtioNetHeader.GSO.udpL4, 2)
        virtio.flags = 0
        #expect(try cut(without, virtio).map { Reference.get16($0, 26) } == [0, 0])
    }

    @Test func problemsAreNamed() {
        let tcp = v4.tcp(1, 2, .init(), Array(1...100))
        let udp = v6.udp(1, 2, Array(1...100))
        typealias GSO = VirtioNetHeader.GSO
        var fragment = tcp
        fragment[6] = 0x20
        var shortTCP = tcp
        shortTCP[32] = 0x40
        var longTCP = v4.tcp(1, 2, .init(), [1])
        longTCP[32] = 0xf0
        var badLength = tcp
        badLength[0] = 0x44
        let cases: [([UInt8], VirtioNetHeader, PacketProblem)] = [
            (tcp, gso(GSO.tcpV4, 0), .badSegmentSize),
            (tcp, gso(GSO.tcpV4, 101), .badSegmentSize),
            (udp, gso(GSO.udpL4, 0), .badSegmentSize),
            (udp, gso(GSO.udpL4, 65_535), .badSegmentSize),
            (v4.tcp(1, 2, .init()), gso(GSO.tcpV4, 1), .badSegmentSize),
            (tcp, gso(GSO.tcpV6, 10), .unsupportedSegmentation),
            (tcp, gso(GSO.udpL4, 10), .unsupportedSegmentation),
            (udp, gso(GSO.tcpV6, 10), .unsupportedSegmentation),
            (udp, gso(GSO.udp, 10), .unsupportedSegmentation),
            (tcp, gso(77, 10), .unsupportedSegmentation),
            (fragment, gso(GSO.tcpV4, 10), .unsupportedSegmentation),
            (shortTCP, gso(GSO.tcpV4, 10), .badTransportHeader),
            (longTCP, gso(GSO.tcpV4, 10), .badTransportHeader),
            (v4.packet(6, [1, 2, 3]), gso(GSO.tcpV4, 1), .badTransportHeader),
            (v6.packet(17, [1, 2, 3]), gso(GSO.udpL4, 1), .badTransportHeader),
            (tcp, gso(GSO.tcpV4, 1), .tooManySegments),
            (tcp + [0], VirtioNetHeader(), .trailingBytes),
            (tcp.dropLast(), VirtioNetHeader(), .truncated),
            (badLength, VirtioNetHeader(), .badHeaderLength),
            ([0x50] + tcp.dropFirst(), VirtioNetHeader(), .badVersion),
            ([], VirtioNetHeader(), .badVersion),
        ]
        for (packet, virtio, problem) in cases {
            #expect(throws: problem) { try cut(packet, virtio, limit: 99) }
        }
        #expect(throws: Never.self) { try cut(tcp, gso(GSO.tcpV4, 1), limit: 100) }
        #expect(throws: Never.self) { try cut(tcp, gso(GSO.tcpV4, 100)) }
    }

    @Test func everyTruncationIsRefused() {
        for packet in [v4.tcp(1, 2, .init(), [1, 2, 3]), v6.udp(1, 2, [1, 2, 3])] {
            for length in 0..<packet.count {
                #expect(throws: PacketProblem.self) {
                    try cut(Array(packet[..<length]), VirtioNetHeader())
                }
            }
        }
    }

    @Test func paddingIsAllowedWhereAsked() {
        let packet = v4.udp(1, 2, [1, 2, 3])
        (packet + [0, 0, 0]).withUnsafeBytes { bytes in
            let padded = try? IPPacket(bytes, padded: true)
            #expect(padded?.totalLength == packet.count)
            #expect(throws: PacketProblem.trailingBytes) { _ = try IPPacket(bytes) }
        }
        packet.withUnsafeBytes { bytes in
            let ip = try? IPPacket(bytes)
            #expect(ip?.source == v4.source && ip?.destination == v4.destination)
            #expect(ip?.sourceV4 == 0x0a01_0002 && ip?.destinationV4 == 0x0a02_0003)
        }
        v6.udp(1, 2, []).withUnsafeBytes { bytes in
            let ip = try? IPPacket(bytes)
            #expect(ip?.source == v6.source && ip?.destination == v6.destination)
            #expect(ip?.headerLength == 40 && ip?.protocolNumber == 17)
        }
    }

    @Test func virtioHeaderRoundTrip() {
        var header = VirtioNetHeader()
        header.flags = 3
        header.gsoType = 0x84
        header.headerLength = 0x1122
        header.segmentSize = 0x3344
        header.checksumStart = 0x5566
        header.checksumOffset = 0x7788
        var bytes = [UInt8](repeating: 0xee, count: 12)
        bytes.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        #expect(bytes[0...1] == [3, 0x84] && bytes[10...] == [0xee, 0xee])
        #expect(bytes.withUnsafeBytes { VirtioNetHeader($0.baseAddress!) } == header)
    }
}
