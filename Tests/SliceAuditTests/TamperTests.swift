import SliceAudit
import Testing
import Timing

/// Somebody changes one thing: what is said to be wrong is that, and where it is.
struct TamperTests {
    /// Each field of the fourth of so many lines, in the form that entries have.
    private static let changes: [(field: String, old: String, new: String)] = [
        ("sequence up", "\"sequence\":3", "\"sequence\":7"),
        ("sequence down", "\"sequence\":3", "\"sequence\":1"),
        ("sequence to its neighbour's", "\"sequence\":3", "\"sequence\":4"),
        ("time", "22:00:03.123Z", "22:00:04.123Z"),
        ("kind", "attachRefused", "flowRefused"),
        ("kind to one that says more", "attachRefused", "repaired"),
        ("kind to one that nobody knows", "attachRefused", "whatever"),
        ("slice", "payments", "orders"), ("cluster", "west", "east"),
        ("subject", "broker-3", "broker-4"), ("reason", "is not here", "is here"),
        ("count", "\"count\":1", "\"count\":2"), ("previous", "\"previous\":\"", ""),
    ]

    private func tampered(_ line: [UInt8], _ old: String, _ new: String) throws -> [UInt8] {
        var text = String(decoding: line, as: UTF8.self)
        if new == "" {
            // The first digit of the digest.
            let place = try #require(text.firstRange(of: old)).upperBound
            text.replaceSubrange(place...place, with: text[place] == "0" ? "1" : "0")
        } else {
            text.replaceSubrange(try #require(text.firstRange(of: old)), with: new)
        }
        return Array(text.utf8)
    }

    @Test(arguments: changes)
    func aFieldIsChanged(_ field: String, _ old: String, _ new: String) throws {
        for count in [6, 5, 4] {
            let all = lines(count)
            var changed = all
            changed[3] = try tampered(all[3], old, new)
            try #require(AuditEntry(line: changed[3]) != nil, "\(field)")
            for heads in [[], [head(all)]] where count > 4 || !heads.isEmpty {
                let report = verify(file(changed), heads: heads)
                #expect(report.problem?.reason == .changed, "\(field) of \(count) \(report)")
                #expect(report.problem?.line == 4, "\(field) of \(count) \(report)")
                #expect(report.entries == 3)
            }
        }
    }

    @Test func theFirstLineIsChanged() throws {
        let all = lines(4)
        for (old, new) in [("00c0ffee", "00c0ffef"), ("west", "east"), ("22:00", "21:00")] {
            var changed = all
            changed[0] = try tampered(all[0], old, new)
            let problem = verify(file(changed)).problem
            #expect(problem?.reason == .changed && problem?.line == 1, "\(old)")
        }
        var changed = all
        changed[0] = try tampered(all[0], "\"reason\":\"", "\"reason\":\"x")
        let problem = verify(file(changed)).problem
        #expect(problem?.reason == .changed && problem?.line == 1)
    }

    @Test func aLineIsTakenOut() {
        let all = lines(6)
        for place in all.indices {
            var changed = all
            changed.remove(at: place)
            let report = verify(file(changed), heads: [head(all)])
            let reason: AuditBreak.Reason =
                place == 0 ? .noBeginning : place == 5 ? .cutOff : .missing
            #expect(report.problem?.reason == reason, "\(place)")
            #expect(report.problem?.line == (place == 5 ? 5 : place + 1))
        }
    }

    @Test func linesChangePlaces() {
        let all = lines(6)
        for one in 1..<6 {
            for other in one + 1..<6 {
                var changed = all
                changed.swapAt(one, other)
                let problem = verify(file(changed), heads: [head(all)]).problem
                #expect(problem?.reason == .reordered, "\(one) and \(other): \(problem as Any)")
                #expect(problem?.line == one + 1)
            }
        }
    }

    @Test func aLineIsThereTwice() {
        let all = lines(6)
        for place in all.indices {
            for target in place + 1...all.count {
                var changed = all
                changed.insert(all[place], at: target)
                let problem = verify(file(changed), heads: [head(all)]).problem
                #expect(problem?.reason == .repeated && problem?.line == target + 1)
            }
        }
    }

    /// With the right number and the right digest: the line behind tells which of the two it
    /// followed.
    @Test func aLineIsPutIn() throws {
        let all = lines(5)
        let real = try #require(AuditEntry(line: all[3]))
        let forged = AuditEntry(
            sequence: 3, event: event(.detached), previous: real.previous
        ).line
        for place in [3, 4] {
            var changed = all
            changed.insert(forged, at: place)
            let problem = verify(file(changed)).problem
            #expect(problem?.reason == .repeated && problem?.line == place + 1)
            #expect(problem?.detail.hasPrefix("there are two entries 3") == true)
        }
    }

    @Test func aLineIsCut() {
        let all = lines(5)
        for place in all.indices {
            for length in [0, 1, all[place].count / 2, all[place].count - 1] {
                var changed = all
                changed[place] = Array(all[place][..<length])
                let problem = verify(file(changed), heads: [head(all)]).problem
                #expect(problem?.reason == .notAnEntry, "\(place) \(length)")
                #expect(problem?.line == place + 1)
            }
        }
    }

    /// The entry that vouches for what a crash left behind, and what it vouches for.
    @Test func aRepairIsChanged() throws {
        let left = Array("{\"sequence\":2".utf8)
        let bytes = file(lines(2)) + left
        let resumption = AuditResumption(
            tail: AuditTail(bytes), head: nil, id: "", time: start, cluster: "west")
        var chain = resumption.chain
        var all = lines(2) + [left] + [Array(resumption.opening.dropFirst().dropLast())]
        for _ in 0..<2 { all.append(chain.append(event(.started)).dropLast()) }
        try #require(verify(file(all)).problem == nil)
        let digest = "\(AuditDigest(of: left))"
        for (old, new) in [
            ("repaired", "started"), (String(digest.prefix(8)), "00000000"),
            ("bytes before", "bytes after"),
        ] {
            var changed = all
            changed[3] = try tampered(all[3], old, new)
            let problem = verify(file(changed)).problem
            #expect(problem?.reason == .changed && problem?.line == 4, "\(old) \(problem as Any)")
        }
        var without = all
        without.remove(at: 2)
        #expect(verify(file(without)).problem?.reason == .missing)
        var other = all
        other[2][3] ^= 1
        let problem = verify(file(other)).problem
        #expect(problem?.reason == .changed && problem?.line == 3)
    }
}
