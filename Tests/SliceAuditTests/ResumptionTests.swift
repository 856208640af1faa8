import SliceAudit
import Testing
import Timing

struct ResumptionTests {
    private func resume(_ bytes: [UInt8]?, head: AuditHead? = nil) -> AuditResumption {
        AuditResumption(
            tail: bytes.map { AuditTail($0) }, head: head, id: "new", time: start, cluster: "west")
    }

    private func after(_ bytes: [UInt8], _ resumption: AuditResumption) -> [UInt8] {
        var chain = resumption.chain
        return bytes + resumption.opening + chain.append(event(.started))
    }

    @Test func aLogBegins() {
        for bytes in [nil, []] as [[UInt8]?] {
            let report = verify(after([], resume(bytes)))
            #expect(report.problem == nil && report.entries == 2 && report.id == "new")
        }
    }

    @Test func aLogGoesOn() {
        let all = lines(3)
        for head in [nil, head(all), head(Array(all[..<2]))] {
            let resumption = resume(file(all), head: head)
            #expect(resumption.opening.isEmpty && resumption.warning == nil)
            #expect(verify(after(file(all), resumption)).entries == 4)
        }
    }

    /// Wherever a crash cuts the file, the log goes on, and a walk over it finds nothing wrong.
    @Test func everyCutIsRepaired() {
        let whole = file(lines(3))
        let middle = file(Array(lines(3)[..<2])).count
        for end in whole.indices {
            let bytes = Array(whole[..<end])
            let resumption = resume(bytes)
            let report = verify(after(bytes, resumption))
            #expect(report.problem == nil, "\(end): \(report)")
            let isWhole = end == 0 || whole[end - 1] == 0x0a || whole[end] == 0x0a
            #expect(report.repairs == (isWhole ? 0 : 1) && (resumption.warning != nil) == !isWhole)
            if end > middle, end < whole.count - 1 {
                // And once more, while it was being repaired.
                let repaired = bytes + resumption.opening
                for again in stride(from: end, to: repaired.count, by: 53) {
                    let twice = Array(repaired[..<again])
                    #expect(verify(after(twice, resume(twice))).problem == nil, "\(end) \(again)")
                }
            }
        }
    }

    @Test func zerosOfACrashAreRepaired() {
        let bytes = file(lines(2)) + [UInt8](repeating: 0, count: AuditLines.maximumWriteBytes)
        let report = verify(after(bytes, resume(bytes)))
        #expect(report.problem == nil && report.repairs == 1)
        // Only what the tail holds is looked at.
        #expect(AuditTail(bytes.suffix(AuditTail.maximumBytes)).last == head(lines(2)))
    }

    @Test func whatWasRepairedStaysAsItIs() {
        let bytes = file(lines(2)) + Array("{\"seq".utf8)
        let repaired = after(bytes, resume(bytes))
        for place in bytes.indices {
            var changed = repaired
            changed[place] ^= 1
            #expect(verify(changed).problem != nil, "byte \(place)")
        }
        var without = repaired
        without.removeSubrange(bytes.count - 5..<bytes.count + 1)
        #expect(verify(without).problem?.reason == .missing)
    }

    @Test func anEndThatIsGoneStaysVisible() {
        let all = lines(5)
        let short = file(Array(all[..<3]))
        let resumption = resume(short, head: head(all))
        #expect(resumption.warning?.contains("ended with entry 2") == true)
        let report = verify(after(short, resumption))
        #expect(report.problem?.reason == .missing)
        #expect(report.problem?.detail == "entries 3 to 4 are not there")
        let gone = verify(after([], resume(nil, head: head(all))))
        #expect(gone.problem?.reason == .noBeginning && gone.problem?.line == 1)
        #expect(
            gone.problem?.detail == "the log was gone when the gateway started: the log is gone, "
                + "the head beside it names entry 4")
        var changed = all
        changed[4] =
            AuditEntry(
                sequence: 4, event: event(.attached), previous: head(Array(all[..<4])).hash
            ).line
        let other = verify(after(file(changed), resume(file(changed), head: head(all))))
        #expect(other.problem?.reason == .changed && other.problem?.line == 5)
    }
}
