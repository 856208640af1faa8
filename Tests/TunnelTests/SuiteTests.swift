import Noise
import Testing
import Timing
import Tunnel

/// Two devices with the same cipher, with different ones, and with one that changes.
@Suite struct SuiteTests {
    @Test func aesCarriesWhenBothEndsHaveIt() throws {
        guard TransportSuite.aesGCM.isAvailable else { return }
        let wire = try Wire(seed: 4, suites: (.aesGCM, .aesGCM))
        let there = wire.packet(from: wire.a, payload: [1, 2, 3])
        let back = wire.packet(from: wire.b, payload: [4, 5])
        wire.send(there, from: wire.a)
        wire.send(back, from: wire.b)
        #expect(wire.b.delivered == [there])
        #expect(wire.a.delivered == [back])
    }

    /// Nobody falls back to the other: the one that was asked says why it does not answer.
    @Test func endsThatDisagreeOnTheCipherNeverAgree() throws {
        for suites in [(.aesGCM, .chaChaPoly), (.chaChaPoly, .aesGCM)]
            as [(TransportSuite, TransportSuite)]
        {
            let wire = try Wire(suites: suites)
            wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
            wire.advance(.seconds(20))
            #expect(wire.b.delivered.isEmpty)
            #expect(wire.sentTypes(wire.b).isEmpty)
            #expect(wire.b.notes.contains(.handshakeRefused(.otherSuite, from: wire.a.address)))
            #expect(
                wire.b.notes.contains(
                    .suitesDiffer(wire.a.key.publicKey, theirs: suites.0, ours: suites.1)))
        }
    }

    /// Within five seconds of an initiation no other may be sent: the new suite's follows then.
    @Test func aChangeSoonAfterAHandshakeIsNotForgotten() throws {
        guard TransportSuite.aesGCM.isAvailable else { return }
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.advance(.seconds(1))
        for (end, other) in [(wire.b, wire.a), (wire.a, wire.b)] {
            var change = DeviceChange()
            var peer = PeerChange(other.key.publicKey)
            peer.suite = .aesGCM
            change.peers = [peer]
            try end.device.apply(change, now: wire.time)
        }
        let before = wire.a.notes.count + wire.b.notes.count
        wire.advance(.seconds(10))
        let completed = (wire.a.notes + wire.b.notes).filter {
            if case .handshakeCompleted = $0 { true } else { false }
        }
        #expect(wire.a.notes.count + wire.b.notes.count > before)
        #expect(completed.count >= 4, "one at each end before, and one after")
        wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        #expect(wire.b.delivered.count == 2)
    }

    /// A change of cipher takes nothing from a session that is there, and begins another.
    @Test func aChangeOfCipherLosesNothing() throws {
        guard TransportSuite.aesGCM.isAvailable else { return }
        let wire = try Wire()
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        wire.advance(.seconds(10))
        for (end, other) in [(wire.b, wire.a), (wire.a, wire.b)] {
            var change = DeviceChange()
            var peer = PeerChange(other.key.publicKey)
            peer.suite = .aesGCM
            change.peers = [peer]
            try end.device.apply(change, now: wire.time)
            wire.send(wire.packet(from: wire.a, payload: [2]), from: wire.a)
        }
        wire.advance(.seconds(10))
        wire.send(wire.packet(from: wire.a, payload: [3]), from: wire.a)
        #expect(wire.b.delivered.count == 4)
        #expect(wire.a.device.status().peers.first?.suite == .aesGCM)
        let completed = wire.a.notes.filter {
            if case .handshakeCompleted = $0 { true } else { false }
        }
        #expect(completed.count >= 2)
    }
}
