import Addresses
import Bytes
import Packets
import Testing

/// Cutting what was gathered, and gathering what was cut, changes nothing.
@Suite struct IdentityTests {
    /// One sender of segments, with its habits and its faults.
    private struct Sender {
        var builder: PacketBuilder
        var tcp = PacketBuilder.TCP()
        let isTCP: Bool
        let port: UInt16
        let size: Int
        let idStep: UInt16
        let faults: Int

        init(_ random: inout SplitMix, port: UInt16) {
            builder = random.chance(50) ? v4 : v6
            builder.trafficClass = UInt8(random.below(256))
            builder.flowLabel = UInt32(random.below(1 << 20))
            builder.dontFragment = random.chance(60)
            builder.identification = random.chance(30) ? 0 : UInt16(random.below(65_536))
            if random.chance(5) { builder.options = random.bytes(4) }
            idStep = random.chance(30) ? 0 : 1
            isTCP = random.chance(75)
            size = 1 + random.below(random.chance(50) ? 8 : 1_400)
            self.port = port
            faults = random.below(3) * 4
            tcp.sequence = UInt32(truncatingIfNeeded: random.next())
            tcp.acknowledgment = UInt32(truncatingIfNeeded: random.next())
            if random.chance(70) { tcp.options = random.bytes(4 * random.below(11)) }
        }

        mutating func next(_ random: inout SplitMix) -> [UInt8] {
            func fault() -> Bool { random.chance(faults) }
            var count = size
            if fault() { count = random.below(size + 1) }
            if fault(), random.chance(20) { count += 1 }
            tcp.flags = TCPFlag.ack
            if fault() { tcp.flags |= TCPFlag.psh }
            if fault() { tcp.flags = UInt8(random.below(256)) }
            if fault() { tcp.window = UInt16(random.below(65_536)) }
            if fault() { tcp.acknowledgment &+= 1 }
            if fault() { tcp.sequence &+= UInt32(random.below(3)) }
            if fault() { builder.trafficClass ^= UInt8(random.below(4)) }
            if fault(), random.chance(20) { builder.hopLimit &-= 1 }
            if fault() { builder.identification &+= UInt16(random.below(3)) }
            let payload = random.bytes(count)
            var packet =
                isTCP ? builder.tcp(port, 2, tcp, payload) : builder.udp(port, 2, payload)
            if fault(), random.chance(30) {
                packet[random.below(packet.count)] ^= 1 << UInt8(random.below(8))
            }
            if fault(), random.chance(10) { packet.removeLast(random.below(packet.count)) }
            tcp.sequence &+= UInt32(count)
            builder.identification &+= idStep
            return packet
        }
    }

    private func traffic(_ random: inout SplitMix, flows: Int, count: Int) -> [[UInt8]] {
        var senders = (0..<flows).map { Sender(&random, port: UInt16(1_000 + $0)) }
        var packets: [[UInt8]] = []
        while packets.count < count {
            let sender = random.below(flows)
            for _ in 0...random.below(12) { packets.append(senders[sender].next(&random)) }
            if random.chance(3) { packets.append(random.bytes(1 + random.below(60))) }
            if random.chance(3) { packets.append(v4.echo(identifier: 1, sequence: 2)) }
            if random.chance(3), packets.count > 2 {
                packets.swapAt(packets.count - 1, packets.count - 2)
            }
        }
        return packets.filter { !$0.isEmpty }
    }

    @Test func gatheringThenCutting() {
        var random = SplitMix(30)
        var (packetCount, groupCount) = (0, 0)
        for round in 0..<1_500 {
            let udp = random.chance(50)
            let flows = 1 + random.below(round % 10 == 0 ? 40 : 6)
            let packets = traffic(&random, flows: flows, count: 60)
            let groups = PacketsFuzz.coalesceAndSegment(packets, coalesceUDP: udp)
            let isSame = sameInEachFlow(groups.flatMap { $0 }, packets)
            #expect(isSame, "round \(round)")
            packetCount += packets.count
            groupCount += groups.count
        }
        // Otherwise this shows nothing.
        #expect(groupCount * 2 < packetCount)
    }

    @Test func groupsAreThoseOfTheModel() {
        var random = SplitMix(31)
        for round in 0..<1_500 {
            let udp = random.chance(50)
            let packets = traffic(&random, flows: 1 + random.below(6), count: 40).filter {
                // The model knows nothing of what may not be overtaken.
                Reference.isWhole($0) && Reference.headerLength($0) % 20 == 0
                    && [6, 17, 1, 58].contains(Reference.proto($0))
                    && ($0[0] >> 4 == 6 || Reference.get16($0, 6) & 0x3fff == 0)
                    && Reference.hasWholeTransport($0)
            }
            let groups = PacketsFuzz.coalesceAndSegment(packets, coalesceUDP: udp)
            let model = Reference.coalesce(packets, udp: udp)
            #expect(groups == model, "round \(round)")
        }
    }

