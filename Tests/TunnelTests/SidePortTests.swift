import Addresses
import Noise
import Testing
import Timing
import Tunnel

/// A tunnel with several queues sends from several ports; the other end answers to the one that
/// it listens on.
@Suite struct SidePortTests {
    private let sidePort = IPEndpoint("192.0.2.1:40001")

    /// Whatever of `a` holds a packet comes from a port of its own.
    private func spread(_ wire: Wire, from source: IPEndpoint) {
        wire.a.outbound = Outbound(forwarding: wire.a.device.forwarding, lane: 1)
        wire.fate = { end, bytes in
            guard end === wire.a, bytes.first == 4, bytes.count > 32 else { return [bytes] }
            wire.arrive(bytes, at: wire.b, from: source)
            return []
        }
    }

    private func endpoint(_ end: Wire.End) -> IPEndpoint? {
        end.device.status().peers.first?.endpoint
    }

    @Test func anotherPortIsNoPlaceToMoveToWhileTheEndpointSpeaks() throws {
        let wire = try Wire()
        let sidePort = try #require(sidePort)
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        spread(wire, from: sidePort)
        for n in 1...100 as ClosedRange<UInt8> {
            wire.send(wire.packet(from: wire.a, payload: [n]), from: wire.a)
            wire.advance(.milliseconds(50))
            #expect(endpoint(wire.b) == wire.a.address)
        }
        #expect(wire.b.delivered.count == 101)
        #expect(!wire.b.notes.contains(.roamed(wire.a.key.publicKey, to: sidePort)))
        // It took one word every 268 ms of these five seconds.
        let words = wire.a.sent.filter { $0.bytes.first == 4 && $0.bytes.count == 32 }.count
        #expect(17...21 ~= words, "\(words)")
    }

    /// After a silence anything may be heard first; the next word from the listening port counts.
    @Test func whatWasHeardFirstIsLeftForTheListeningPort() throws {
        let wire = try Wire()
        let sidePort = try #require(sidePort)
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        wire.advance(.seconds(1))
        var words: [[UInt8]] = []
        wire.a.outbound = Outbound(forwarding: wire.a.device.forwarding, lane: 1)
        wire.fate = { end, bytes in
            guard end === wire.a, bytes.first == 4 else { return [bytes] }
            if bytes.count == 32 {
                words.append(bytes)
            } else {
                wire.arrive(bytes, at: wire.b, from: sidePort)
            }
            return []
        }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(endpoint(wire.b) == sidePort)
        wire.settle()
        #expect(words.count == 1)
        for word in words { wire.arrive(word, at: wire.b, from: wire.a.address) }
        wire.settle()
        #expect(endpoint(wire.b) == wire.a.address)
    }

    @Test func aPeerThatMovedIsFollowedOnceItsOldPortIsSilent() throws {
        let wire = try Wire()
        let elsewhere = try #require(sidePort)
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        // A NAT on the way has given it another port: everything comes from there.
        wire.fate = { end, bytes in
            guard end === wire.a else { return [bytes] }
            wire.arrive(bytes, at: wire.b, from: elsewhere)
            return []
        }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(endpoint(wire.b) == wire.a.address)
        wire.advance(.milliseconds(540))
        wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        #expect(endpoint(wire.b) == elsewhere)
        #expect(wire.b.delivered.count == 3)
    }

    @Test func whatWasOnlyConfiguredIsLeftAtOnce() throws {
        let wire = try Wire()
        let sidePort = try #require(sidePort)
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        var change = DeviceChange()
        var peer = PeerChange(wire.a.key.publicKey)
        peer.endpoint = IPEndpoint("192.0.2.1:9")
        change.peers = [peer]
        try wire.b.device.apply(change, now: wire.time)
        wire.collect(wire.b)
        spread(wire, from: sidePort)
        var seen: IPEndpoint?
        let toSidePort = wire.fate
        wire.fate = { end, bytes in
            // What comes from the listening port comes second, and is for another test.
            if seen == nil, end === wire.a, bytes.count == 32 { seen = self.endpoint(wire.b) }
            return toSidePort?(end, bytes) ?? [bytes]
        }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(seen == sidePort)
    }

    @Test func withoutASessionThereIsNothingToSay() throws {
        let wire = try Wire()
        wire.a.device.packetEvent(.sentFromSidePort(peer: 0), now: wire.time)
        wire.a.device.packetEvent(.sentFromSidePort(peer: 7), now: wire.time)
        wire.settle()
        #expect(wire.a.sent.isEmpty)
    }
}
