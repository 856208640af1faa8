import Addresses
import Bytes
import Packets
import Testing

@Suite struct CoalescerTests {
    private func tcpSegments(
        _ builder: PacketBuilder, _ count: Int, size: Int = 10, ports: UInt16 = 1
    ) -> [[UInt8]] {
        var tcp = PacketBuilder.TCP()
        tcp.options = Hex.decode("0101080a0000000100000002")!
        var builder = builder
        let step = builder.dontFragment && builder.identification == 0 ? 0 : 1
        return (0..<count).map { i in
            tcp.sequence = UInt32(i * size)
            builder.identification &+= UInt16(i > 0 ? step : 0)
            let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 + i) }
            return builder.tcp(ports, 2, tcp, payload)
        }
    }

    @Test func groupIsDescribedToTheKernel() {
        for builder in [v4, v6] {
            let packets = tcpSegments(builder, 3)
            let start = builder.source.isIPv4 ? 20 : 40
            var expected = Reference.fix(Reference.merge(packets).packet)
            // Only the pseudo header's sum stands in the checksum field.
            Reference.put16(&expected, start + 16, Reference.sum(Reference.pseudo(expected)))
            var virtio = VirtioNetHeader()
            virtio.flags = 1
            virtio.gsoType = start == 20 ? 1 : 4
            virtio.headerLength = UInt16(start + 32)
            virtio.segmentSize = 10
            virtio.checksumStart = UInt16(start)
            virtio.checksumOffset = 16
            let groups = coalesce(packets)
            #expect(groups == [Written(virtio: virtio, packet: expected, packetCount: 3)])
        }
    }

    @Test func datagramsAreDescribedToTheKernel() {
        for builder in [v4, v6] {
            let packets = [[1, 2], [3, 4], [5]].map { builder.udp(7, 8, $0) }
            let start = builder.source.isIPv4 ? 20 : 40
            var expected = Reference.fix(Reference.merge(packets).packet)
            Reference.put16(&expected, start + 6, Reference.sum(Reference.pseudo(expected)))
            var virtio = VirtioNetHeader()
            virtio.flags = 1
            virtio.gsoType = 5
            virtio.headerLength = UInt16(start + 8)
            virtio.segmentSize = 2
            virtio.checksumStart = UInt16(start)
            virtio.checksumOffset = 6
            #expect(
                coalesce(packets, udp: true)
                    == [Written(virtio: virtio, packet: expected, packetCount: 3)])
            #expect(coalesce(packets).map(\.packetCount) == [1, 1, 1], "off by default")
        }
    }

    @Test func lonePacketIsAsItCame() {
        let packet = v4.tcp(1, 2, .init(), [1])
        let ping = v6.echo(identifier: 1, sequence: 2)
        for p in [packet, ping, [0xff], [UInt8](repeating: 0, count: 50)] {
            let alone = Written(virtio: VirtioNetHeader(), packet: p, packetCount: 1)
            #expect(coalesce([p]) == [alone])
        }
    }

    /// Each change to the second of three packets keeps it out of the first's group.
    @Test func whatKeepsPacketsApart() {
        typealias Change = (name: String, edit: (inout [UInt8]) -> Void)
        func counts(_ builder: PacketBuilder, _ change: Change) -> [Int] {
            var packets = tcpSegments(builder, 3)
            change.edit(&packets[1])
            packets[1] = Reference.fix(packets[1])
            return coalesce(packets).map(\.packetCount)
        }
        let ipv4: [Change] = [
            ("tos", { $0[1] ^= 4 }), ("ecn", { $0[1] ^= 3 }), ("id", { $0[5] ^= 1 }),
            ("df", { $0[6] ^= 0x40 }), ("reserved", { $0[6] ^= 0x80 }),
            ("more fragments", { $0[6] |= 0x20 }), ("offset", { $0[7] = 1 }),
            ("ttl", { $0[8] -= 1 }), ("source", { $0[15] ^= 1 }), ("target", { $0[19] ^= 1 }),
        ]
        let ipv6: [Change] = [
            ("class", { $0[0] ^= 1 }), ("ecn", { $0[1] ^= 0x10 }), ("label", { $0[3] ^= 1 }),
            ("hops", { $0[7] -= 1 }), ("source", { $0[23] ^= 1 }), ("target", { $0[39] ^= 1 }),
        ]
        func tcp(_ start: Int) -> [Change] {
            [
                ("port", { $0[start + 1] ^= 1 }), ("port", { $0[start + 3] ^= 1 }),
                ("sequence", { $0[start + 7] ^= 1 }), ("ack", { $0[start + 11] ^= 1 }),
                ("reserved", { $0[start + 12] ^= 1 }), ("cwr", { $0[start + 13] |= 0x80 }),
                ("ece", { $0[start + 13] |= 0x40 }), ("urg", { $0[start + 13] |= 0x20 }),
                ("rst", { $0[start + 13] |= 4 }), ("syn", { $0[start + 13] |= 2 }),
                ("no ack", { $0[start + 13] = 0 }), ("window", { $0[start + 15] ^= 1 }),
                ("urgent", { $0[start + 19] ^= 1 }), ("option", { $0[start + 31] ^= 1 }),
                ("longer", { $0.append(1) }),
            ]
        }
        for (builder, changes) in [(v4, ipv4 + tcp(20)), (v6, ipv6 + tcp(40))] {
            var builder = builder
            builder.identification = 9
            #expect(counts(builder, ("none", { _ in })) == [3])
            for change in changes {
                #expect(counts(builder, change).allSatisfy { $0 < 3 }, "\(change.name)")
                let second = counts(builder, change)
                // The third follows the first in none of these cases.
                #expect(second == [1, 1, 1] || second == [1, 2], "\(change.name): \(second)")
            }
            for flag in [TCPFlag.psh, TCPFlag.fin] {
                let start = builder.source.isIPv4 ? 20 : 40
                #expect(counts(builder, ("ends", { $0[start + 13] |= flag })) == [2, 1])
            }
            #expect(counts(builder, ("shorter", { $0.removeLast() })) == [2, 1])
        }
    }

    @Test func cwrLeadsAGroup() {
        var packets = tcpSegments(v4, 3)
        packets[0][33] |= TCPFlag.cwr
        packets[0] = Reference.fix(packets[0])
        let groups = coalesce(packets)
        #expect(groups.map(\.packetCount) == [3])
        #expect(groups[0].virtio.gsoType == 0x81)
    }

    @Test func wrongChecksumsAreNotLaundered() {
        for builder in [v4, v6] {
            for victim in 0..<4 {
                let packets = tcpSegments(builder, 4)
                for place in [packets[0].count - 1, builder.source.isIPv4 ? 36 : 56] {
                    var bad = packets
                    bad[victim][place] ^= 1
                    let groups = coalesce(bad)
                    let alone = Written(
                        virtio: VirtioNetHeader(), packet: bad[victim], packetCount: 1)
                    #expect(groups.contains(alone))
                    #expect(groups.map(\.packetCount).reduce(0, +) == 4)
                }
            }
        }
    }

    @Test func bothEncodingsOfZero() {
        // A packet whose TCP checksum is 0. The other encoding, ffff, is as valid, but would not
        // come out of segmentation again.
        var packets = tcpSegments(v4, 2)
        packets[1][60] = 0
        packets[1][61] = 0
        packets[1] = Reference.fix(packets[1])
        Reference.put16(&packets[1], 60, Reference.get16(packets[1], 36))
        packets[1] = Reference.fix(packets[1])
        #expect(Reference.get16(packets[1], 36) == 0)
        #expect(coalesce(packets).map(\.packetCount) == [2])
        Reference.put16(&packets[1], 36, 0xffff)
        #expect(coalesce(packets).map(\.packetCount) == [1, 1])
        // And a datagram without checksum is not given one.
        var datagrams = [v4.udp(1, 2, [3, 4]), v4.udp(1, 2, [5, 6])]
        #expect(coalesce(datagrams, udp: true).map(\.packetCount) == [2])
        Reference.put16(&datagrams[1], 26, 0)
        #expect(coalesce(datagrams, udp: true).map(\.packetCount) == [1, 1])
    }

    @Test func bothEncodingsOfZeroInIPv4() {
        // The identification that makes the second header's checksum 0.
        var builder = v4
        builder.dontFragment = false
        let probe = tcpSegments(builder, 1)[0]
        let identification = UInt16(Reference.get16(probe, 10))
        builder.identification = identification - 1
        var packets = tcpSegments(builder, 2)
        #expect(Reference.get16(packets[1], 10) == 0)
        #expect(coalesce(packets).map(\.packetCount) == [2])
        Reference.put16(&packets[1], 10, 0xffff)
        #expect(coalesce(packets).map(\.packetCount) == [1, 1])
    }

    @Test func fragmentsAreNeverMerged() {
        var builder = v4
        builder.dontFragment = false
        let packets = tcpSegments(builder, 3).map { packet in
            var p = packet
            p[6] |= 0x20
            return Reference.fix(p)
        }
        #expect(coalesce(packets).map(\.packetCount) == [1, 1, 1])
        // A later fragment has no ports, and still belongs to the flow.
        let data = tcpSegments(v4, 2)
        var later = v4.packet(6, [9, 9, 9, 9])
        later[7] = 9
        later = Reference.fix(later + [UInt8](repeating: 0, count: 40))
        #expect(coalesce([data[0], later, data[1]]).map(\.packetCount) == [1, 1, 1])
    }

    @Test func wrongDatagramLengthIsKept() {
        let packets = [[1, 2, 3, 4], [5, 6, 7, 8]].map { (payload: [UInt8]) in
            var p = v4.udp(1, 2, payload)
            Reference.put16(&p, 24, 11)
            Reference.put16(&p, 26, 0)
            Reference.put16(&p, 26, 0xffff - Reference.sum(Reference.pseudo(p) + p[20...]))
            return p
        }
        let groups = coalesce(packets, udp: true)
        #expect(groups.map(\.packet) == packets)
    }

    @Test func sendersWithoutIdentifications() {
        // Zero on all, with "don't fragment", merges; a fixed other number does not.
        #expect(coalesce(tcpSegments(v4, 3)).map(\.packetCount) == [3])
        for (id, flag) in [(7, true), (0, false)] {
            let packets = tcpSegments(v4, 3).map { packet in
                var p = packet
                Reference.put16(&p, 4, id)
                p[6] = flag ? 0x40 : 0
                return Reference.fix(p)
            }
            #expect(coalesce(packets).map(\.packetCount) == [1, 1, 1])
        }
    }

    @Test func pureAcknowledgmentsKeepTheirPlace() {
        let data = tcpSegments(v4, 4)
        let ack = v4.tcp(1, 2, .init())
        let other = v4.tcp(9, 2, .init())
        let groups = coalesce([data[0], data[1], other, data[2], ack, data[3]])
        #expect(groups.map(\.packetCount) == [3, 1, 1, 1])
        #expect(groups[1].packet == other && groups[2].packet == ack)
    }

    @Test func nothingOvertakesFragmentsOrGarbage() {
        let data = tcpSegments(v4, 4)
        let elsewhere = tcpSegments(v6, 4)
        var fragment = data[1]
        fragment[7] = 9
        fragment = Reference.fix(fragment)
        let mixed = [data[0], elsewhere[0], fragment, data[1], elsewhere[1], [0x99], elsewhere[2]]
        #expect(coalesce(mixed).map(\.packetCount) == [1, 2, 1, 1, 1, 1])
    }

    @Test func limits() {
        // 1,000 packets, and 64 KiB less the margin, in one group.
        let small = coalesce(tcpSegments(v4, 1_003, size: 1)).map(\.packetCount)
        #expect(small == [1_000, 3])
        let large = coalesce(tcpSegments(v6, 60, size: 1_400))
        #expect(large.map(\.packetCount) == [46, 14])
        #expect(large[0].packet.count <= Coalescer.maximumLength)
        #expect(large[0].packet.count + 1_400 > Coalescer.maximumLength)
        let datagrams = (0..<130).map { v4.udp(1, 2, [UInt8($0)]) }
        #expect(coalesce(datagrams, udp: true).map(\.packetCount) == [64, 64, 2])
    }

    @Test func oldestFlowMakesRoom() {
        let flows = (0..<17).map { tcpSegments(v4, 2, ports: UInt16(100 + $0)) }
        // Sixteen at once all merge; the seventeenth closes the first.
        let sixteen = flows.prefix(16)
        #expect(
            coalesce(sixteen.map { $0[0] } + sixteen.map { $0[1] }).map(\.packetCount)
                == Array(repeating: 2, count: 16))
        let all = coalesce(flows.map { $0[0] } + flows.map { $0[1] })
        let opened = Array(repeating: 1, count: 17)
        #expect(all.map(\.packetCount).reduce(0, +) == 34)
        #expect(all.first?.packetCount == 1 && all.count > opened.count)
    }

    @Test func fullOrClosedTakesNoMore() {
        var packet = v4.tcp(1, 2, .init(), [1])
        packet.withUnsafeMutableBytes { bytes in
            var coalescer = Coalescer(capacity: 2)
            var taken = (0..<3).map { _ in coalescer.add(bytes) }
            #expect(taken == [true, true, false])
            coalescer.close()
            coalescer.close()
            #expect(coalescer.groupCount == 2)
            taken = [coalescer.add(bytes)]
            coalescer.reset()
            taken.append(coalescer.add(bytes))
            #expect(taken == [false, true])
            #expect(coalescer.groupCount == 1 && coalescer.packetCount == 1)
            coalescer.reset()
            coalescer.close()
            #expect(coalescer.groupCount == 0)
        }
    }

    @Test func sliceIsAnIovec() {
        #expect(MemoryLayout<PacketSlice>.size == 2 * MemoryLayout<Int>.size)
        #expect(MemoryLayout<PacketSlice>.offset(of: \.count) == MemoryLayout<Int>.size)
    }
}
