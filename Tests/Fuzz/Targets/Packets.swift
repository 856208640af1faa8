import EstablishedTunnel
import Packets

extension FuzzTarget {
    static let packets = [
        FuzzTarget("packets-parse", maximumBytes: 512, seeds: { SeedPackets.all }) {
            precondition(PacketsFuzz.parse($0) == PacketsFuzz.parse($0))
        },
        FuzzTarget("packets-segment", maximumBytes: 4096, seeds: { SeedPackets.reads }) {
            precondition(PacketsFuzz.segment($0) == PacketsFuzz.segment($0))
        },
        FuzzTarget("packets-coalesce", maximumBytes: 4096, seeds: { SeedPackets.trains }) {
            precondition(PacketsFuzz.coalesce($0) == PacketsFuzz.coalesce($0))
        },
    ]
}

/// Whole packets to start from.
enum SeedPackets {
    static let all: [[UInt8]] = [false, true].flatMap { v6 in
        let builder = EstablishedTunnel.builder(v6: v6, fromFar: true)
        var marked = builder
        marked.trafficClass = 3
        var optional = builder
        optional.options = v6 ? [] : [7, 4, 0, 0]
        var tcp = PacketBuilder.TCP()
        tcp.options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]
        return [
            builder.udp(53, 53, [1, 2, 3]), builder.tcp(5001, 9092, tcp, [4, 5, 6]),
            builder.echo(identifier: 1, sequence: 2, [7]),
            marked.udp(1, 2, [UInt8](repeating: 9, count: 40)), optional.tcp(1, 2, tcp),
            // IPv6: hop-by-hop, then a fragment header.
            builder.packet(0, [44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 9, 0, 0, 0, 1, 0, 1, 0, 2]),
        ]
    }

    /// Reads of a TUN queue.
    static let reads: [[UInt8]] =
        [false, true].flatMap { v6 in
            [
                EstablishedTunnel.superPacket(v6: v6, payload: 700, segment: 300),
                EstablishedTunnel.superPacket(v6: v6, payload: 96, segment: 16), datagrams(v6),
            ]
        } + all.map { EstablishedTunnel.read(VirtioNetHeader(), $0) }

    private static func datagrams(_ v6: Bool) -> [UInt8] {
        var virtio = VirtioNetHeader()
        virtio.flags = VirtioNetHeader.Flag.needsChecksum
        virtio.gsoType = VirtioNetHeader.GSO.udpL4
        virtio.segmentSize = 100
        virtio.checksumStart = v6 ? 40 : 20
        virtio.checksumOffset = 6
        return EstablishedTunnel.read(
            virtio,
            EstablishedTunnel.builder(v6: v6, fromFar: false)
                .udp(1, 2, [UInt8](repeating: 5, count: 350)))
    }

    /// Flows that gather.
    static let trains: [[UInt8]] = [false, true].flatMap { v6 in
        [UInt8(0), 1].map { flags in
            var train: [UInt8] = [flags]
            for i in 0..<4 {
                let builder = EstablishedTunnel.builder(v6: v6, fromFar: true)
                var tcp = PacketBuilder.TCP()
                tcp.sequence = UInt32(i) * 32
                let body = [UInt8](repeating: UInt8(i), count: i == 3 ? 7 : 32)
                for packet in [builder.tcp(1, 2, tcp, body), builder.udp(3, 4, body)] {
                    train += [UInt8(packet.count >> 8), UInt8(packet.count & 0xff)] + packet
                }
            }
            return train
        }
    }
}
