import Addresses
import CAllocationCounter
import EstablishedTunnel
import Noise
import Packets
import Synchronization
import Testing
import Timing
import Tunnel

/// What the body does on this thread.
func counting(_ body: () -> Void) -> allocation_counts {
    allocation_counter_start()
    body()
    return allocation_counter_stop()
}

/// The packet path allocates nothing and counts no references for a packet, whatever arrives.
/// Optimised builds only: without optimisation Swift makes copies that nobody wrote.
struct AllocationTests {
    static let packets = 100_000
    let now = EstablishedTunnel.created + .seconds(1)

    private func expectNothing(
        _ counts: allocation_counts, _ location: SourceLocation = #_sourceLocation
    ) {
        #if !DEBUG
            #expect(counts.allocations == 0, "allocations", sourceLocation: location)
            #expect(counts.frees == 0, "frees", sourceLocation: location)
            #expect(counts.retains == 0, "retains", sourceLocation: location)
            #expect(counts.releases == 0, "releases", sourceLocation: location)
        #endif
    }

    // MARK: TUN to underlay

    /// A cipher, and whether in its fast form where the host has it.
    struct Protection: CustomTestStringConvertible {
        var suite = TransportSuite.chaChaPoly
        var isWide = false
        var testDescription: String { suite.rawValue + (isWide ? ", wide" : "") }

        static let all = TransportSuite.allCases.filter(\.isAvailable).flatMap { suite in
            [false, true].map { Protection(suite: suite, isWide: $0) }
        }
    }

