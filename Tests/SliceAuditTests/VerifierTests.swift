import SliceAudit
import Testing
import Timing

struct VerifierTests {
    @Test func aWholeLogIsWhole() {
        let all = lines(6)
        for piece in [1, 7, 100_000] {
            let report = verify(file(all), heads: [head(all)], piece: piece)
            #expect(report.problem == nil && report.entries == 6 && report.first == 0)
            #expect(report.head == head(all) && report.id == "00c0ffee")
        }
        // In several files, and without the oldest of them.
        let parts = (file(Array(all[..<2])), file(Array(all[2..<3])), file(Array(all[3...])))
        #expect(verify(parts.0, parts.1, [], parts.2, heads: [head(all)]).problem == nil)
        let rest = verify(parts.1, parts.2, heads: [head(Array(all[..<2]))])
        #expect(rest.problem?.reason == .noBeginning && rest.problem?.line == 1)
    }

    /// Whichever bit of a log turns, somebody notices.
    @Test func everyByteCounts() {
        let all = lines(4)
        let whole = file(all)
        let end = head(all)
        for place in whole.indices {
            for bit in [1, 0x20, 0x80] as [UInt8] {
                var bytes = whole
                bytes[place] ^= bit
                #expect(verify(bytes, heads: [end]).problem != nil, "byte \(place), \(bit)")
            }
            var shorter = whole
            shorter.remove(at: place)
            #expect(verify(shorter, heads: [end]).problem != nil, "without byte \(place)")
            #expect(
                verify(Array(whole[..<place]), heads: [end]).problem != nil, "up to \(place)")
        }
    }

    /// Somebody who knows the form: the lines are good, the chain is not.
    @Test func aRewrittenEntryIsFound() throws {
        var all = lines(5)
        let entry = try #require(AuditEntry(line: all[2]))
        all[2] =
            AuditEntry(
                sequence: 2, event: event(.attached, "kafka/broker-2"), previous: entry.previous
            ).line
        let report = verify(file(all))
        #expect(report.problem?.reason == .changed && report.problem?.line == 3)
        // The last one only a head can tell.
        let true5 = lines(5)
        var false5 = true5
        false5[4] =
            AuditEntry(
                sequence: 4, event: event(.attached),
                previous: try #require(AuditEntry(line: true5[4])).previous
            ).line
        #expect(verify(file(false5)).problem == nil)
        let told = verify(file(false5), heads: [head(true5)])
        #expect(told.problem?.reason == .changed && told.problem?.line == 5)
    }

    @Test func missingReorderedAndRepeated() {
        let all = lines(6)
        func problem(_ order: [Int]) -> AuditBreak? { verify(file(order.map { all[$0] })).problem }
        #expect(problem([0, 1, 2, 3, 4, 5]) == nil)
        let gap = problem([0, 1, 4, 5])
        #expect(gap?.reason == .missing && gap?.line == 3)
        #expect(gap?.detail == "entries 2 to 3 are not there")
        #expect(problem([0, 1, 3, 4])?.detail == "entry 2 is not there")
        let order = problem([0, 1, 3, 2, 4, 5])
        #expect(order?.reason == .reordered && order?.line == 3)
        #expect(order?.detail == "entry 2 comes later")
        // Of those that were passed over the one that comes, not one that is gone.
        #expect(problem([0, 4, 2, 5])?.detail == "entry 2 comes later")
        let again = problem([0, 1, 2, 2, 3])
        #expect(again?.reason == .repeated && again?.line == 4)
        #expect(again?.detail == "entry 2 was there before")
        #expect(problem([0, 1, 0, 1])?.reason == .repeated)
        #expect(problem([0, 1, 2, 3, 1, 4])?.reason == .repeated)
        // Two logs, one behind the other.
        let other = verify(file(all), file(lines(2, id: "other"))).problem
        #expect(other?.reason == .otherLog && other?.file == 1 && other?.line == 1)
    }

    @Test func headsAreHeld() {
        let all = lines(6)
        let early = head(Array(all[..<3]))
        #expect(verify(file(all), heads: [early]).problem == nil)
        let cut = verify(file(Array(all[..<4])), heads: [early, head(all)]).problem
        #expect(cut?.reason == .cutOff && cut?.line == 4)
        #expect(cut?.detail == "the log ends with entry 3, and a head names entry 5")
        // Made anew from its beginning, by somebody who can.
        let forged = verify(file(lines(6, id: "forged")), heads: [early]).problem
        #expect(forged?.reason == .changed && forged?.line == 3)
        let rest = file(Array(all[4...]))
        #expect(verify(rest, heads: [early]).problem?.reason == .noBeginning)
        let before = AuditHead(sequence: 3, hash: early.hash)
        #expect(verify(rest, heads: [before]).problem?.reason == .changed)
        let some = files([3, 2, 2], kept: 1)
        let kept = verify(some[1...].map(file), heads: [head(Array(some[0][..<1]))]).problem
        #expect(kept?.reason == .tooOld && kept?.detail.contains("entry 0 cannot be") == true)
        #expect(verify([]).problem?.reason == .empty)
        for none in [verify([], heads: [early]), verify([[UInt8]](), heads: [early])] {
            #expect(none.problem?.reason == .cutOff)
            #expect(none.problem?.detail == "the log is gone, and a head names entry 2")
        }
    }

    @Test func linesThatAreNoEntries() {
        let all = lines(3)
        for junk in ["", "no JSON", "{}", "\u{0}\u{0}"] {
            let report = verify(file([all[0], all[1], Array(junk.utf8), all[2]]))
            #expect(report.problem?.reason == .notAnEntry && report.problem?.line == 3)
            let atEnd = verify(file(all + [Array(junk.utf8)]))
            #expect(atEnd.problem?.reason == .notAnEntry && atEnd.problem?.line == 4)
        }
        let long = [UInt8](repeating: 0x61, count: AuditEvent.maximumLineBytes + 1)
        #expect(verify(file(all + [long])).problem?.reason == .tooLong)
        let endless = [UInt8](repeating: 0x61, count: AuditLines.maximumBytes + 1)
        let cut = verify(file([all[0], endless, all[1]])).problem
        #expect(cut?.reason == .tooLong && cut?.line == 2)
    }

    @Test func theLastLineMayBeTorn() {
        let whole = file(lines(3))
        let torn = verify(whole.dropLast(5)).problem
        #expect(torn?.reason == .torn && torn?.line == 3)
        #expect(verify(whole.dropLast()).problem?.reason == .torn)
    }

    /// A head is written behind its entry: an end that lacks it was not the writer's doing.
    @Test func aTornEndBeforeAHeadWasCutOff() {
        let all = lines(5)
        for cut in [1, 5, file([all[4]]).count + 5] {
            let report = verify(file(all).dropLast(cut), heads: [head(all)])
            #expect(report.problem?.reason == (cut == 1 ? .torn : .cutOff), "\(cut)")
        }
        #expect(
            verify(file(all).dropLast(5), heads: [head(Array(all[..<4]))]).problem?.reason == .torn)
    }

    /// In a line that was wrong already there may be more wrong behind it.
    @Test func theFirstOfTwoBrokenLinesIsNamed() {
        let all = lines(4)
        let endless = [UInt8](repeating: 0x61, count: AuditLines.maximumBytes + 1)
        for end in [endless, Array(all[3].dropLast(9))] {
            let bytes = file([all[0], all[1], [0x78], end]).dropLast()
            let problem = verify(Array(bytes)).problem
            #expect(problem?.reason == .notAnEntry && problem?.line == 3)
        }
    }
}
