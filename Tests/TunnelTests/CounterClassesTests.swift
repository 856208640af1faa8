import EstablishedTunnel
import Noise
import Packets
import Synchronization
import Testing
import Timing
import Tunnel

@Suite("Classes of counters")
struct CounterClassesTests {
    @Test("each lane has two that nobody else has, up to four lanes", arguments: 1...4)
    func apart(lanes: Int) {
        let stride = CounterClasses.stride(lanes: lanes)
        let offsets = (0..<lanes).map { CounterClasses.offset(lane: $0, stride: stride) }
        #expect(Set(offsets).count == lanes)
        #expect(offsets.allSatisfy { $0 % 2 == 0 && $0 + 1 < stride })
        #expect(ReplayWindow.classes % stride == 0)
    }

    @Test("with more lanes some share theirs, and none is outside", arguments: 5...16)
    func shared(lanes: Int) {
        let stride = CounterClasses.stride(lanes: lanes)
        #expect(stride == ReplayWindow.classes)
        for lane in 0..<lanes { #expect(CounterClasses.offset(lane: lane, stride: stride) <= 6) }
    }

    /// What one lane sends of a sparse flow and of others.
    @Test("a message has the counter of its class, and of each stride one is used")
    func messages() throws {
        let tunnel = EstablishedTunnel()
        var outbound = Outbound(forwarding: tunnel.forwarding, sparseTOS: 12)
        let packet = EstablishedTunnel.builder(fromFar: false).udp(1, 2, [1, 2, 3])
        var read = EstablishedTunnel.read(VirtioNetHeader(), packet)
        var sent: [(counter: UInt64, tos: UInt8)] = []
        for isSparse in [false, true, true, false, true] {
            read.withUnsafeMutableBytes { buffer in
                outbound.begin(buffer, isSparse: isSparse)
                _ = outbound.advance(now: EstablishedTunnel.created)
            }
            let group = outbound.batch.groups[0]
            let message = UnsafeRawBufferPointer(
                start: outbound.batch.slab + group.offset, count: group.count)
            sent.append((try #require(tunnel.open(message)).0, group.tos))
            outbound.batch.reset()
        }
        #expect(sent.map(\.counter) == [0, 3, 5, 6, 9])
        #expect(sent.map(\.tos) == [0, 12, 12, 0, 12])
    }

    @Test("lanes number their messages apart")
    func lanes() throws {
        let tunnel = EstablishedTunnel(lanes: 3)
        let packet = EstablishedTunnel.builder(fromFar: false).udp(1, 2, [1, 2, 3])
        var read = EstablishedTunnel.read(VirtioNetHeader(), packet)
        var counters: [UInt64] = []
        for lane in [0, 1, 2, 1] {
            var outbound = Outbound(forwarding: tunnel.forwarding, lane: lane)
            for isSparse in [false, true] {
                read.withUnsafeMutableBytes { buffer in
                    outbound.begin(buffer, isSparse: isSparse)
                    _ = outbound.advance(now: EstablishedTunnel.created)
                }
                let group = outbound.batch.groups[outbound.batch.groupCount - 1]
                let slab = outbound.batch.slab
                let size = group.segmentSize
                let message = UnsafeRawBufferPointer(
                    start: slab + group.offset + group.count - size, count: size)
                counters.append(try #require(tunnel.open(message)).0)
            }
        }
        #expect(counters == [0, 9, 18, 27, 36, 45, 50, 59])
    }

    @Test("the last counter is not passed, however often one is asked for")
    func last() {
        let tunnel = EstablishedTunnel()
        let session = tunnel.session
        let end = WireGuard.rejectAfterMessages
        session.pointee.sendCounter.store(end - 9, ordering: .relaxed)
        var taken: [UInt64?] = []
        for _ in 0..<20_000 { taken.append(session.pointee.takeCounter(stride: 8, offset: 7)) }
        #expect(taken[0] == end - 2)
        #expect(taken.dropFirst().allSatisfy { $0 == nil })
    }
}