    /// Sends `read` until 100,000 segments have left; `sealed` counts them.
    private func send(
        _ read: [UInt8], _ protection: Protection = Protection()
    ) -> (counts: allocation_counts, sealed: Int) {
        let tunnel = EstablishedTunnel(suite: protection.suite)
        var outbound = Outbound(forwarding: tunnel.forwarding)
        if protection.isWide { outbound.cipher.widen() }
        let fresh = UnsafeMutableRawBufferPointer.allocate(byteCount: read.count, alignment: 64)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: read.count, alignment: 64)
        defer {
            fresh.deallocate()
            buffer.deallocate()
        }
        fresh.copyBytes(from: read)
        var sealed = 0
        var rounds = 0
        let counts = counting {
            while sealed < Self.packets, rounds < Self.packets {
                rounds += 1
                buffer.copyMemory(from: UnsafeRawBufferPointer(fresh))
                outbound.begin(buffer)
                while true {
                    let progress = outbound.advance(now: now)
                    if progress == .done, outbound.batch.groupCount < 32 { break }
                    sealed += segments(outbound)
                    outbound.batch.reset()
                    outbound.resetNews()
                    if progress == .done { break }
                }
            }
            sealed += segments(outbound)
        }
        return (counts, sealed)
    }

    private func segments(_ outbound: borrowing Outbound) -> Int {
        var sum = 0
        for i in 0..<outbound.batch.groupCount {
            sum += Int(outbound.batch.groups[i].segments)
        }
        return sum
    }

    @Test(arguments: [false, true], Protection.all)
    func superPackets(v6: Bool, protection: Protection) {
        let read = EstablishedTunnel.superPacket(v6: v6, payload: 64_000, segment: 1340)
        let (counts, sealed) = send(read, protection)
        expectNothing(counts)
        #expect(sealed >= Self.packets)
    }

    @Test(arguments: [false, true])
    func smallPackets(v6: Bool) {
        let packet = EstablishedTunnel.builder(v6: v6, fromFar: false)
            .udp(1, 2, [UInt8](repeating: 1, count: v6 ? 16 : 36))
        #expect(packet.count == 64)
        let (counts, sealed) = send(EstablishedTunnel.read(VirtioNetHeader(), packet))
        expectNothing(counts)
        #expect(sealed >= Self.packets)
    }

    /// Which flows are sparse, and what waits for them to pass.
    @Test(arguments: [false, true])
    func readsInOrder(v6: Bool) {
        let packet = EstablishedTunnel.builder(v6: v6, fromFar: false).udp(1, 2, [1, 2, 3])
        var flows = SparseFlows(seed: 1)
        var ahead = ReadAhead()
        var (sparse, kept) = (0, 0)
        packet.withUnsafeBytes { bytes in
            let counts = counting {
                for _ in 0..<Self.packets {
                    if flows.isSparse(bytes, ahead: ahead, now: now) {
                        sparse += 1
                        continue
                    }
                    if let place = ahead.place {
                        place.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
                        ahead.keep(bytes.count)
                        kept += 1
                    } else {
                        ahead.removeOldest()
                    }
                }
            }
            expectNothing(counts)
        }
        #expect(sparse > 0 && kept > ReadAhead.most)
    }

    /// No session, no route, no packet: staged and dropped without allocating either.
    @Test(arguments: [[10, 0, 3, 1], [10, 9, 9, 9], [10, 0, 4, 1], []] as [[UInt8]])
    func packetsThatDoNotLeave(destination: [UInt8]) {
        let packet = EstablishedTunnel.builder(fromFar: false).udp(1, 2, [1, 2, 3])
        var read = EstablishedTunnel.read(VirtioNetHeader(), packet)
        if destination.isEmpty {
            read[VirtioNetHeader.size] = 0x75
        } else {
            read.replaceSubrange(26..<30, with: destination)
        }
        let tunnel = EstablishedTunnel()
        var outbound = Outbound(forwarding: tunnel.forwarding)
        var staged = 0
        read.withUnsafeMutableBytes { buffer in
            let counts = counting {
                for _ in 0..<Self.packets {
                    outbound.begin(buffer)
                    while outbound.advance(now: now) == .stagingFull {
                        staged += outbound.stagedCount
                        outbound.resetNews()
                    }
                }
            }
            expectNothing(counts)
        }
        staged += outbound.stagedCount
        var dropped: UInt64 = 0
        for drop in PacketDrop.allCases { dropped += outbound.drops[drop] }
        #expect(staged + Int(dropped) == Self.packets)
        let left = segments(outbound)
        #expect(left == 0)
    }

    // MARK: Underlay to TUN

    /// What one kind of message does: how it is made from a batch's place, and where it ends.
    struct Arrival: CustomTestStringConvertible {
        var testDescription: String
        var plain: [UInt8]
        var drop: PacketDrop?
        var isReplayed = false
        var isForged = false
        var hasOtherIndex = false
        var isElsewhere = false
        var tos: UInt8 = 0
    }

    static let arrivals: [Arrival] = {
        let v4 = EstablishedTunnel.builder(fromFar: true)
        let v6 = EstablishedTunnel.builder(v6: true, fromFar: true)
        var stranger = v4
        stranger.source = v6.source == v4.source ? v4.source : .v4(IPv4Address(0x0a00_0909))
        let body = [UInt8](repeating: 7, count: 1200)
        let data = v4.udp(1, 2, body)
        return [
            Arrival(testDescription: "UDP over IPv4", plain: data),
            Arrival(testDescription: "UDP over IPv6", plain: v6.udp(1, 2, body)),
            Arrival(testDescription: "TCP over IPv4", plain: v4.tcp(1, 2, .init(), body)),
            Arrival(testDescription: "TCP over IPv6", plain: v6.tcp(1, 2, .init(), body)),
            Arrival(testDescription: "keepalives", plain: []),
            Arrival(testDescription: "from elsewhere", plain: data, isElsewhere: true),
            Arrival(testDescription: "congestion", plain: data, drop: .congestionMarked, tos: 3),
            Arrival(testDescription: "replays", plain: data, drop: .replayed, isReplayed: true),
            Arrival(testDescription: "forgeries", plain: data, drop: .forged, isForged: true),
            Arrival(
                testDescription: "no session", plain: data, drop: .unknownIndex,
                hasOtherIndex: true),
            Arrival(
                testDescription: "wrong source", plain: stranger.udp(1, 2, body),
                drop: .sourceNotAllowed),
            Arrival(
                testDescription: "no packet", plain: [UInt8](repeating: 0xff, count: 64),
                drop: .malformedInner),
        ]
    }()

    @Test(arguments: arrivals)
    func messages(_ arrival: Arrival) throws { try receive(arrival, Protection()) }

    @Test(arguments: Protection.all)
    func ciphers(_ protection: Protection) throws { try receive(Self.arrivals[0], protection) }

    private func receive(_ arrival: Arrival, _ protection: Protection) throws {
        let tunnel = EstablishedTunnel(suite: protection.suite)
        var inbound = Inbound(forwarding: tunnel.forwarding)
        if protection.isWide { inbound.cipher.widen() }
        let size = arrival.plain.count + TransportMessage.overhead
        let batch = 64
        let slab = UnsafeMutableRawBufferPointer.allocate(byteCount: size * batch, alignment: 64)
        defer { slab.deallocate() }
        let source =
            arrival.isElsewhere ? EstablishedTunnel.elsewhere : EstablishedTunnel.endpoint
        var counter: UInt64 = 0
        var delivered = 0
        var events = 0
        let counts = arrival.plain.withUnsafeBytes { plain in
            counting {
                for _ in 0..<(Self.packets / batch + 1) {
                    for i in 0..<batch {
                        let message = UnsafeMutableRawBufferPointer(
                            rebasing: slab[i * size..<(i + 1) * size])
                        tunnel.seal(plain, counter: counter, into: message)
                        if arrival.isForged { message[size - 1] ^= 1 }
                        if arrival.hasOtherIndex { message[4] ^= 1 }
                        if !arrival.isReplayed { counter += 1 }
                        _ = inbound.receive(message, from: source, tos: arrival.tos, now: now)
                    }
                    inbound.coalescer.close()
                    for i in 0..<inbound.coalescer.groupCount {
                        delivered += inbound.coalescer.packetCount(ofGroup: i)
                    }
                    inbound.coalescer.reset()
                    events += inbound.eventCount
                    inbound.resetEvents()
                }
            }
        }
        expectNothing(counts)
        let total = (Self.packets / batch + 1) * batch
        if let drop = arrival.drop {
            #expect(delivered == (arrival.isReplayed ? 1 : 0))
            #expect(inbound.drops[drop] == UInt64(total - delivered))
        } else {
            #expect(delivered == (arrival.plain.isEmpty ? 0 : total))
            for drop in PacketDrop.allCases { #expect(inbound.drops[drop] == 0) }
        }
        #expect((events > 0) == arrival.isElsewhere)
    }
}

