import Addresses
import Noise
import Testing
import Timing
import Tunnel

/// Handshakes of two devices, the timers of the WireGuard paper's section 6, and hostile mail.
@Suite struct HandshakeTests {
    @Test func firstPacketWaitsForTheHandshakeAndArrives() throws {
        let wire = try Wire()
        let packet = wire.packet(from: wire.a, payload: Array("hello".utf8))
        wire.send(packet, from: wire.a)
        #expect(wire.b.delivered == [packet])
        #expect(wire.sentTypes(wire.a) == [1, 4])
        #expect(wire.sentTypes(wire.b) == [2])
        #expect(wire.a.notes.contains(.handshakeCompleted(wire.b.key.publicKey, initiator: true)))
        #expect(wire.b.notes.contains(.handshakeCompleted(wire.a.key.publicKey, initiator: false)))
    }

    @Test func bothWaysWithAndWithoutPresharedKey() throws {
        for psk in [nil, PresharedKey(from: .seeded(9))] {
            let wire = try Wire(seed: 3, psk: psk)
            let there = wire.packet(from: wire.a, payload: [1, 2, 3])
            let back = wire.packet(from: wire.b, payload: [4, 5])
            wire.send(there, from: wire.a)
            wire.send(back, from: wire.b)
            #expect(wire.b.delivered == [there])
            #expect(wire.a.delivered == [back])
        }
    }

    @Test func wrongPresharedKeyNeverAgrees() throws {
        let wire = try Wire(psk: PresharedKey(from: .seeded(1)))
        try wire.configure(
            wire.b, peer: wire.a, prefix: "10.0.1.0/24", psk: PresharedKey(from: .seeded(2)),
            keepalive: 0, knows: false)
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(wire.b.delivered.isEmpty)
        #expect(wire.a.notes.contains(.handshakeRefused(.forged, from: wire.b.address)))
    }

    @Test func responderMayNotSendBeforeConfirmation() throws {
        let wire = try Wire()
        wire.fate = { end, bytes in end === wire.a && bytes.first == 4 ? [] : [bytes] }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.b.sent.removeAll()
        wire.send(wire.packet(from: wire.b, payload: [2]), from: wire.b)
        // No session that it may use: it stages and begins a handshake of its own.
        #expect(wire.sentTypes(wire.b).first == 1)
    }

