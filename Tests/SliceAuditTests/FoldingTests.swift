import SliceAudit
import Testing
import Timing

struct FoldingTests {
    private func at(_ seconds: UInt64) -> Instant {
        Instant(nanoseconds: seconds * 1_000_000_000)
    }

    private struct Step {
        var second: UInt64
        var kind: AuditEvent.Kind = .flowRefused
        var subject: String?
        /// What is written then: subject and count.
        var out: [String]
    }

    @Test func repeatsAreCounted() {
        let table = [
            Step(second: 0, subject: "a", out: ["a 1"]),
            Step(second: 1, subject: "a", out: []),
            Step(second: 2, subject: "b", out: ["b 1"]),
            Step(second: 3, kind: .attachRefused, subject: "a", out: ["a 1"]),
            Step(second: 59, subject: "a", out: []),
            Step(second: 60, subject: nil, out: ["a 2"]),
            Step(second: 60, subject: nil, out: []),
            Step(second: 61, subject: "a", out: ["a 1"]),
            Step(second: 62, subject: "b", out: ["b 1"]),
            // What changes something is never folded.
            Step(second: 63, kind: .attached, subject: "x", out: ["x 1"]),
            Step(second: 63, kind: .attached, subject: "x", out: ["x 1"]),
            Step(second: 64, subject: "a", out: []),
            Step(second: 500, subject: "a", out: ["a 1", "a 1"]),
        ]
        var folding = AuditFolding()
        for step in table {
            let out =
                step.subject.map {
                    folding.add(
                        event(step.kind, $0, after: Int64(step.second)), at: at(step.second))
                } ?? folding.expire(at: at(step.second))
            #expect(out.map { "\($0.subject) \($0.count)" } == step.out, "\(step)")
        }
        #expect(folding.deadline == at(560))
        #expect(folding.flush().isEmpty && folding.deadline == nil)
    }

    @Test func aCountHasTheTimeOfItsLast() {
        var folding = AuditFolding()
        for second in [0, 10, 20] as [UInt64] {
            _ = folding.add(event(.claimRefused, "a", after: Int64(second)), at: at(second))
        }
        #expect(folding.flush().map(\.time) == [event(.claimRefused, after: 20).time])
    }

    @Test func theTableIsBounded() {
        var folding = AuditFolding(capacity: 3)
        var written: UInt64 = 0
        for round in 0..<5000 as Range<UInt64> {
            for _ in 0..<2 {
                written += folding.add(event(.routeRefused, "s\(round % 2500)"), at: at(0))
                    .reduce(0) { $0 + $1.count }
            }
        }
        written += folding.flush().reduce(0) { $0 + $1.count }
        // Nothing is lost, whatever is pushed out.
        #expect(written == 10_000)
    }

    /// A scan: every refusal is another one.
    @Test func differentRefusalsAreLimitedByKindAndSlice() {
        var folding = AuditFolding()
        var out: [AuditEvent] = []
        for number in 0..<5000 { out += folding.add(event(.flowRefused, "s\(number)"), at: at(1)) }
        #expect(out.map(\.subject) == (0..<100).map { "s\($0)" })
        // Others have their own allowance, and what is known is counted as ever.
        #expect(folding.add(event(.claimRefused, "a"), at: at(2)).count == 1)
        let elsewhere = AuditEvent(.flowRefused, time: start, slice: "orders", subject: "a")
        #expect(folding.add(elsewhere, at: at(2)).count == 1)
        #expect(folding.add(event(.flowRefused, "s7"), at: at(2)).isEmpty)
        #expect(folding.add(event(.attached, "x"), at: at(2)).count == 1)
        let told = folding.expire(at: at(61))
        #expect(told.map(\.kind) == [.flowRefused, .omitted])
        #expect(told.map(\.count) == [1, 4900] && told[1].subject == "flowRefused")
        #expect(told[1].slice == "payments" && told[1].cluster == "west")
        #expect(told[1].reason.hasPrefix("more than 100 different ones came"))
        // One a minute is earned, no more.
        let later = (0..<10).flatMap { folding.add(event(.flowRefused, "t\($0)"), at: at(62)) }
        #expect(later.map(\.subject) == ["t0"])
        #expect(folding.deadline == at(122))
        #expect(folding.flush().map(\.count) == [9] && folding.deadline == nil)
    }

    /// For a day somebody refuses to stop, in every kind at once: nine files of 64 MiB would hold
    /// months of it.
    @Test func aFloodCannotPushTheLogOut() {
        var folding = AuditFolding()
        var bytes = 0
        var counted: UInt64 = 0
        var number = 0
        var chain = AuditChain.genesis(id: "flood", time: start, cluster: "west").chain
        for second in stride(from: UInt64(0), to: 86_400, by: 5) {
            for kind in AuditEvent.Kind.refusals.sorted(by: { $0.word < $1.word }) {
                for _ in 0..<3 {
                    number += 1
                    let flood = event(kind, "namespace/endpoint-\(number) -> kafka/broker-0")
                    for out in folding.add(flood, at: at(second)) {
                        bytes += chain.append(out).count
                        counted += out.count
                    }
                }
            }
        }
        counted += folding.flush().reduce(0) { $0 + $1.count }
        #expect(counted == UInt64(number))
        #expect(bytes < 8 << 20, "\(bytes) bytes a day")
    }

    @Test func aRestedKindHasItsAllowanceAgain() {
        var folding = AuditFolding(allowance: AuditAllowance(burst: 3, pause: .seconds(10)))
        func written(_ second: UInt64) -> Int {
            (0..<9).flatMap { folding.add(event(.claimRefused, "\(second)-\($0)"), at: at(second)) }
                .count { $0.kind == .claimRefused }
        }
        #expect(written(0) == 3 && written(5) == 0 && written(25) == 2 && written(30) == 1)
        #expect(written(10_000) == 3)
    }
}