/// Bugs put in on purpose: what the tests above must be able to see.
struct AllocationCanaryTests {
    private final class Object {
        var number = 0
        @inline(never) func touch() { number &+= 1 }
    }

    @inline(never) private func consume(_ object: consuming Object?) -> Object? { object }

    @Test func anAllocationIsSeen() {
        var buffer: UnsafeMutableRawPointer?
        let counts = counting {
            for _ in 0..<10 {
                buffer = .allocate(byteCount: 100, alignment: 16)
                blackHole(buffer)
                buffer?.deallocate()
            }
        }
        #expect(counts.allocations == 10 && counts.frees == 10)
        // An alignment beyond malloc's takes another way.
        let aligned = counting {
            buffer = .allocate(byteCount: 100, alignment: 4096)
            blackHole(buffer)
        }
        buffer?.deallocate()
        #expect(aligned.allocations == 1)
    }

    @Test func anArrayIsSeen() {
        var sum = 0
        let counts = counting {
            for i in 1...100 {
                var array = Array(repeating: i, count: i)
                array.withUnsafeMutableBytes { blackHole($0.baseAddress) }
                sum += array.count
            }
        }
        #expect(counts.allocations >= 100 && sum == 5050)
    }

    @Test func aRetainIsSeen() {
        #expect(allocation_counter_counts_references(), "this runtime has no hooks")
        let object = Object()
        var kept: [Object] = []
        kept.reserveCapacity(10)
        let counts = counting { for _ in 0..<10 { kept.append(object) } }
        #expect(counts.retains >= 10 && counts.allocations == 0)
        #expect(kept.count == 10)
    }

    @Test func whatOthersDoIsNotSeen() async {
        let other = Task.detached { Array(repeating: 1, count: 1000).count }
        let counts = counting {}
        #expect(counts.allocations == 0)
        #expect(await other.value == 1000)
    }

    @inline(never) private func blackHole(_ pointer: UnsafeMutableRawPointer?) {
        pointer?.storeBytes(of: 1, as: UInt8.self)
    }
}
