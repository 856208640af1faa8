import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

@Suite struct CleanerTests {
    @Test(arguments: Compression.allCases)
    func theLastValueOfEveryKeyStays(_ compression: Compression) throws {
        let lab = try CleanerLab()
        for round in 0..<5 {
            try lab.append(
                [("a", "\(round)"), ("b", "\(round)"), ("c\(round)", "\(round)")],
                compression: compression)
            try lab.roll()
        }
        let report = try #require(try lab.clean())
        #expect(report.cleanedOffset == 15)
        #expect(report.recordsBefore == 15)
        #expect(report.recordsAfter == 7)
        #expect(report.bytesAfter < report.bytesBefore)
        #expect(
            try lab.contents() == [
                "2:c0=0", "5:c1=1", "8:c2=2", "11:c3=3", "12:a=4", "13:b=4", "14:c4=4",
            ])
        // Batches keep their places: offsets are never given again.
        #expect(try lab.batches().map(\.header.lastOffset) == [2, 5, 8, 11, 14])
        #expect(lab.log.logEndOffset == 15)
        // Nothing is dirty any more.
        #expect(try lab.clean() == nil)
        try lab.restart()
        #expect(try lab.contents().count == 7)
        #expect(try lab.clean() == nil)
        #expect(lab.disk.paths.allSatisfy { !$0.hasSuffix("cleaned") && !$0.hasSuffix("swap") })
    }

    @Test func theActiveSegmentAndWhatIsNotReplicatedStay() throws {
        let lab = try CleanerLab()
        try lab.append([("a", "0")])
        try lab.roll()
        try lab.append([("a", "1")])
        try lab.roll()
        try lab.append([("a", "2")])
        #expect(try lab.clean(highWatermark: 0) == nil)
        #expect(try lab.clean(highWatermark: 1)?.cleanedOffset == 1)
        #expect(try lab.contents() == ["0:a=0", "1:a=1", "2:a=2"])
        #expect(try lab.clean()?.cleanedOffset == 2)
        #expect(try lab.contents() == ["1:a=1", "2:a=2"])
    }

    /// Not what is still in memory of it, for followers.
    @Test func readersSeeWhatIsLeft() throws {
        let lab = try CleanerLab()
        for round in 0..<6 {
            try lab.append([("a", "\(round)")])
            if round < 5 { try lab.roll() }
        }
        try lab.clean()
        for offset in 0..<6 as Range<Int64> {
            let read = try lab.log.readBytes(from: offset, maxBytes: 1 << 20, before: .max)
            let first = try decode(read).first { $0.offset >= offset }
            #expect(first?.offset == max(4, offset))
        }
    }

    @Test func smallSegmentsBecomeOne() throws {
        let lab = try CleanerLab()
        for index in 0..<10 {
            try lab.append([("key \(index)", String(repeating: "v", count: 100))])
            try lab.roll()
        }
        let sizes = lab.log.segments.map(\.size)
        try lab.clean()
        #expect(lab.log.segments.count == 3)
        #expect(lab.log.segments.allSatisfy { $0.size <= 1000 })
        #expect(lab.log.segments.reduce(0) { $0 + $1.size } == sizes.reduce(0, +))
        try lab.check()
        #expect(try lab.contents().count == 10)
        // By offset and by time, too.
        for offset in 0..<10 as Range<Int64> {
            let read = try lab.log.readBytes(from: offset, maxBytes: 1, before: .max)
            #expect(try decode(read).map(\.offset) == [offset])
        }
        #expect(try lab.log.lookUp(timestamp: startMs)?.offset == 0)
        #expect(try lab.log.maxTimestamp()?.offset == 0)
    }

    @Test func tombstonesGoWhenTheirTimeHasCome() throws {
        let lab = try CleanerLab()
        try lab.append([("a", "1"), ("b", "1")])
        try lab.append([("a", nil)])
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["1:b=1", "2:a=-"])
        // The horizon was written into the batch; the record's own time is as it was.
        #expect(try lab.batches()[1].header.deleteHorizon == startMs + 1000)
        #expect(try lab.records()[1].timestamp == startMs)

        lab.nowMs += 999
        try lab.append([("c", "1")])
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["1:b=1", "2:a=-", "3:c=1"])
        #expect(try lab.batches()[1].header.deleteHorizon == startMs + 1000)

        lab.nowMs += 1
        try lab.append([("d", "1")])
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["1:b=1", "3:c=1", "4:d=1"])
    }

    @Test func recordsWithoutAKeyGo() throws {
        let lab = try CleanerLab()
        try lab.append([(nil, "x"), ("a", "1")])
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["1:a=1"])
    }

    // MARK: When

    @Test func theDirtyRatioDecides() throws {
        let lab = try CleanerLab(CleanerLab.compacted { $0.minCleanableDirtyRatio = 0.5 })
        for index in 0..<4 {
            try lab.append([("\(index)", "v")])
            try lab.roll()
        }
        #expect(try lab.clean() != nil)
        for index in 4..<8 {
            try lab.append([("\(index)", "v")])
            try lab.roll()
        }
        // Exactly one half.
        #expect(try lab.clean() == nil)
        try lab.append([("8", "v")])
        try lab.roll()
        #expect(try lab.clean() != nil)
    }

    @Test func youngRecordsStay() throws {
        let lab = try CleanerLab(CleanerLab.compacted { $0.minCompactionLagMs = 100 })
        try lab.append([("a", "0")])
        try lab.append([("a", "1")])
        try lab.roll()
        lab.nowMs += 50
        try lab.append([("a", "2")])
        try lab.roll()
        #expect(try lab.clean() == nil)
        lab.nowMs += 50
        #expect(try lab.clean()?.cleanedOffset == 2)
        #expect(try lab.contents() == ["1:a=1", "2:a=2"])
        lab.nowMs += 50
        #expect(try lab.clean()?.cleanedOffset == 3)
        #expect(try lab.contents() == ["2:a=2"])
    }

    @Test func oldRecordsDoNotWait() throws {
        let lab = try CleanerLab(
            CleanerLab.compacted {
                $0.minCleanableDirtyRatio = 1
                $0.maxCompactionLagMs = 100
            })
        try lab.append([("a", "0")])
        try lab.append([("a", "1")])
        lab.nowMs += 100
        try lab.append([("a", "2")])
        #expect(lab.log.segments.count == 1)
        #expect(try lab.clean() == nil)
        lab.nowMs += 1
        // The segment is closed for it.
        try lab.append([("a", "3")])
        #expect(lab.log.segments.count == 2)
        #expect(try lab.clean()?.cleanedOffset == 3)
        #expect(try lab.contents() == ["2:a=2", "3:a=3"])
    }

    @Test func theNeediestLogIsFirst() throws {
        let lab = try CleanerLab()
        let other = try lab.directory.openLog(
            TopicPartition("other", 0), topicId: nil, config: lab.config, nowMs: startMs,
            unique: "u")
        for log in [lab.log, other] {
            _ = try log.appendAsLeader(
                makeBatch([("a", "1")]), leaderEpoch: 0, nowMs: startMs, origin: .client)
            try log.roll(nowMs: startMs)
        }
        try lab.directory.setCleanedOffset(1, of: TopicPartition("other", 0))
        _ = try other.appendAsLeader(
            makeBatch([("a", "2")]), leaderEpoch: 0, nowMs: startMs, origin: .client)
        try other.roll(nowMs: startMs)
        let candidates = [other, lab.log].map { CleanerCandidate(log: $0, highWatermark: 100) }
        #expect(try lab.cleaner.begin(candidates, nowMs: startMs))
        // One at a time.
        #expect(try !lab.cleaner.begin(candidates, nowMs: startMs))
        let step = try lab.cleaner.step(nowMs: startMs, budgetBytes: 1 << 20)
        #expect(step.report?.partition == partition)
    }

    @Test func whatDoesNotFitIsDoneNextTime() throws {
        var settings = LogCleaner.Settings()
        settings.keyMemory = KeyOffsets.bytesPerKey * 6
        let lab = try CleanerLab(settings: settings)
        for index in 0..<40 { try lab.append([("\(index % 10)", "\(index)")]) }
        try lab.roll()
        var ends: [Int64] = []
        while let report = try lab.clean() {
            ends.append(report.cleanedOffset)
            try lab.check()
            try lab.checkCleaned(before: report.cleanedOffset)
        }
        #expect(ends.count > 2)
        #expect(ends == ends.sorted())
        #expect(ends.last == 40)
        #expect(try lab.contents() == (30..<40).map { "\($0):\($0 % 10)=\($0)" })
    }

    // MARK: Producers

    @Test func aProducersLastSequenceStays() throws {
        let lab = try CleanerLab()
        try lab.append([("a", "1"), ("b", "1")], producer: (7, 0, 0))
        try lab.append([("a", "2")], producer: (7, 0, 2))
        try lab.append([("a", "3"), ("b", "2")], producer: (8, 3, 0))
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["3:a=3", "4:b=2"])
        let kept = try lab.batches().map(\.header)
        #expect(kept.map(\.recordCount) == [0, 2])
        #expect(kept[0].lastOffset == 2)
        #expect(kept[0].producerId == 7)
        #expect(kept[0].lastSequence == 2)
        #expect(kept[0].maxTimestamp == startMs)
        #expect(try lab.log.maxTimestamp()?.offset == 3)

        for path in lab.disk.paths where path.hasSuffix(".snapshot") { lab.disk[path] = nil }
        try lab.crash(losesUnsynced: false)
        #expect(lab.log.producers.active.map(\.id) == [7, 8])
        #expect(lab.log.producers.active.map(\.entry.lastSequence) == [2, 1])
        // The next batch fits, one before does not.
        #expect(throws: LogError.self) {
            try lab.log.appendAsLeader(
                makeBatch([("z", "1")], producer: (7, 0, 9)), leaderEpoch: 0, nowMs: startMs,
                origin: .client)
        }
        try lab.append([("a", "4")], producer: (7, 0, 3))
        try lab.roll()
        try lab.clean()
        // Now the batch is not the last.
        #expect(try lab.batches().map(\.header.lastOffset) == [4, 5])
    }

    // MARK: Transactions

    @Test func abortedRecordsGoAndMarkersFollow() throws {
        let lab = try CleanerLab()
        try lab.append([("a", "0")])
        try lab.append(
            [("a", "1"), ("b", "1")], producer: (7, 0, 0), isTransactional: true, isAborted: true)
        try lab.append([("a", "2")], producer: (8, 0, 0), isTransactional: true)
        try lab.end(7, isAbort: true)
        try lab.end(8, isAbort: false)
        try lab.append([("c", "0")], producer: (7, 0, 2), isTransactional: true)
        try lab.end(7, isAbort: false)
        try lab.append([("c", "1")], producer: (8, 0, 1), isTransactional: true)
        try lab.end(8, isAbort: false)
        try lab.roll()
        try lab.clean()
        #expect(try lab.contents() == ["3:a=2", "8:c=1"])
        // Markers stay for one more pass, and with the abort marker its place in the index.
        #expect(
            try lab.batches().filter(\.header.isControl).map(\.header.baseOffset) == [4, 5, 7, 9])
        #expect(try lab.log.abortedTransactions(from: 0, before: 100).map(\.firstOffset) == [1])

        try lab.append([("d", "0")])
        try lab.roll()
        try lab.clean()
        let markers = try lab.batches().filter(\.header.isControl).map(\.header)
        #expect(markers.map(\.baseOffset) == [4, 5, 7, 9])
        // 7's first transaction has no record left, nor an empty batch: the horizon is set.
        #expect(markers.map { $0.deleteHorizon != nil } == [true, false, false, false])
        #expect(try lab.log.abortedTransactions(from: 0, before: 100).isEmpty)

        lab.nowMs += 1000
        try lab.append([("d", "1")])
        try lab.roll()
        try lab.clean()
        #expect(try lab.batches().filter(\.header.isControl).map(\.header.baseOffset) == [5, 7, 9])
    }

    @Test func anOpenTransactionHoldsCompactionBack() throws {
        let lab = try CleanerLab()
        try lab.append([("a", "0")])
        try lab.roll()
        try lab.append([("a", "1")], producer: (7, 0, 0), isTransactional: true)
        try lab.roll()
        try lab.append([("a", "2")])
        try lab.roll()
        #expect(try lab.clean()?.cleanedOffset == 1)
        try lab.end(7, isAbort: false)
        try lab.roll()
        #expect(try lab.clean()?.cleanedOffset == 4)
        #expect(try lab.contents() == ["2:a=2"])
    }

    // MARK: Meanwhile

    @Test func theLogGoesOnWhileItIsCompacted() throws {
        let lab = try CleanerLab()
        for index in 0..<60 { try lab.append([("\(index % 7)", "\(index)")]) }
        try lab.roll()
        var count = 60
        let report = try lab.clean(budget: 1) {
            for _ in 0..<2 {
                try lab.append([("\(count % 7)", "\(count)")])
                count += 1
            }
            if count % 10 == 0 { try lab.roll() }
            try lab.check()
        }
        #expect(report?.cleanedOffset == 60)
        try lab.check()
        try lab.checkCleaned(before: 60)
    }

    @Test func whatIsCutOffEndsARun() throws {
        for steps in 1..<40 {
            let lab = try CleanerLab()
            for index in 0..<40 { try lab.append([("\(index % 3)", "\(index)")]) }
            try lab.roll()
            var left = steps
            var before: [Record] = []
            try lab.clean(budget: 100) {
                left -= 1
                guard left == 0 else { return }
                try lab.log.truncate(to: 5)
                before = try lab.records()
            }
            guard left <= 0 else { continue }
            #expect(!lab.cleaner.isRunning)
            // Nothing was replaced any more by what is no more.
            #expect(try lab.records() == before)
            #expect(lab.directory.cleanedOffset[partition] ?? 0 <= 5)
            #expect(lab.disk.paths.allSatisfy { !$0.hasSuffix("cleaned") })
            #expect(lab.directory.offlineReason == nil)
        }
    }

    @Test func retentionAndDeletionEndARun() throws {
        for steps in 1..<30 {
            for deletes in [false, true] {
                let lab = try CleanerLab(
                    CleanerLab.compacted {
                        $0.isDeleted = true
                        $0.retentionMs = 10
                    })
                for index in 0..<40 { try lab.append([("\(index % 3)", "\(index)")]) }
                try lab.roll()
                var left = steps
                try lab.clean(budget: 100) {
                    left -= 1
                    guard left == 0 else { return }
                    if deletes {
                        _ = try lab.directory.delete(lab.log, unique: "x")
                    } else {
                        _ = try lab.log.applyRetention(
                            nowMs: startMs + 100, highWatermark: lab.log.logEndOffset)
                    }
                }
                #expect(!lab.cleaner.isRunning)
                #expect(lab.directory.offlineReason == nil)
            }
        }
    }

    @Test func aBrokenLogIsLeftAlone() throws {
        let lab = try CleanerLab()
        for index in 0..<20 { try lab.append([("\(index % 3)", "\(index)")]) }
        try lab.roll()
        let path = "\(topicFolder)/00000000000000000000.log"
        var bytes = try #require(lab.disk[path])
        bytes.setInteger(UInt8(0xff), at: 65)
        try lab.crash(losesUnsynced: false)
        let file = try lab.disk.open(path, create: false)
        try file.write(at: 0, bytes)
        let candidate = CleanerCandidate(log: lab.log, highWatermark: 20)
        #expect(try lab.cleaner.begin([candidate], nowMs: startMs))
        let step = try lab.cleaner.step(nowMs: startMs, budgetBytes: 1 << 20)
        #expect(step.problem != nil)
        #expect(!lab.cleaner.isRunning)
        #expect(try !lab.cleaner.begin([candidate], nowMs: startMs))
        #expect(lab.directory.offlineReason == nil)
        #expect(lab.disk[path] == bytes)
    }
}
