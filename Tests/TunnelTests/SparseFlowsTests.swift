import Addresses
import Packets
import Testing
import Timing
import Tunnel

@Suite("Sparse flows")
struct SparseFlowsTests {
    private final class Nothing { var waits = ReadAhead() }
    private let nothing = Nothing()
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

    /// Whether `packet` finds its flow sparse, where nothing waits.
    private func look(
        _ flows: inout SparseFlows, _ packet: [UInt8], _ now: Instant
    ) -> Bool {
        let isSparse = packet.withUnsafeBytes {
            flows.isSparse($0, ahead: nothing.waits, now: now)
        }
        nothing.waits.keep(1)
        nothing.waits.removeOldest()
        return isSparse
    }

    @Test("a burst of 32 KiB is sparse, and nothing beyond it", arguments: [false, true])
    func burst(v6: Bool) {
        var flows = SparseFlows(seed: 1)
        let kilobyte = packet(1024 - (v6 ? 48 : 28), v6: v6)
        #expect(kilobyte.count == 1024)
        var found: [Bool] = []
        for _ in 0..<34 { found.append(look(&flows, kilobyte, start)) }
        #expect(found == [Bool](repeating: true, count: 32) + [false, false])
    }

    @Test("4 MB/s are sparse for ever, a tenth more is not")
    func rate() {
        for (step, expected) in [(252, true), (225, false)] as [(Int64, Bool)] {
            var flows = SparseFlows(seed: 1)
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
        var flows = SparseFlows(seed: 1)
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
        var flows = SparseFlows(seed: 1)
        let isSparse = look(&flows, packet(60_000, tcp: true), start)
        #expect(!isSparse)
    }

    @Test("bulk is bulk as long as any of it waits, however long that is")
    func waiting() {
        var flows = SparseFlows(seed: 1)
        var ahead = ReadAhead()
        func look(_ bytes: [UInt8], _ now: Instant) -> Bool {
            bytes.withUnsafeBytes { flows.isSparse($0, ahead: ahead, now: now) }
        }
        ahead.keep(100)  // somebody else's
        let first = look(packet(60_000), start)
        ahead.keep(60_028)
        let small = packet(10)
        var now = start + .seconds(10)
        let whileBoth = look(small, now)
        ahead.keep(38)
        ahead.removeOldest()
        ahead.removeOldest()
        now = now + .seconds(10)
        let whileTheLast = look(small, now)
        ahead.keep(38)
        ahead.removeOldest()
        ahead.removeOldest()
        now = now + .seconds(10)
        let afterwards = look(small, now)
        #expect(!first && !whileBoth && !whileTheLast && afterwards)
    }

    @Test("flows are told apart by their ports, protocol and addresses")
    func apart() {
        // 1,024 buckets, so with one seed in that many two of them share one.
        for seed in [1, 2, 3] as [UInt64] {
            var flows = SparseFlows(seed: seed)
            let bulk = look(&flows, packet(60_000), start)
            let body: [UInt8] = [1, 2, 3]
            let here = PacketBuilder(from: address(1, false), to: address(2, false))
            let others = [
                packet(3, from: 1001), packet(3, tcp: true), packet(3, v6: true),
                here.udp(1000, 9093, body), here.packet(47, body), here.packet(50, body),
                PacketBuilder(from: address(1, false), to: address(3, false)).udp(1000, 9092, body),
                PacketBuilder(from: address(3, false), to: address(2, false)).udp(1000, 9092, body),
            ]
            let found = others.map { look(&flows, $0, start) }
            let same = look(&flows, packet(3), start)
            #expect(!bulk && !same && found.allSatisfy { $0 }, "\(found)")
        }
    }

    /// Of IPv6: a fragment header in front of the datagram.
    private func fragment(_ datagram: [UInt8], offset: UInt16, more: Bool) -> [UInt8] {
        let place = offset << 3 | (more ? 1 : 0)
        let header = [17, 0, UInt8(place >> 8), UInt8(place & 255), 0, 0, 0, 9]
        return PacketBuilder(from: address(1, true), to: address(2, true))
            .packet(44, header + datagram[40...])
    }

    @Test(
        "fragments are not sparse, and the first makes bulk of its flow", arguments: [false, true])
    func fragments(v6: Bool) {
        var flows = SparseFlows(seed: 1)
        let whole = packet(100, v6: v6)
        var (first, later) = (whole, whole)
        if v6 {
            first = fragment(whole, offset: 0, more: true)
            later = fragment(whole, offset: 8, more: false)
        } else {
            first[6] = 0x20
            later[7] = 8
        }
        let found = [whole, later, whole, first, whole].map { look(&flows, $0, start) }
        #expect(found == [true, false, true, false, false])
    }

    @Test("what is no packet, and what does not say of which flow it is, is not sparse")
    func unknown() {
        var flows = SparseFlows(seed: 1)
        var portless = Array(packet(0).prefix(22))
        portless[3] = 22  // ends within its ports
        let v6 = PacketBuilder(from: address(1, true), to: address(2, true))
        let hidden = [0, 43, 51, 60, 135].map { v6.packet($0, [17, 0, 0, 0, 0, 0, 0, 0, 1, 2]) }
        let short = [UInt8](repeating: 0x45, count: 19)
        let others = [[], [0x45], short, [0x75] + packet(9), portless, v6.packet(44, [17, 0, 0])]
        for bytes in others + hidden {
            let isSparse = look(&flows, bytes, start)
            #expect(!isSparse, "\(bytes.prefix(8))")
        }
    }
}
