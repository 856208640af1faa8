import Addresses
import Packets
import Testing
import Timing
import Tunnel

@Suite("Sparse flows")
struct SparseFlowsTests {
    private let start = Instant(nanoseconds: 10_000_000_000)

    private func address(_ n: UInt64, _ v6: Bool) -> IPAddress {
        v6
            ? .v6(IPv6Address(high: 0xfd00 << 48, low: n))
            : .v4(IPv4Address(0x0a00_0000 + UInt32(n)))
    }

    private func packet(
        _ payload: Int, from port: UInt16 = 1000, v6: Bool = false, tcp: Bool = false
    ) -> [UInt8] {
        let body = [UInt8](repeating: 0, count: payload)
        let builder = PacketBuilder(from: address(1, v6), to: address(2, v6))
        return tcp
            ? builder.tcp(port, 9092, PacketBuilder.TCP(), body) : builder.udp(port, 9092, body)
    }

    /// Whether `packet` finds its flow sparse.
    private func look(
        _ flows: inout SparseFlows, _ packet: [UInt8], _ now: Instant
    ) -> Bool {
        packet.withUnsafeBytes { flows.isSparse($0, now: now) }
    }

    @Test("a burst of 32 KiB is sparse, and nothing beyond it", arguments: [false, true])
    func burst(v6: Bool) {
        var flows = SparseFlows()
        let kilobyte = packet(1024 - (v6 ? 48 : 28), v6: v6)
        #expect(kilobyte.count == 1024)
        var found: [Bool] = []
        for _ in 0..<34 { found.append(look(&flows, kilobyte, start)) }
        #expect(found == [Bool](repeating: true, count: 32) + [false, false])
    }

    @Test("4 MB/s are sparse for ever, a tenth more is not")
    func rate() {
        for (step, expected) in [(252, true), (225, false)] as [(Int64, Bool)] {
            var flows = SparseFlows()
            let kilobyte = packet(1000 - 28)
            var last = true
            for i in 0..<20_000 as Range<Int64> {
                last = look(&flows, kilobyte, start + .microseconds(i * step))
            }
            #expect(last == expected)
        }
    }

    @Test("bulk is bulk until it has been silent, however little it sends")
    func silence() {
        var flows = SparseFlows()
        let small = packet(10)
        let isSparseAtFirst = look(&flows, small, start)
        var now = start
        let large = look(&flows, packet(40_000), now)
        var found: Set<Bool> = []
        for _ in 0..<100 {
            now = now + .milliseconds(249)
            found.insert(look(&flows, small, now))
        }
        now = now + SparseFlows.silence + .milliseconds(1)
        let afterwards = look(&flows, small, now)
        #expect(isSparseAtFirst && !large && found == [false] && afterwards)
    }

    @Test("one packet that is larger than a burst is bulk at once")
    func large() {
        var flows = SparseFlows()
        let isSparse = look(&flows, packet(60_000, tcp: true), start)
        #expect(!isSparse)
    }

    @Test("flows are told apart by their ports, protocol and addresses")
    func apart() {
        var flows = SparseFlows()
        for now in [start, start + .milliseconds(1)] {
            let bulk = look(&flows, packet(60_000), now)
            #expect(!bulk)
        }
        // 1,024 buckets: of 200 flows some share that one.
        var sparse = 0
        for port in 1..<100 as Range<UInt16> {
            for v6 in [false, true] where look(&flows, packet(10, from: port, v6: v6), start) {
                sparse += 1
            }
        }
        #expect(sparse >= 190)
    }

    @Test("what is no packet, and what does not say of which flow it is, is not sparse")
    func unknown() {
        var flows = SparseFlows()
        var fragment = packet(100)
        fragment[6] = 0x20  // more fragments
        let short = [UInt8](repeating: 0x45, count: 19)
        for bytes in [[], [0x45], short, [0x75] + packet(9), fragment] {
            let isSparse = look(&flows, bytes, start)
            #expect(!isSparse, "\(bytes.prefix(8))")
        }
        var portless = Array(packet(0).prefix(22))
        portless[3] = 22  // ends within its ports
        let isSparse = look(&flows, portless, start)
        #expect(isSparse)
    }
}
