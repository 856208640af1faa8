import Addresses
import GatewayRuntime
import SliceModel
import Testing
import Timing

/// A book, its time, and what it said.
private final class Bench {
    var book = HealthBook()
    var now = Instant(nanoseconds: 1_000_000_000)

    func pass(_ milliseconds: Int64) { now = now + .milliseconds(milliseconds) }

    func set(_ targets: HealthTarget...) { book.set(targets, now: now) }

    func due(limit: Int = 100) -> [HealthBook.Attempt] { book.due(now, limit: limit) }

    func names(limit: Int = 100) -> [String] {
        due(limit: limit).map { $0.target.id.endpoint.text }
    }

    /// Everybody who is due, with the same outcome.
    func round(_ outcome: HealthBook.Outcome) -> [HealthBook.Change] {
        due().compactMap { book.finished($0, outcome, now: now) }
    }

    func finish(_ attempt: HealthBook.Attempt, _ outcome: HealthBook.Outcome) -> HealthBook.Change?
    {
        book.finished(attempt, outcome, now: now)
    }
}

private func target(
    _ endpoint: String, failures: Int = 2, address: String = "10.0.0.1", port: UInt16 = 9092
) throws -> HealthTarget {
    let key = ServiceRecord.Key(
        try #require(NamespaceName("kafka")), try #require(ServiceName("kafka")))
    return HealthTarget(
        id: HealthTarget.ID(key, try #require(EndpointName(endpoint))),
        addresses: [IPAddress(address)].compactMap { $0 },
        check: HealthCheck(port: port, interval: .seconds(2), failures: failures))
}

@Suite struct HealthBookTests {
    @Test func failuresInARowTakeOutAndOneAnswerBringsBack() throws {
        let bench = Bench()
        let a = try target("a", failures: 3)
        bench.set(a)
        #expect(bench.book.isHealthy(a.id) && !bench.book.isSettled)
        #expect(bench.round(.answered).isEmpty)
        #expect(bench.book.isSettled)
        for _ in 0..<2 {
            bench.pass(2_000)
            #expect(bench.round(.failed).isEmpty)
        }
        // Not in a row.
        bench.pass(2_000)
        #expect(bench.round(.answered).isEmpty)
        for _ in 0..<2 {
            bench.pass(2_000)
            #expect(bench.round(.failed).isEmpty)
        }
        bench.pass(2_000)
        #expect(bench.round(.failed) == [HealthBook.Change(id: a.id, isHealthy: false)])
        #expect(!bench.book.isHealthy(a.id))
        bench.pass(2_000)
        #expect(bench.round(.failed).isEmpty)
        bench.pass(2_000)
        #expect(bench.round(.answered) == [HealthBook.Change(id: a.id, isHealthy: true)])
    }

    /// Whoever has never answered is not given the benefit of the doubt twice.
    @Test func theFirstFailureOfANewOneIsEnough() throws {
        let bench = Bench()
        let a = try target("a", failures: 9)
        bench.set(a)
        #expect(bench.round(.failed) == [HealthBook.Change(id: a.id, isHealthy: false)])
    }

    @Test func ourOwnFaultSaysNothing() throws {
        let bench = Bench()
        let a = try target("a", failures: 1)
        bench.set(a)
        for _ in 0..<5 {
            #expect(bench.round(.inconclusive).isEmpty)
            bench.pass(2_000)
        }
        #expect(bench.book.isHealthy(a.id) && !bench.book.isSettled)
        #expect(bench.round(.failed).count == 1)
    }

    @Test func eachWhenItsTimeComesAndNoMoreThanThereIsRoomFor() throws {
        let bench = Bench()
        bench.set(try target("a"), try target("b"), try target("c"))
        #expect(bench.names(limit: 2) == ["a", "b"])
        #expect(bench.names(limit: 0) == [])
        #expect(bench.names() == ["c"])
        // Nobody twice at a time.
        bench.pass(10_000)
        #expect(bench.names() == [])
        #expect(bench.book.nextDue == nil)
    }

    @Test func theNextTryIsAnIntervalAfterTheLast() throws {
        let bench = Bench()
        bench.set(try target("a"))
        let start = bench.now
        let first = bench.due()[0]
        bench.pass(500)
        _ = bench.finish(first, .answered)
        #expect(bench.book.nextDue == start + .seconds(2))
        bench.pass(1_499)
        #expect(bench.names() == [])
        bench.pass(1)
        let second = bench.due()[0]
        // It took longer than the interval.
        bench.pass(5_000)
        _ = bench.finish(second, .failed)
        #expect(bench.names() == ["a"])
    }

    @Test func whoGoesOrMovesIsAnother() throws {
        let bench = Bench()
        let a = try target("a")
        bench.set(a, try target("b"))
        #expect(bench.round(.failed).count == 2)
        // Stays, with what is known of it.
        bench.set(a)
        #expect(!bench.book.isHealthy(a.id) && bench.book.count == 1)
        bench.pass(2_000)
        let old = bench.due()
        #expect(old.map(\.target) == [a])
        // The same name elsewhere: tried at once, healthy until then; what comes of the old
        // try does not concern it.
        let moved = try target("a", address: "10.0.0.9")
        bench.set(moved)
        #expect(bench.book.isHealthy(a.id))
        #expect(bench.finish(old[0], .failed) == nil)
        #expect(bench.book.isHealthy(a.id))
        #expect(bench.due().map(\.target) == [moved])
        bench.set()
        #expect(bench.book.count == 0 && bench.book.isSettled)
        #expect(bench.names() == [])
    }

    @Test func settingTheSameAgainAndAgainKeepsTheQueueShort() throws {
        let bench = Bench()
        let a = try target("a")
        for round in 0..<1_000 {
            bench.set(a, try target("b\(round)"))
        }
        #expect(Set(bench.names()) == ["a", "b999"])
        #expect(bench.book.nextDue == nil)
        bench.set(a, a)
        #expect(bench.book.count == 1)
    }
}