    @Test func simultaneousInitiationsBothEndUsable() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.advance(.seconds(130))
        wire.a.delivered.removeAll()
        wire.b.delivered.removeAll()
        for i in UInt8(0)..<20 {
            wire.send(wire.packet(from: wire.a, payload: [i]), from: wire.a)
            wire.send(wire.packet(from: wire.b, payload: [i]), from: wire.b)
            wire.advance(.seconds(20))
        }
        #expect(wire.a.delivered.count == 20)
        #expect(wire.b.delivered.count == 20)
    }

    @Test func initiationIsRetransmittedWithJitterAndGivenUpAfter90Seconds() throws {
        let wire = try Wire()
        wire.fate = { _, _ in [] }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.advance(.seconds(200))
        let times = wire.a.sent.filter { $0.bytes.first == 1 }.map(\.at)
        // The first and eighteen more.
        #expect(times.count == 19)
        for (earlier, later) in zip(times, times.dropFirst()) {
            let gap = later - earlier
            #expect(gap >= .seconds(5) && gap <= .milliseconds(5_340))
        }
        #expect(Set(zip(times, times.dropFirst()).map { ($1 - $0).count }).count > 5)
        #expect(wire.a.notes.contains(.handshakeGivenUp(wire.b.key.publicKey)))
        // Every initiation has its own timestamp and index.
        #expect(Set(wire.a.sent.map(\.bytes)).count == 19)
    }

    @Test func initiatorRenewsAfter120SecondsOfSending() throws {
        let wire = try Wire()
        for second in 0..<400 {
            wire.send(wire.packet(from: wire.a, payload: [UInt8(second & 255)]), from: wire.a)
            wire.advance(.seconds(1))
        }
        #expect(wire.b.delivered.count == 400)
        let handshakes = wire.a.sent.filter { $0.bytes.first == 1 }
        #expect(handshakes.count == 4)
        for (earlier, later) in zip(handshakes, handshakes.dropFirst()) {
            #expect(later.at - earlier.at >= .seconds(120))
            #expect(later.at - earlier.at <= .seconds(122))
        }
        #expect(wire.b.sent.allSatisfy { $0.bytes.first != 1 })
    }

    @Test func initiatorThatOnlyReceivesRenewsInTime() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        // Keepalives of the receiver would be its own sending: they are eaten here, so that
        // only the rule for receiving (165 s) can renew.
        for second in 0..<175 {
            wire.send(wire.packet(from: wire.b, payload: [UInt8(second & 255)]), from: wire.b)
            wire.advance(.seconds(1))
        }
        #expect(wire.a.delivered.count == 175)
        #expect(wire.a.sent.filter { $0.bytes.first == 1 }.count == 2)
    }

    @Test func passiveKeepaliveAfter10SecondsAndOnlyOne() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.b.sent.removeAll()
        wire.advance(.seconds(60))
        #expect(wire.b.sent.map(\.bytes.count) == [32])
        let at = wire.b.sent[0].at - Instant(nanoseconds: 1_000_000_000)
        #expect(at >= .seconds(10) && at <= .milliseconds(10_600))
    }

    @Test func noKeepaliveWhenDataAnswers() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.send(wire.packet(from: wire.b, payload: [2]), from: wire.b)
        wire.b.sent.removeAll()
        wire.advance(.seconds(9))
        #expect(wire.b.sent.isEmpty)
    }

    @Test func silenceAfterSendingBeginsAHandshake() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.fate = { _, _ in [] }
        wire.a.sent.removeAll()
        wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        wire.advance(.seconds(14))
        #expect(wire.a.sent.allSatisfy { $0.bytes.first == 4 })
        wire.advance(.seconds(2))
        #expect(wire.a.sent.contains { $0.bytes.first == 1 })
    }

    @Test func persistentKeepaliveKeepsItsInterval() throws {
        let wire = try Wire(keepalive: 25)
        wire.settle()
        wire.advance(.seconds(1))
        wire.a.sent.removeAll()
        wire.advance(.seconds(100))
        let keepalives = wire.a.sent.filter { $0.bytes.first == 4 }
        #expect(keepalives.count == 4)
        #expect(keepalives.allSatisfy { $0.bytes.count == 32 })
    }

    @Test func sessionsEndAfter180SecondsAndKeysAreErasedAfter540() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.fate = { _, _ in [] }
        wire.advance(.seconds(170))
        let late = try #require(wire.a.sent.first { $0.bytes.first == 4 }).bytes
        wire.advance(.seconds(11))
        wire.b.drops.removeAll()
        wire.arrive(late, at: wire.b, from: wire.a.address)
        #expect(wire.b.drops == [.expiredSession])
        wire.a.sent.removeAll()
        wire.send(wire.packet(from: wire.a, payload: [9]), from: wire.a)
        #expect(wire.sentTypes(wire.a) == [1])
        wire.advance(.seconds(600))
        #expect(wire.a.notes.contains(.keysErased(wire.b.key.publicKey)))
        #expect(wire.a.device.status().peers[0].hasSession == false)
    }

    @Test func stagedPacketsAreBoundedAndTheOldestGo() throws {
        let wire = try Wire()
        wire.fate = { _, _ in [] }
        for i in UInt8(0)..<200 {
            wire.send(wire.packet(from: wire.a, payload: [i]), from: wire.a)
        }
        #expect(wire.a.device.status().peers[0].stagedPackets == 128)
        #expect(wire.a.device.droppedWithoutSession == 72)
        wire.fate = nil
        wire.advance(.seconds(6))
        #expect(wire.b.delivered.map { $0.last } == (72..<200).map { UInt8($0) })
    }

    @Test func clockSetBackStillGivesGreaterTimestamps() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.wall = WallTime(
            nanosecondsSince1970: wire.wall.nanosecondsSince1970 - 3_600_000_000_000)
        wire.advance(.seconds(200))
        wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        #expect(wire.b.delivered.last?.last == 2)
    }

    @Test func replayedInitiationIsRefused() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        let initiation = try #require(wire.a.sent.first?.bytes)
        wire.advance(.seconds(1))
        wire.arrive(initiation, at: wire.b, from: wire.a.address)
        wire.settle()
        #expect(wire.b.notes.last == .handshakeRefused(.replayed, from: wire.a.address))
    }

    @Test func unknownPeerIsRefused() throws {
        let wire = try Wire()
        var change = DeviceChange()
        change.replacePeers = true
        try wire.b.device.apply(change, now: wire.time)
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(wire.b.notes.contains(.handshakeRefused(.unknownPeer, from: wire.a.address)))
        #expect(wire.b.sent.isEmpty)
    }

    @Test func cookiesComeIntoPlayUnderLoad() throws {
        let wire = try Wire()
        wire.loaded = wire.b
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        #expect(wire.sentTypes(wire.b) == [3])
        #expect(wire.b.delivered.isEmpty)
        wire.advance(.seconds(6))
        // The retransmission carries MAC2 and is served.
        #expect(wire.b.delivered.count == 1)
        #expect(wire.sentTypes(wire.b).prefix(2) == [3, 2])
    }

    @Test func underLoadASourceMayNotComeTooOften() throws {
        var limiter = Device.handshakeLimiter()
        let source = try #require(IPAddress("192.0.2.9"))
        let start = Instant(nanoseconds: 5_000_000_000)
        let burst = (0..<100).filter { _ in limiter.allow(source, now: start) }.count
        #expect(burst == 5)
        let second = (1...100).filter { i in
            limiter.allow(source, now: start + .milliseconds(Int64(i) * 10))
        }.count
        #expect(second == 20)
        // One /64 is one source.
        let six = (0..<50).filter { i in
            guard let a = IPAddress("2001:db8::\(i)") else { return false }
            return limiter.allow(a, now: start)
        }.count
        #expect(six == 5)
    }

    @Test func roamingFollowsAuthenticatedPacketsOnly() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        let elsewhere = try #require(IPEndpoint("198.51.100.7:4000"))
        // A forged message from elsewhere changes nothing.
        var forged = try #require(wire.a.sent.last?.bytes)
        forged[forged.count - 1] ^= 1
        forged[8] ^= 0x40
        wire.arrive(forged, at: wire.b, from: elsewhere)
        #expect(wire.b.device.status().peers[0].endpoint == wire.a.address)
        // A genuine one does.
        wire.fate = { end, bytes in
            if end === wire.a, bytes.first == 4 {
                wire.arrive(bytes, at: wire.b, from: elsewhere)
                return []
            }
            return [bytes]
        }
        wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        #expect(wire.b.device.status().peers[0].endpoint == elsewhere)
        #expect(wire.b.notes.contains(.roamed(wire.a.key.publicKey, to: elsewhere)))
    }

    @Test func aChangeIsAppliedWholeOrNotAtAll() throws {
        var limits = Device.Limits()
        limits.peers = 2
        let device = Device(limits: limits, entropy: .seeded(4))
        var change = DeviceChange()
        change.listenPort = 7
        change.peers = (0..<3).map { PeerChange(PrivateKey(from: .seeded($0)).publicKey) }
        let now = Now(Instant(nanoseconds: 1), wall: WallTime(nanosecondsSince1970: 0))
        #expect(throws: DeviceChangeError.tooManyPeers(limit: 2)) {
            try device.apply(change, now: now)
        }
        #expect(device.status().peers.isEmpty)
        #expect(device.status().listenPort == 0)
    }

    @Test func allowedIPsMoveBetweenPeersAndGoWithThem() throws {
        let device = Device(entropy: .seeded(4))
        let now = Now(Instant(nanoseconds: 1), wall: WallTime(nanosecondsSince1970: 0))
        let prefix = try #require(IPPrefix("10.1.0.0/16"))
        var change = DeviceChange()
        for seed in [UInt64(1), 2] {
            var peer = PeerChange(PrivateKey(from: .seeded(seed)).publicKey)
            peer.allowedIPs = [.init(prefix)]
            change.peers.append(peer)
        }
        try device.apply(change, now: now)
        #expect(device.status().peers.map(\.allowedIPs) == [[], [prefix]])
        var removal = DeviceChange()
        removal.peers = [PeerChange(change.peers[1].publicKey)]
        removal.peers[0].remove = true
        try device.apply(removal, now: now)
        #expect(device.status().peers.map(\.allowedIPs) == [[]])
        for effect in device.takeEffects() {
            if case .retire(let item) = effect { item.free() }
        }
    }

    /// Mail that nobody should believe: any message of a real exchange with any bit changed,
    /// cut at any length, or sent again, must not be delivered, and the tunnel lives on.
    @Test func hostileMail() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: Array(0..<40)), from: wire.a)
        let genuine = wire.a.sent.map(\.bytes) + wire.b.sent.map(\.bytes)
        let before = wire.b.delivered.count
        for message in genuine {
            for bit in 0..<(message.count * 8) {
                var bad = message
                bad[bit / 8] ^= 1 << (bit % 8)
                wire.arrive(bad, at: wire.b, from: wire.a.address)
            }
            for count in 0..<message.count {
                wire.arrive(Array(message[..<count]), at: wire.b, from: wire.a.address)
            }
            wire.arrive(message, at: wire.b, from: wire.a.address)
            wire.settle()
        }
        #expect(wire.b.delivered.count == before)
        wire.advance(.seconds(1))
        let packet = wire.packet(from: wire.a, payload: [7, 7])
        wire.send(packet, from: wire.a)
        #expect(wire.b.delivered.last == packet)
    }

    @Test func reorderedAndRepeatedDataArrivesOnce() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [0]), from: wire.a)
        var held: [[UInt8]] = []
        wire.fate = { end, bytes in
            if end === wire.a { held.append(bytes) }
            return []
        }
        for i in UInt8(1)...60 {
            wire.send(wire.packet(from: wire.a, payload: [i]), from: wire.a)
        }
        for message in held.reversed() + held {
            wire.arrive(message, at: wire.b, from: wire.a.address)
        }
        #expect(wire.b.delivered.count == 61)
        #expect(wire.b.drops.filter { $0 == .replayed }.count == 60)
    }

    @Test func aPeerSpeaksOnlyForItsOwnAddresses() throws {
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        // From b's own address, but sent by a: routed by destination, refused by source.
        var spoofed = wire.packet(from: wire.a, payload: [6])
        spoofed[14] = 9
        wire.send(spoofed, from: wire.a)
        #expect(wire.b.delivered.count == 1)
        #expect(wire.b.drops.contains(.sourceNotAllowed))
    }
}
