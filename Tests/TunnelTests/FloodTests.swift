import Addresses
import Noise
import Testing
import Timing
import Tunnel

/// Floods of handshake messages: what they may cost, and whom they may not keep out.
@Suite struct FloodTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func address(_ i: Int) -> IPAddress {
        .v4(IPv4Address(0xc612_0000 + UInt32(i)))
    }

    @Test func aFloodIsSeenAndLastsASecondLonger() {
        var flood = InitiationFlood()
        flood.note(49, start)
        #expect(!flood.isOn(start))
        // Peers that come back together are none: 40 in each 10 ms.
        for i in 1...100 as ClosedRange<Int64> {
            flood.note(40, start + .milliseconds(10 * i))
            #expect(!flood.isOn(start + .milliseconds(10 * i)))
        }
        let later = start + .seconds(2)
        flood.note(50, later)
        #expect(flood.isOn(later) && flood.isOn(later + .milliseconds(999)))
        #expect(!flood.isOn(later + .seconds(1)))
    }

    @Test func theGateStandsOpenUntilThereIsAFlood() {
        var gate = FloodGate()
        let letIn = (0..<5000).filter { _ in gate.lets(address(1), start) }.count
        #expect(letIn == 5000)
        let before = gate.set(true, start)
        #expect(before == .init())
        let during = (0..<5000).filter { _ in gate.lets(address(1), start) }.count
        #expect(during == 100)
        // Others are let in as before.
        let other = gate.lets(address(2), start)
        let turnedAway = gate.set(true, start).turnedAway
        _ = gate.set(false, start)
        let after = gate.lets(address(1), start)
        #expect(other && after && turnedAway == 4900)
    }

    /// Whoever is turned away fifty times in ten milliseconds, for a tenth of a second longer.
    @Test func whoIsTurnedAwayAgainAndAgainIsNamed() throws {
        var gate = FloodGate()
        var now = start
        _ = gate.set(true, now)
        let inV6 = try #require(IPAddress("2001:db8:1:2:3::4"))
        for _ in 0..<150 { _ = gate.lets(address(1), now) }
        for _ in 0..<149 { _ = gate.lets(address(2), now) }
        for _ in 0..<200 { _ = gate.lets(inV6, now) }
        now = now + .milliseconds(10)
        let named = [address(1), try #require(IPAddress("2001:db8:1:2::"))]
        #expect(gate.set(true, now).loud == named)
        // It goes on, and one in eight is received: seven of those that the gate lets not.
        for _ in 0..<100 { _ = gate.lets(address(1), now) }
        #expect(gate.set(true, now).turnedAway == 720)
        for _ in 0..<20 {
            now = now + .milliseconds(50)
            for _ in 0..<57 { _ = gate.lets(address(1), now) }
            #expect(gate.set(true, now).turnedAway == 56)
        }
        #expect(gate.set(true, now).loud == [address(1)])
        // Fewer than would have made it loud.
        for _ in 0..<10 {
            now = now + .milliseconds(10)
            for _ in 0..<16 { _ = gate.lets(address(1), now) }
            _ = gate.set(true, now)
        }
        #expect(gate.set(true, now).loud == [])
        for _ in 0..<500 { _ = gate.lets(address(1), now) }
        now = now + .milliseconds(10)
        #expect(gate.set(true, now).loud == [address(1)])
        #expect(gate.set(false, now) == .init())
    }

    @Test func neverMoreAreNamedThanAFilterTakes() {
        var gate = FloodGate()
        _ = gate.set(true, start)
        for source in 0..<1_000 { for _ in 0..<200 { _ = gate.lets(address(source), start) } }
        #expect(gate.set(true, start + .milliseconds(10)).loud.count == 16)
    }

    @Test func whoeverAsksTooOftenTakesNothingFromTheRest() {
        var limiter = RateLimiter(
            perSource: .init(perSecond: 100, burst: 20), inAll: .init(perSecond: 1000, burst: 100))
        let loud = (0..<100_000).filter { _ in limiter.allow(address(1), now: start) }.count
        #expect(loud == 20)
        let others = (2..<500).filter { limiter.allow(address($0), now: start) }.count
        #expect(others == 80, "100 at once in all")
    }

    @Test func sourcesAreForgottenAndNeverTooMany() {
        var limiter = Device.handshakeLimiter()
        for i in 0..<40_000 { _ = limiter.allow(address(i), now: start) }
        #expect(limiter.sourceCount == RateLimiter.maxSources)
        let later = limiter.allow(address(50_000), now: start + .seconds(2))
        #expect(later && limiter.sourceCount == 1)
    }

    /// A stranger's initiations with a right MAC1 each ask for a cookie reply.
    @Test func cookieRepliesToOneSourceAreFew() throws {
        let wire = try Wire()
        wire.loaded = wire.b
        wire.fate = { end, bytes in end === wire.a ? [bytes] : [] }
        wire.send(wire.packet(from: wire.a, payload: [1]), from: wire.a)
        let initiation = try #require(wire.a.sent.first?.bytes)
        wire.b.sent.removeAll()
        let stranger = try #require(IPEndpoint("198.51.100.9:7"))
        for _ in 0..<1000 { wire.arrive(initiation, at: wire.b, from: stranger) }
        wire.settle()
        #expect(wire.b.sent.count == 20)
        #expect(wire.b.sent.allSatisfy { $0.bytes.first == 3 })
        #expect(wire.b.notes.contains(.handshakeRefused(.rateLimited, from: stranger)))
    }
}
