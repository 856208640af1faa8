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
}
