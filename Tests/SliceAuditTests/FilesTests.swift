import SliceAudit
import Testing
import Timing

/// Logs of several files, and what is noticed when some are gone.
struct FilesTests {
    @Test func aFileSaysWhichItIs() throws {
        let all = files([2, 2, 2], kept: 3)
        let entry = try #require(AuditEntry(line: all[2][0]))
        #expect(entry.event.kind == .continued && entry.event.subject == "00c0ffee")
        #expect(entry.event.count == 2)
        #expect(
            entry.event.reason
                == "keeps 3 older files; the one before this ends with \(head(all[1]))")
        let place = AuditFilePlace(id: "00c0ffee", filesBefore: 2, kept: 3)
        #expect(AuditFilePlace(beginning: file(all[2]), kept: 9) == place)
        // Behind what a crash left there, and not behind anything else.
        #expect(AuditFilePlace(beginning: [0x78, 0x0a] + file(all[2]), kept: 9) == place)
        #expect(AuditFilePlace(beginning: file([all[2][1], all[2][0]]), kept: 9) == nil)
        #expect(
            AuditFilePlace(beginning: file(all[0]), kept: 3)
                == AuditFilePlace(id: "00c0ffee", filesBefore: 0, kept: 3))
        // There is one form of it.
        let text = String(decoding: all[2][0], as: UTF8.self)
        for (old, new) in [
            ("keeps 3", "keeps 03"), ("keeps 3", "keeps  3"), ("older", "newer"),
            ("ends with 3:", "ends with 2:"), ("\"sequence\":4", "\"sequence\":5"),
        ] {
            let found = try #require(text.firstRange(of: old), "\(old)")
            let changed = text.replacingCharacters(found, new)
            #expect(AuditEntry(line: Array(changed.utf8)) == nil, "\(new)")
        }
    }

    @Test func filesThatWereRotatedAwayAreNotMissed() {
        let all = files([3, 2, 2, 2, 2], kept: 2)
        let report = verify(all[2...].map(file))
        #expect(report.problem == nil && report.first == 5 && report.firstFile == 3)
        #expect(report.id == "00c0ffee")
        #expect(verify(all.map(file)).firstFile == 1)
        // Fewer were kept once: what went then is not missed now.
        let few = files([2, 2, 2, 2], kept: 1)
        #expect(verify(few[2...].map(file)).problem == nil)
    }

    @Test func missingFilesAreNamed() {
        let all = files([3, 2, 2, 2, 2, 2])
        func problem(_ numbers: [Int]) -> AuditBreak? {
            verify(numbers.map { file(all[$0 - 1]) }).problem
        }
        #expect(problem([1, 2, 3, 4, 5, 6]) == nil)
        let first = problem([2, 3, 4, 5, 6])
        #expect(first?.reason == .noBeginning && first?.file == 0 && first?.line == 0)
        #expect(
            first?.detail
                == "file 1 of the log is missing: the oldest here is file 2, and the gateway "
                + "keeps 8 older than the newest, which is file 6")
        #expect(
            problem([4, 5, 6])?.detail.hasPrefix("files 1 to 3 of the log are missing") == true)
        let middle = problem([1, 2, 5, 6])
        #expect(middle?.reason == .missing && middle?.file == 2 && middle?.line == 1)
        #expect(
            middle?.detail
                == "entries 5 to 8 are not there: files 3 to 4 of the log are missing")
        // Lines of a file's beginning, and a file of another log.
        let cut = verify(file(Array(all[0][1...])), file(all[1])).problem
        #expect(cut?.reason == .noBeginning && cut?.detail.contains("before entry 1") == true)
        let other = files([3, 2], id: "other")
        #expect(verify(file(all[0]), file(other[1])).problem?.reason == .changed)
    }

    /// A crash while a file was begun: the next start repairs it, and says which file it is.
    @Test func aBeginningThatWasCutOffIsRepaired() {
        let all = files([3, 2])
        let whole = file(all[1])
        let first = file([all[1][0]]).count
        for end in 0..<first {
            let bytes = Array(whole[..<end])
            let older = AuditTail.closed(file(all[0]))
            let tail = end == 0 ? older : AuditTail(bytes).behind(older)
            let resumption = AuditResumption(
                tail: tail, head: head(all[0]), id: "", time: start, cluster: "west",
                beginning: AuditFilePlace(id: "00c0ffee", filesBefore: 1, kept: 8))
            var chain = resumption.chain
            let log = bytes + resumption.opening + chain.append(event(.started))
            // All but the line's own end was there.
            if end == first - 1 { continue }
            let report = verify(file(all[0]), log)
            #expect(report.problem == nil && report.repairs == (end == 0 ? 0 : 1), "\(end)")
            // Also when the file before it is rotated away some day.
            #expect(AuditFilePlace(beginning: log, kept: 8)?.filesBefore == 1)
        }
    }
}

extension String {
    fileprivate func replacingCharacters(_ range: Range<Index>, _ text: String) -> String {
        self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
