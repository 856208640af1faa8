import Testing
import Timing
import WanModel

@Suite struct LinkTests {
    @Test func aPerfectWireDeliversAtOnce() throws {
        var rig = Rig(model: try wan())
        rig.offer(1, at: instant(5))
        #expect(rig.fates == [.deliver(at: instant(5))])
    }

    @Test func delayIsExactAndPerDirection() throws {
        var rig = Rig(model: try wan("set west>east delay 10ms\nset east>west delay 3ms"))
        rig.offer(1, at: instant(0))
        rig.offer(2, from: east, to: west, at: instant(0))
        rig.offer(3, from: west, to: central, at: instant(0))
        #expect(
            rig.fates == [
                .deliver(at: instant(10)), .deliver(at: instant(3)), .deliver(at: instant(0)),
            ])
    }

    @Test(arguments: LinkConditions.Spread.allCases)
    func jitterKeepsOrderAndItsMean(_ spread: LinkConditions.Spread) throws {
        var rig = Rig(model: try wan("set * delay 10ms jitter 2ms \(spread.rawValue)"))
        // Far apart, so that keeping the order never delays a packet.
        var sum: Int64 = 0
        for i in 0..<20_000 {
            let now = instant(Int64(i) * 100)
            rig.offer(i, at: now)
            sum += (try #require(rig.fates[i].arrival) - now).count
        }
        let mean = Double(sum) / 20_000 / 1e6
        let wanted = spread == .tail ? 12.0 : 10.0
        #expect(abs(mean - wanted) < 0.1)
        rig.finish()
        #expect(rig.delivered.count == 20_000)

        // Close together: jitter wants to swap them and may not.
        var dense = Rig(model: try wan("set * delay 10ms jitter 2ms \(spread.rawValue)"))
        for i in 0..<20_000 { dense.offer(i, at: start + .microseconds(Int64(i) * 10)) }
        dense.finish()
        #expect(firstOvertaking(dense.delivered) == nil)
    }

    @Test func uniformJitterStaysInItsBounds() throws {
        var rig = Rig(model: try wan("set * delay 1ms jitter 2ms"))
        var seen: Set<Bool> = []
        for i in 0..<5_000 {
            let now = instant(Int64(i) * 100)
            rig.offer(i, at: now)
            let flight = try #require(rig.fates[i].arrival) - now
            #expect((0...3_000_000).contains(flight.count))
            seen.insert(flight == .zero)
        }
        // Delay minus jitter would be negative: those arrive at once, not in the past.
        #expect(seen == [true, false])
    }

    @Test(arguments: [1, 20, 50])
    func lossHasItsRatio(_ percent: Int) throws {
        var rig = Rig(model: try wan("set west>east loss \(percent)%"))
        for i in 0..<50_000 { rig.offer(i, at: instant(Int64(i))) }
        let ratio = Double(rig.model.link(from: west, to: east).counters.dropped(.loss)) / 50_000
        #expect(abs(ratio - Double(percent) / 100) < 0.01)
    }

    @Test func lossAtTheEnds() throws {
        var never = Rig(model: try wan("set * loss 0%"))
        var always = Rig(model: try wan("set * loss 100%"))
        for i in 0..<1_000 {
            never.offer(i, at: instant(0))
            always.offer(i, at: instant(0))
        }
        #expect(never.fates.allSatisfy { $0.arrival != nil })
        #expect(always.fates.allSatisfy { $0 == .drop(.loss) })
    }

    /// Gilbert: the share of bad time is enter / (enter + leave), a bad run lasts 1 / leave.
    @Test func burstsComeInRuns() throws {
        var rig = Rig(model: try wan("set * burst 1% 10%"))
        for i in 0..<100_000 { rig.offer(i, at: instant(Int64(i))) }
        let lost = rig.fates.map { $0 == .drop(.burst) }
        let runs = zip([false] + lost, lost).filter { !$0 && $1 }.count
        let total = lost.filter { $0 }.count
        #expect(abs(Double(total) / 100_000 - 1.0 / 11) < 0.02)
        #expect(abs(Double(total) / Double(runs) - 10) < 1.5)
    }

    @Test func duplicatesFollowTheirOriginal() throws {
        var rig = Rig(model: try wan("set * delay 5ms duplicate 100%"))
        rig.offer(1, at: instant(0))
        rig.offer(2, at: instant(1))
        rig.finish()
        #expect(rig.delivered == [1, 1, 2, 2])
        #expect(rig.fates == [.deliverTwice(at: instant(5)), .deliverTwice(at: instant(6))])
    }

    @Test func reorderedPacketsComeLaterByAtMostTheSetTime() throws {
        var rig = Rig(model: try wan("set * delay 10ms reorder 10% by 4ms"))
        for i in 0..<10_000 { rig.offer(i, at: start + .microseconds(Int64(i) * 100)) }
        for (i, fate) in rig.fates.enumerated() {
            let sent = start + .microseconds(Int64(i) * 100)
            let flight = try #require(fate.arrival) - sent
            #expect((10_000_000...14_000_000).contains(flight.count))
        }
        rig.finish()
        #expect(firstOvertaking(rig.delivered) != nil)
        let reordered = rig.model.link(from: west, to: east).counters.reordered
        #expect((800...1_200).contains(reordered))
        #expect(rig.delivered.sorted() == (0..<10_000).map { Int32($0) })
    }

    /// 1,000 bytes at 8 Mbit/s take a millisecond of wire each.
    @Test func rateSerialises() throws {
        var rig = Rig(model: try wan("set * rate 8mbit queue 1MB delay 20ms"))
        for i in 0..<10 { rig.offer(i, length: 1_000, at: instant(0)) }
        #expect(rig.fates == (1...10).map { .deliver(at: instant(20 + $0)) })
        // The wire has been idle since; it has no memory of that.
        rig.offer(10, length: 1_000, at: instant(100))
        #expect(rig.fates[10] == .deliver(at: instant(121)))
    }

    @Test func theQueueDropsAtItsTail() throws {
        var rig = Rig(model: try wan("set * rate 8mbit queue 5kB"))
        for i in 0..<8 { rig.offer(i, length: 1_000, at: instant(0)) }
        #expect(
            rig.fates.map { $0.arrival != nil } == [
                true, true, true, true, true, false, false, false,
            ])
        #expect(rig.fates[7] == .drop(.queue))
        // One packet's time later there is room for one.
        rig.offer(8, length: 1_000, at: instant(1))
        rig.offer(9, length: 1_000, at: instant(1))
        #expect(rig.fates[8] == .deliver(at: instant(6)))
        #expect(rig.fates[9] == .drop(.queue))
    }

    @Test func anIdleWireTakesAPacketLargerThanTheQueue() throws {
        var rig = Rig(model: try wan("set * rate 8mbit queue 500B"))
        rig.offer(0, length: 1_000, at: instant(0))
        rig.offer(1, length: 1_000, at: instant(0))
        #expect(rig.fates == [.deliver(at: instant(1)), .drop(.queue)])
    }

    @Test func aLostPacketHasUsedTheWire() throws {
        var rig = Rig(model: try wan("set * rate 8mbit loss 100%"))
        rig.offer(0, length: 1_000, at: instant(0))
        try rig.model.apply(.set(.all, [.loss(.never)]), at: instant(0))
        rig.offer(1, length: 1_000, at: instant(0))
        #expect(rig.fates[1] == .deliver(at: instant(2)))
    }

    @Test func whatWaitsStaysAsManyBytesWhenTheRateChanges() throws {
        var rig = Rig(model: try wan("set * rate 8mbit queue 10kB"))
        for i in 0..<10 { rig.offer(i, length: 1_000, at: instant(0)) }
        #expect(rig.model.link(from: west, to: east).waitingBytes(at: instant(0)) == 10_000)
        try rig.model.apply(.set(.all, [.rate(80_000_000)]), at: instant(0))
        #expect(rig.model.link(from: west, to: east).waitingBytes(at: instant(0)) == 10_000)
        #expect(rig.model.link(from: west, to: east).waitingBytes(at: instant(1)) == 0)
    }

    /// Extreme but legal numbers must not overflow.
    @Test func extremesDoNotTrap() throws {
        var rig = Rig(
            model: try wan(
                "set * delay 24h jitter 24h normal reorder 50% by 24h rate 1kbit queue 1000GB"))
        for i in 0..<2_000 { rig.offer(i, length: 65_535, at: start) }
        try rig.model.apply(.set(.all, [.rate(1_000_000_000_000)]), at: start)
        rig.offer(2_000, length: 0, at: start)
        try rig.model.apply(.set(.all, [.rate(1_000)]), at: start)
        rig.offer(2_001, length: 65_535, at: start)
        rig.finish()
        #expect(rig.delivered.count == 2_002)
    }
}
