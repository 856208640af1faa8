import Addresses
import Testing
import Timing
import WanModel

@Suite struct WanModelTests {
    @Test func aCutStopsEverythingAtOnceAndHealLetsNothingOldThrough() throws {
        var rig = Rig(
            model: try wan("set * delay 10ms\nat 5ms cut west>east\nat 6ms heal west>east"))
        rig.offer(1, at: instant(0))
        rig.offer(2, from: east, to: west, at: instant(0))
        rig.offer(3, at: instant(5))
        rig.offer(4, at: instant(7))
        rig.finish()
        #expect(rig.fates[2] == .drop(.cut))
        // 1 was in flight when the line was cut; the other direction never noticed.
        #expect(
            rig.steps == [
                Step(packet: 1, at: instant(10), isDelivered: false),
                Step(packet: 2, at: instant(10), isDelivered: true),
                Step(packet: 4, at: instant(17), isDelivered: true),
            ])
        let counters = rig.model.link(from: west, to: east).counters
        #expect(counters.dropped(.cut) == 1 && counters.dropped(.cutInFlight) == 1)
    }

    @Test func aPacketThatArrivedBeforeTheCutIsDelivered() throws {
        var rig = Rig(model: try wan("set * delay 10ms\nat 10ms cut *"))
        rig.offer(1, at: instant(0))
        rig.offer(2, at: start + .nanoseconds(1))
        // The shell woke up late: both the packets and the command are overdue.
        rig.drain(until: instant(50))
        #expect(rig.steps.map(\.isDelivered) == [true, false])
    }

    @Test(arguments: [
        ("*", ["w>c", "w>e", "c>w", "c>e", "e>w", "e>c"]), ("west", ["w>c", "w>e", "c>w", "e>w"]),
        ("west>east", ["w>e"]), ("west>*", ["w>c", "w>e"]), ("*>west", ["c>w", "e>w"]),
        ("west<>east", ["w>e", "e>w"]),
    ])
    func selectorsChooseDirections(_ selector: String, _ wanted: [String]) throws {
        let model = try wan("cut \(selector)")
        let cut = model.pairs.filter { model.link(from: $0.from, to: $0.to).isCut }
        let names = ["w", "c", "e"]
        #expect(cut.map { "\(names[$0.from])>\(names[$0.to])" } == wanted)
    }

    @Test func clearMakesAPerfectWireOfIt() throws {
        var model = try wan("set * delay 10ms loss 50%\ncut *")
        try model.apply(.clear(.all), at: start)
        let link = model.link(from: west, to: east)
        #expect(!link.isCut && link.conditions == LinkConditions())
    }

    @Test func commandsOfOneTimeKeepTheirOrder() throws {
        var model = try wan("at 2s cut *\nat 1s set * delay 9ms\nat 2s heal *\nat 2s set * loss 1%")
        #expect(model.nextDeadline == instant(1_000))
        #expect(model.due(at: instant(1_500)) == nil)
        #expect(model.nextDeadline == instant(2_000))
        #expect(model.due(at: instant(2_000)) == nil)
        #expect(!model.link(from: west, to: east).isCut)
        #expect(model.nextDeadline == nil)
    }

    @Test func anUnknownSiteChangesNothing() throws {
        var model = try wan()
        #expect(throws: WanModel.Refusal.unknownSite("north")) {
            try model.apply(.cut(.bothWays("west", "north")), at: start)
        }
        #expect(throws: WanModel.Refusal.unknownSite("north")) {
            try model.schedule(.cut(.touching("north")), at: start)
        }
        #expect(model.pairs.allSatisfy { !model.link(from: $0.from, to: $0.to).isCut })
    }

    @Test func waitingCommandsAreBounded() throws {
        var model = try wan()
        for _ in 0..<WanScript.mostStatements { try model.schedule(.cut(.all), at: instant(1)) }
        #expect(throws: WanModel.Refusal.tooManyCommands) {
            try model.schedule(.cut(.all), at: instant(1))
        }
        #expect(model.due(at: instant(1)) == nil)
    }

    @Test func limitsAreCounted() throws {
        var limits = WanModel.Limits()
        limits.packets = 3
        limits.bytes = 1_000
        var rig = Rig(model: try wan("set * delay 1s", limits: limits))
        for i in 0..<5 { rig.offer(i, length: 10, at: start) }
        rig.offer(9, length: 10, from: east, to: west, at: start)
        #expect(rig.fates[3] == .drop(.packetLimit) && rig.fates[5] == .drop(.packetLimit))
        rig.finish()
        rig.offer(10, length: 600, at: instant(2_000))
        rig.offer(11, length: 600, at: instant(2_000))
        #expect(rig.fates.last == .drop(.byteLimit))
        let counters = rig.model.link(from: west, to: east).counters
        #expect(counters.dropped(.packetLimit) == 2 && counters.dropped(.byteLimit) == 1)
        #expect(rig.model.queue.mostPackets == 3)
    }

    @Test func aDuplicateThatDoesNotFitIsNotMade() throws {
        var limits = WanModel.Limits()
        limits.packets = 1
        var rig = Rig(model: try wan("set * delay 1s duplicate 100%", limits: limits))
        rig.offer(1, at: start)
        #expect(rig.fates == [.deliver(at: instant(1_000))])
        #expect(rig.model.link(from: west, to: east).counters.duplicated == 0)
    }

    // MARK: determinism

    private func trace(seed: UInt64, alsoOn other: Bool = false) throws -> [Fate] {
        let script = "set * delay 10ms jitter 3ms normal loss 10% duplicate 5% reorder 5% by 9ms"
        var rig = Rig(model: try wan(script, seed: seed))
        var fates: [Fate] = []
        for i in 0..<2_000 {
            rig.offer(i, at: instant(Int64(i)))
            fates.append(rig.fates.last!)
            if other { rig.offer(i, from: central, to: west, at: instant(Int64(i))) }
        }
        return fates
    }

    @Test func theSameSeedGivesTheSameTrace() throws {
        #expect(try trace(seed: 1) == trace(seed: 1))
        #expect(try trace(seed: 1) != trace(seed: 2))
    }

    @Test func otherLinksTrafficChangesNothing() throws {
        #expect(try trace(seed: 1) == trace(seed: 1, alsoOn: true))
    }

    @Test func seedingAgainStartsTheTraceAgain() throws {
        var rig = Rig(model: try wan("set * loss 50%", seed: 3))
        for i in 0..<200 { rig.offer(i, at: start) }
        try rig.model.apply(.seed(3), at: start)
        for i in 0..<200 { rig.offer(i, at: start) }
        #expect(Array(rig.fates[..<200]) == Array(rig.fates[200...]))
    }

    /// Read by eye when it was written: losses, swaps (7 after 8, 24 after 27), a copy (2),
    /// what the cut at 22 ms took off the wire, and the end of the cut.
    @Test func goldenTrace() throws {
        let script = """
            set * delay 10ms jitter 1ms loss 15% duplicate 10% reorder 20% by 5ms
            at 22ms cut west
            at 24ms heal west
            """
        var rig = Rig(model: try wan(script, seed: 42))
        for i in 0..<28 { rig.offer(i, at: instant(Int64(i))) }
        rig.finish()
        let offers = rig.fates.enumerated().map { i, fate in
            switch fate {
            case .drop(let reason): "\(i) \(reason.name)"
            case .deliver(let at): "\(i) at \((at - start).count / 1_000)us"
            case .deliverTwice(let at): "\(i) twice at \((at - start).count / 1_000)us"
            }
        }
        let arrivals = rig.steps.map { ($0.isDelivered ? "" : "lost ") + "\($0.packet)" }
        let text = (offers + [arrivals.joined(separator: " ")]).joined(separator: "\n")
        #expect(text == golden)
    }

    // MARK: properties, and their canaries

    private func busyRig(seed: UInt64) throws -> Rig {
        var random = SplitMix64(seed: seed)
        let percent = { (most: UInt64) in "\(random.next(below: most + 1))%" }
        let script = """
            set * delay \(random.next(below: 20))ms jitter \(random.next(below: 9))ms normal
            set * loss \(percent(30)) duplicate \(percent(30)) reorder \(percent(30)) by 7ms
            set west>east rate 1mbit queue 20kB burst \(percent(5)) \(percent(50))
            at \(random.next(below: 300))ms cut west
            at \(300 + random.next(below: 300))ms heal *
            """
        var limits = WanModel.Limits()
        limits.packets = 60
        var rig = Rig(model: try wan(script, seed: seed, limits: limits))
        var now = start
        for i in 0..<1_500 {
            now = now + .microseconds(Int64(random.next(below: 1_000)))
            let from = Int(random.next(below: 3))
            let to = (from + 1 + Int(random.next(below: 2))) % 3
            rig.offer(i, length: Int(random.next(below: 1_500)), from: from, to: to, at: now)
        }
        return rig
    }

    @Test(arguments: UInt64(0)..<50)
    func packetsAreConservedAndTimeIsMonotone(_ seed: UInt64) throws {
        var rig = try busyRig(seed: seed)
        rig.finish()
        #expect(zip(rig.steps, rig.steps.dropFirst()).allSatisfy { $0.at <= $1.at })
        for (from, to) in rig.model.pairs {
            #expect(isConserved(rig.model.link(from: from, to: to).counters, inFlight: 0))
        }
        // Every copy that was promised came out of the queue, delivered or lost to the cut.
        let promised = rig.fates.reduce(0) { sum, fate in
            switch fate {
            case .drop: sum
            case .deliver: sum + 1
            case .deliverTwice: sum + 2
            }
        }
        #expect(rig.steps.count == promised)
        #expect(rig.model.queue.bytes == 0)
    }

    @Test func theQueueIsASortedList() throws {
        var rig = Rig(model: try wan("set * delay 50ms jitter 40ms reorder 90% by 60ms"))
        for i in 0..<3_000 { rig.offer(i, at: start) }
        let expected = rig.fates.enumerated()
            .map { ($0.offset, $0.element.arrival!) }
            .sorted { ($0.1, $0.0) < ($1.1, $1.0) }
        rig.finish()
        #expect(rig.delivered == expected.map { Int32($0.0) })
    }

    @Test func canaryTheOrderCheckSeesASwap() throws {
        var rig = Rig(model: try wan("set * delay 10ms reorder 50% by 5ms"))
        for i in 0..<100 { rig.offer(i, at: instant(Int64(i))) }
        rig.finish()
        #expect(firstOvertaking(rig.delivered) != nil)
    }

    @Test func canaryTheConservationCheckSeesALostPacket() throws {
        let rig = try busyRig(seed: 1)
        var counters = rig.model.link(from: west, to: central).counters
        let inFlight =
            Int(counters.offeredPackets + counters.duplicated)
            - Int(counters.deliveredPackets + counters.dropped)
        #expect(isConserved(counters, inFlight: inFlight))
        counters.count(.loss)
        #expect(!isConserved(counters, inFlight: inFlight))
    }
}

extension Nanoseconds {
    fileprivate static func nanoseconds(_ n: Int64) -> Self { Self(n) }
}

private let golden = """
    0 loss
    1 at 11829us
    2 twice at 11829us
    3 at 12290us
    4 at 13432us
    5 loss
    6 at 16538us
    7 at 18419us
    8 at 17751us
    9 at 19008us
    10 at 19739us
    11 at 21955us
    12 at 21955us
    13 at 25473us
    14 loss
    15 loss
    16 at 25484us
    17 at 27508us
    18 at 28992us
    19 at 28992us
    20 at 30004us
    21 at 31134us
    22 cut
    23 cut
    24 at 37815us
    25 at 35304us
    26 at 36256us
    27 at 37079us
    1 2 2 3 4 6 8 7 9 10 11 12 lost 13 lost 16 lost 17 lost 18 lost 19 lost 20 lost 21 25 26 27 24
    """
