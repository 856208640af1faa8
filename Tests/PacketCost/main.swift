import EstablishedTunnel
import Glibc
import Noise
import Packets
import Timing
import Tunnel

// What the pure part of the packet path costs, for an instrumented run that counts only what is
// inside `measuredPart` (see check.py). Prints how many packets that were. The cipher is that of
// Tests/Bench/nullcipher.c, which copies: else its thousands would hide what is ours.

/// The one symbol that is counted.
@inline(never)
func measuredPart(_ body: () -> Void) { body() }

struct Scenario {
    let name: String
    /// Does its work once, and says how many packets it was.
    let run: (EstablishedTunnel) -> Int
}

let now = EstablishedTunnel.created + .seconds(1)
let rounds = 50

/// Reads of a TUN queue to sealed messages.
func outbound(_ read: [UInt8]) -> (EstablishedTunnel) -> Int {
    { tunnel in
        var outbound = Outbound(forwarding: tunnel.forwarding)
        outbound.cipher.widen()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: read.count, alignment: 64)
        defer { buffer.deallocate() }
        var packets = 0
        for _ in 0..<rounds {
            buffer.copyBytes(from: read)
            measuredPart {
                outbound.begin(buffer)
                while outbound.advance(now: now) != .done {}
            }
            for i in 0..<outbound.batch.groupCount {
                packets += Int(outbound.batch.groups[i].segments)
            }
            outbound.batch.reset()
            outbound.resetNews()
        }
        return packets
    }
}

/// Reads of a TUN queue to which of them may overtake others.
func flows(_ packets: [[UInt8]]) -> (EstablishedTunnel) -> Int {
    { _ in
        var flows = SparseFlows(seed: 1)
        let ahead = ReadAhead()
        var sparse = 0
        for round in 0..<rounds {
            let now = now + .milliseconds(Int64(round))
            for packet in packets {
                packet.withUnsafeBytes { bytes in
                    measuredPart {
                        if flows.isSparse(bytes, ahead: ahead, now: now) { sparse += 1 }
                    }
                }
            }
        }
        return sparse
    }
}

/// Messages of the far end to what is written to a TUN queue.
func inbound(_ packets: [[UInt8]]) -> (EstablishedTunnel) -> Int {
    { tunnel in
        var inbound = Inbound(forwarding: tunnel.forwarding, coalesceUDP: true)
        inbound.cipher.widen()
        let size = packets[0].count + TransportMessage.overhead
        let slab = UnsafeMutableRawBufferPointer.allocate(
            byteCount: size * packets.count, alignment: 64)
        defer { slab.deallocate() }
        var delivered = 0
        var counter: UInt64 = 0
        for _ in 0..<rounds {
            for (i, packet) in packets.enumerated() {
                let message = UnsafeMutableRawBufferPointer(
                    rebasing: slab[i * size..<(i + 1) * size])
                message.initializeMemory(as: UInt8.self, repeating: 0)
                TransportMessage.writeHeader(
                    at: message.baseAddress!, receiverIndex: EstablishedTunnel.localIndex,
                    counter: counter)
                message[TransportMessage.payload...].copyBytes(from: packet)
                counter += 1
            }
            measuredPart {
                for i in packets.indices {
                    _ = inbound.receive(
                        UnsafeMutableRawBufferPointer(rebasing: slab[i * size..<(i + 1) * size]),
                        from: EstablishedTunnel.endpoint, tos: 0, now: now)
                }
                inbound.coalescer.close()
            }
            for i in 0..<inbound.coalescer.groupCount {
                delivered += inbound.coalescer.packetCount(ofGroup: i)
            }
            inbound.coalescer.reset()
            inbound.resetEvents()
        }
        return delivered
    }
}

/// Consecutive segments of one stream.
func stream(v6: Bool) -> [[UInt8]] {
    (0..<32).map { (i: Int) -> [UInt8] in
        var tcp = PacketBuilder.TCP()
        tcp.sequence = UInt32(i * 1340)
        var builder = EstablishedTunnel.builder(v6: v6, fromFar: true)
        builder.identification = UInt16(i)
        return builder.tcp(5001, 9092, tcp, [UInt8](repeating: 9, count: 1340))
    }
}

func datagram(_ payload: Int) -> [UInt8] {
    EstablishedTunnel.builder(fromFar: true).udp(1, 2, [UInt8](repeating: 7, count: payload))
}

let small = EstablishedTunnel.builder(fromFar: false).udp(1, 2, [UInt8](repeating: 1, count: 36))
let scenarios = [
    Scenario(
        name: "out-tcp4",
        run: outbound(EstablishedTunnel.superPacket(v6: false, payload: 64_320, segment: 1340))),
    Scenario(
        name: "out-tcp6",
        run: outbound(EstablishedTunnel.superPacket(v6: true, payload: 64_320, segment: 1340))),
    Scenario(
        name: "out-small",
        run: outbound(EstablishedTunnel.read(VirtioNetHeader(), small))),
    Scenario(
        name: "flows",
        run: flows(
            [false, true].flatMap { v6 in
                (1...16).map {
                    EstablishedTunnel.builder(v6: v6, fromFar: false).udp($0, 2, [1, 2, 3])
                }
            })),
    Scenario(name: "in-tcp4", run: inbound(stream(v6: false))),
    Scenario(name: "in-tcp6", run: inbound(stream(v6: true))),
    Scenario(
        name: "in-small",
        run: inbound([[UInt8]](repeating: datagram(36), count: 32))),
]

guard CommandLine.arguments.count == 2 else {
    print(scenarios.map(\.name).joined(separator: "\n"))
    exit(0)
}
guard let scenario = scenarios.first(where: { $0.name == CommandLine.arguments[1] }) else {
    print("no scenario is called \(CommandLine.arguments[1])")
    exit(2)
}
let packets = scenario.run(EstablishedTunnel())
guard packets > 0 else {
    print("nothing arrived: this wants the cipher that copies, see check.py")
    exit(2)
}
print(packets)