    @Test func cuttingThenGathering() throws {
        var random = SplitMix(32)
        for round in 0..<2_000 {
            var sender = Sender(&random, port: 7)
            sender.builder.options = []
            sender.tcp.flags = TCPFlag.ack | UInt8(random.below(256)) & 0xc9
            let count = min(1 + random.below(40), sender.isTCP ? 1_000 : 64)
            let payload = random.bytes(max(sender.size * count - random.below(sender.size), 1))
            let builder = sender.builder
            let large =
                sender.isTCP
                ? builder.tcp(7, 8, sender.tcp, payload) : builder.udp(7, 8, payload)
            let segments = try cut(large, gso(gsoType(of: large), min(sender.size, payload.count)))
            let groups = coalesce(segments, udp: true)
            #expect(groups.map(\.packetCount) == [segments.count], "round \(round)")
            #expect(Reference.fix(groups[0].packet) == large, "round \(round)")
            if segments.count > 1 {
                #expect(Int(groups[0].virtio.segmentSize) == sender.size)
            }
        }
    }

    /// No flipped bit in any header makes a packet vanish, change or hide in a group.
    @Test func everyFlippedBit() {
        for builder in [v4, v6] {
            for isTCP in [true, false] {
                var tcp = PacketBuilder.TCP()
                tcp.options = [1, 1, 1, 1]
                let payload: [UInt8] = Array(0..<20)
                let large = isTCP ? builder.tcp(1, 2, tcp, payload) : builder.udp(1, 2, payload)
                let packets = Reference.segment(large, size: 6)
                for victim in packets.indices {
                    for bit in 0..<packets[victim].count * 8 {
                        var flipped = packets
                        flipped[victim][bit / 8] ^= 0x80 >> UInt8(bit % 8)
                        let groups = PacketsFuzz.coalesceAndSegment(flipped, coalesceUDP: true)
                        #expect(sameInEachFlow(groups.flatMap { $0 }, flipped))
                        // Two bits that no checksum covers are only kept from others unlike them.
                        #expect(groups.contains([flipped[victim]]), "\(victim) \(bit)")
                    }
                }
            }
        }
    }

    @Test func everyTruncation() {
        for builder in [v4, v6] {
            let packets = Reference.segment(
                builder.tcp(1, 2, .init(), Array(0..<20)), size: 6)
            for victim in packets.indices {
                for length in 1..<packets[victim].count {
                    var short = packets
                    short[victim].removeLast(short[victim].count - length)
                    let groups = PacketsFuzz.coalesceAndSegment(short, coalesceUDP: true)
                    #expect(groups.contains([short[victim]]))
                    #expect(sameInEachFlow(groups.flatMap { $0 }, short))
                }
            }
        }
    }

    @Test func randomBytes() {
        var random = SplitMix(33)
        for round in 0..<20_000 {
            var bytes = random.bytes(random.below(200))
            // Make most of them look a little like packets.
            if bytes.count > 60, round % 4 > 0 {
                bytes[0] &= 7
                bytes[1] = [0x81, 1, 4, 5][round / 4 % 4]
                let packet = bytes.count - 10
                bytes[10] = round % 2 == 0 ? 0x45 : 0x60
                Reference.put16(
                    &bytes, round % 2 == 0 ? 12 : 14, round % 2 == 0 ? packet : packet - 40)
                bytes[round % 2 == 0 ? 19 : 16] = round % 8 < 5 ? 6 : 17
                Reference.put16(&bytes, 4, random.below(80))
            }
            let first = bytes.withUnsafeBytes {
                [PacketsFuzz.segment($0), PacketsFuzz.coalesce($0), PacketsFuzz.parse($0)]
            }
            let again = bytes.withUnsafeBytes {
                [PacketsFuzz.segment($0), PacketsFuzz.coalesce($0), PacketsFuzz.parse($0)]
            }
            #expect(first == again)
            _ = bytes.dropFirst(10).withContiguousStorageIfAvailable {
                PacketsFuzz.parse(UnsafeRawBufferPointer($0))
            }
        }
    }

    @Test func changedTraffic() {
        var random = SplitMix(34)
        for _ in 0..<1_000 {
            var bytes: [UInt8] = [UInt8(random.below(2))]
            for packet in traffic(&random, flows: 2, count: 12) {
                bytes += [UInt8(packet.count >> 8), UInt8(packet.count & 255)] + packet
            }
            for _ in 0..<random.below(3) { bytes[random.below(bytes.count)] = random.bytes(1)[0] }
            _ = bytes.withUnsafeBytes { PacketsFuzz.coalesce($0) }
        }
    }
}
