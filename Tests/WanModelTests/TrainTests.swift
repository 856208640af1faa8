import Timing
import WanModel
import Testing

/// Packets that are handed over as one fare as they would one by one, or are refused as a train.
@Suite struct TrainTests {
    private let load = WireLoad(packets: 10, bytes: 10_000)

    /// The same ten packets of 1,000 bytes at once: as a train, and one by one.
    private func both(_ script: String, at times: [Instant]) throws -> (train: Rig, single: Rig) {
        var train = Rig(model: try wan(script))
        var single = Rig(model: try wan(script))
        for (n, now) in times.enumerated() {
            train.drain(until: now)
            let name = Int32(-1 - n)
            if train.model.offer(train: name, load, from: west, to: east, at: now) == nil {
                for i in 0..<10 { train.offer(10 * n + i, length: 1_000, at: now) }
            }
            for i in 0..<10 { single.offer(10 * n + i, length: 1_000, at: now) }
        }
        train.finish()
        single.finish()
        return (train, single)
    }

    private func counters(_ rig: Rig) -> LinkCounters {
        rig.model.link(from: west, to: east).counters
    }

    @Test(arguments: [
        "set * delay 7ms", "set * delay 7ms rate 1gbit queue 1MB", "set * rate 800mbit queue 20kB",
    ])
    func aTrainArrivesWithItsLastPacket(_ script: String) throws {
        let (train, single) = try both(script, at: [instant(0), instant(0), instant(3)])
        #expect(train.steps.map(\.packet) == [-1, -2, -3])
        #expect(train.steps.map(\.at) == [9, 19, 29].map { single.steps[$0].at })
        #expect(counters(train) == counters(single))
        #expect(counters(train).deliveredPackets == 30)
        #expect(counters(train).deliveredBytes == 30_000)
    }

    @Test(arguments: [
        "loss 10%", "burst 5% 20%", "duplicate 10%", "reorder 10% by 4ms", "jitter 1ms",
        "rate 10mbit queue 1MB", "rate 800mbit queue 15kB", "rate 800mbit queue 500B",
    ])
    func whereTheyFareDifferentlyPacketsAreOfferedOneByOne(_ words: String) throws {
        let times = (0..<100).map { start + .microseconds(Int64($0) * 150) }
        let (train, single) = try both("set * delay 5ms \(words)", at: times)
        // A train that fits into the queue beside others that do not may go as one.
        let isQueue = words.contains("queue 15kB")
        #expect(train.steps.contains { $0.packet < 0 } == isQueue)
        if !isQueue { #expect(train.steps == single.steps) }
        #expect(counters(train) == counters(single))
    }

    /// A link with chance that is switched off for a while, trains and all: the packets after
    /// them have the same fates.
    @Test func trainsShiftNobodysChance() throws {
        let script = "set * loss 20%\nat 10ms set * loss 0%\nat 20ms set * loss 20%"
        let times = (0..<30).map { instant(Int64($0)) }
        let (train, single) = try both(script, at: times)
        #expect(train.steps.filter { $0.packet < 0 }.count == 10)
        #expect(
            train.delivered.filter { $0 >= 200 } == single.delivered.filter { $0 >= 200 })
        #expect(counters(train) == counters(single))
    }

    @Test func aCutTakesAllOfATrain() throws {
        let script = "set * delay 10ms\nat 5ms cut *\nat 15ms heal *"
        let (train, single) = try both(script, at: [instant(0), instant(6), instant(16)])
        #expect(train.steps.filter(\.isDelivered).map(\.packet) == [-3])
        #expect(counters(train) == counters(single))
        #expect(counters(train).dropped(.cutInFlight) == 10)
        #expect(counters(train).dropped(.cut) == 10)
    }

    @Test func theLimitsCountItsPackets() throws {
        var limits = WanModel.Limits()
        limits.packets = 15
        var model = try wan("set * delay 5ms", limits: limits)
        let offer = { (name: Int32, now: Instant) in
            model.offer(train: name, load, from: west, to: east, at: now)
        }
        #expect(offer(-1, instant(0)) == instant(5))
        #expect(offer(-2, instant(0)) == nil)
        #expect(model.queue.packets == 10 && model.queue.bytes == 10_000)
        #expect(model.due(at: instant(5))?.packet == -1)
        #expect(model.queue.packets == 0 && model.queue.mostPackets == 10)
        limits.bytes = 9_999
        model = try wan("set * delay 5ms", limits: limits)
        #expect(model.offer(train: -1, load, from: west, to: east, at: instant(0)) == nil)
        #expect(model.link(from: west, to: east).counters == LinkCounters())
    }

    @Test func trainsAndPacketsKeepTheirOrder() throws {
        var rig = Rig(model: try wan("set * delay 5ms rate 800mbit queue 1MB"))
        rig.offer(1, length: 1_000, at: instant(0))
        #expect(
            rig.model.offer(train: -1, load, from: west, to: east, at: instant(0))
                == start + .microseconds(5_110))
        rig.offer(2, length: 1_000, at: instant(0))
        rig.finish()
        #expect(rig.delivered == [1, -1, 2])
        #expect(rig.steps.last?.at == start + .microseconds(5_120))
    }
}
