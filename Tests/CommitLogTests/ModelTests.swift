import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Testing

/// The log against the simplest one that could be: an array of records.
@Suite struct ModelTests {
    @Test(arguments: 1...100)
    func theLogIsAnArray(_ seed: UInt64) throws {
        var run = try ModelRun(seed: seed)
        let problem = try run.violation(steps: 400)
        #expect(problem == nil)
    }

    /// If nothing is ever synced, someone must notice.
    @Test func forgottenSyncsAreFound() throws {
        var found = 0
        for seed in UInt64(1)...10 {
            var run = try ModelRun(seed: seed)
            run.test.disk.faults.ignoresSync = true
            if try run.violation(steps: 400) != nil { found += 1 }
        }
        #expect(found >= 8)
    }
}

struct ModelRun {
    struct Entry {
        var offset: Int64
        var batchStart: Int64
        var value: String
        var timestamp: Int64
        var epoch: Int32
        /// The last of its batch, where the idempotent producer wrote it.
        var sequence: Int32?
    }

    static let producer: Int64 = 77

    var test: TestLog
    private var random: SeededRandom
    private let seed: UInt64
    private var entries: [Entry] = []
    private var end: Int64 = 0
    private var start: Int64 = 0
    private var epoch: Int32 = 0
    private var now = startMs
    private var ticket: FlushTicket?
    private var trace: [String] = []
    /// Every value that was ever written at an offset: what a crash may bring back.
    private var history: [Int64: Set<String>] = [:]
    /// The highest start there was: epochs below it are forgotten, even if records come back.
    private var raised: Int64 = 0

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededRandom(seed)
        var config = LogConfig()
        config.segmentBytes = 300 + Int(seed % 5) * 300
        config.indexIntervalBytes = Int(seed % 3) * 100
        config.retentionMs = 5000
        config.retentionBytes = 6000
        var settings = LogDirectory.Settings()
        settings.recentBytesPerLog = [0, 1500, 1 << 20][Int(seed % 3)]
        settings.snapshotIntervalBytes = 700
        test = try TestLog(config, seed: seed, settings: settings)
    }

    private mutating func chance(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    /// What went wrong, with what was done before.
    mutating func violation(steps: Int) throws -> String? {
        for index in 0..<steps {
            if let problem = try step() {
                let last = trace.suffix(12).joined(separator: "; ")
                return "seed \(seed) step \(index): \(problem) after: \(last)"
            }
        }
        return nil
    }

    private mutating func step() throws -> String? {
        now += Int64(chance(30))
        switch chance(100) {
        case 0..<45: try append()
        case 45..<55: try follow()
        case 55..<75: return try read()
        case 75..<78: try truncate()
        case 78: try startAnew()
        case 79..<81: try raiseStart()
        case 81..<84: try retain()
        case 84..<88: try flush()
        case 88..<90: try test.directory.writeCheckpoints()
        case 90: try test.log.roll(nowMs: now)
        case 91: test.log.releaseMemory()
        case 92: epoch += 1
        case 93..<95:
            note("restart")
            ticket = nil
            let flag = test.disk.faults.ignoresSync
            try test.restart()
            test.disk.faults.ignoresSync = flag
            return try compare()
        case 95..<98: return try crash(losesUnsynced: false)
        default: return try crash(losesUnsynced: true)
        }
        return try compareEnds()
    }

    private mutating func note(_ text: String) { trace.append(text) }

    private mutating func append() throws {
        let count = 1 + chance(4)
        let values = (0..<count).map { "\(end + Int64($0))/\(epoch)/\(chance(1000))" }
        let compression = Compression.allCases[chance(5)]
        // What the log does not remember as it should, it will refuse.
        let known = test.log.producers.active.first { $0.id == Self.producer }
        let last = entries.last { $0.sequence != nil }?.sequence ?? known?.entry.lastSequence ?? -1
        let batch = makeBatch(
            values.map { ("k", $0) }, timestamp: now - Int64(chance(20)),
            producer: chance(2) == 0 ? (Self.producer, 0, last + 1) : nil,
            compression: compression)
        let result = try test.log.appendAsLeader(
            batch, leaderEpoch: epoch, nowMs: now, origin: .client)
        note("append \(end)+\(count)")
        add(values, batch, at: result.firstOffset)
    }

    private mutating func add(_ values: [String], _ batch: ByteBuffer, at offset: Int64) {
        let header = try? headers(batch).first
        let timestamp = header?.maxTimestamp ?? -1
        let sequence = header?.producerId == Self.producer ? header?.lastSequence : nil
        for (index, value) in values.enumerated() {
            history[offset + Int64(index), default: []].insert(value)
            entries.append(
                Entry(
                    offset: offset + Int64(index), batchStart: offset, value: value,
                    timestamp: timestamp, epoch: epoch, sequence: sequence))
        }
        end = offset + Int64(values.count)
    }

    private mutating func follow() throws {
        var bytes = ByteBuffer()
        for _ in 0...chance(3) {
            let offset = end + (chance(4) == 0 ? Int64(chance(20)) : 0)
            let values = (0...chance(2)).map { "\(offset + Int64($0))/\(epoch)/\(chance(1000))" }
            let batch = makeBatch(
                values.map { ("k", $0) }, timestamp: now, offset: offset, epoch: epoch)
            bytes.writeImmutableBuffer(batch)
            add(values, batch, at: offset)
        }
        note("follow to \(end)")
        _ = try test.log.appendAsFollower(bytes, nowMs: now)
    }

    private mutating func read() throws -> String? {
        guard start < end else { return nil }
        let offset = Int64.random(in: start...end, using: &random)
        let limit = Int64.random(in: offset...(end + 3), using: &random)
        let maxBytes = 1 + chance(700)
        let read = try test.log.read(
            from: offset, maxBytes: maxBytes, before: limit, atLeastOneBatch: true)
        let found = try decode(bytes(read.records))
        let first = entries.firstIndex { $0.offset >= offset }
        guard let first, isBatch(at: first, below: limit) else {
            return found.isEmpty ? nil : "read at \(offset) below \(limit) found records"
        }
        // The whole batch comes, with what precedes the offset.
        let begin = entries.firstIndex { $0.batchStart == entries[first].batchStart } ?? first
        let expected = entries[begin...].prefix(found.count)
        guard !found.isEmpty, found.map(\.offset) == expected.map(\.offset),
            found.map({ text($0.value) }) == expected.map(\.value)
        else { return "read at \(offset) below \(limit): \(found.map(\.offset))" }
        guard found.last?.offset ?? 0 < limit else { return "read beyond the limit" }
        let batches = Set(expected.map(\.batchStart)).count
        guard read.records.count <= maxBytes || batches == 1 else { return "read too much" }
        return nil
    }

    private func isBatch(at index: Int, below limit: Int64) -> Bool {
        let batch = entries[index].batchStart
        return entries.last { $0.batchStart == batch }.map { $0.offset < limit } ?? false
    }

    private mutating func truncate() throws {
        let low = max(start, end - 30)
        let offset = Int64.random(in: low...end, using: &random)
        note("truncate \(offset)")
        try test.log.truncate(to: offset)
        if offset < end { cut(to: offset) }
        guard test.log.logEndOffset >= entries.last.map({ $0.offset + 1 }) ?? 0 else { return }
        // Not within a gap.
        end = min(end, test.log.logEndOffset)
        start = min(start, end)
        epoch += 1
    }

    private mutating func cut(to offset: Int64) {
        var keep = offset
        if let hit = entries.first(where: { $0.offset >= offset }) {
            keep = min(keep, hit.batchStart)
        }
        entries.removeAll { $0.offset >= keep }
        end = keep
        start = min(start, end)
    }

    private mutating func startAnew() throws {
        let offset = end + Int64(chance(50))
        note("start anew at \(offset)")
        try test.log.truncateFully(startingAt: offset)
        entries = []
        (start, end) = (offset, offset)
        raised = offset
        history = [:]
        epoch += 1
    }

    private mutating func raiseStart() throws {
        let offset = Int64.random(in: start...end, using: &random)
        note("raise start to \(offset)")
        try test.log.raiseLogStart(to: offset)
        start = offset
    }

    private mutating func retain() throws {
        note("retention")
        let result = try test.log.applyRetention(nowMs: now, highWatermark: end)
        start = max(start, test.log.logStartOffset)
        if chance(2) == 0 { for file in result.files { try test.directory.removeFile(file) } }
    }

    private mutating func flush() throws {
        if let due = ticket, chance(2) == 0 {
            note("complete flush")
            try due.perform()
            try test.log.completeFlush(due, nowMs: now)
            ticket = nil
        } else if ticket == nil, chance(2) == 0 {
            note("begin flush")
            ticket = try test.log.beginFlush()
        } else {
            note("flush")
            let before = test.log.logEndOffset
            try test.log.flush()
            if ticket == nil, test.log.flushedOffset != before {
                note("flush ended at \(test.log.flushedOffset)")
            }
        }
    }

    private mutating func crash(losesUnsynced: Bool) throws -> String? {
        let flushed = test.log.flushedOffset
        note(losesUnsynced ? "power loss, flushed \(flushed)" : "kill")
        ticket = nil
        let flag = test.disk.faults.ignoresSync
        do {
            try test.crash(losesUnsynced: losesUnsynced)
        } catch {
            return "no start: \(error)"
        }
        test.disk.faults.ignoresSync = flag
        raised = max(raised, start)
        if losesUnsynced, let problem = try takeWhatIsLeft(flushed: flushed) { return problem }
        // A start that was not written down falls back; never behind what there is.
        guard test.log.logStartOffset <= start || test.log.logStartOffset == end else {
            return "log start rose from \(start) to \(test.log.logStartOffset)"
        }
        start = test.log.logStartOffset
        epoch += 1
        return try compare()
    }

    /// After a loss of power: what was flushed is there, and behind it only what was written
    /// once. A truncation or deletion that was not flushed may not have happened.
    private mutating func takeWhatIsLeft(flushed: Int64) throws -> String? {
        let durable = entries.filter { $0.offset < flushed && $0.offset >= start }
        var left: [Entry] = []
        var next = test.log.logStartOffset
        while next < test.log.logEndOffset {
            let bytes = try test.log.readBytes(from: next, maxBytes: 1, before: Int64.max)
            guard let header = try headers(bytes).first else { break }
            for record in try decode(bytes) {
                left.append(
                    Entry(
                        offset: record.offset, batchStart: header.baseOffset,
                        value: text(record.value), timestamp: header.maxTimestamp,
                        epoch: header.partitionLeaderEpoch,
                        sequence: header.producerId == Self.producer
                            ? header.lastSequence : nil))
            }
            next = header.lastOffset + 1
        }
        let kept = left.filter { $0.offset >= start }.prefix(durable.count)
        guard kept.map(\.value) == durable.map(\.value) else {
            return "flushed \(durable.map(\.offset)), then found \(kept.map(\.offset))"
        }
        for entry in left where entry.offset >= start {
            guard history[entry.offset]?.contains(entry.value) == true else {
                return "\(entry.value) at \(entry.offset) was never written"
            }
        }
        entries = left
        end = test.log.logEndOffset
        epoch = max(epoch, left.last?.epoch ?? 0)
        raised = max(raised, end < start ? 0 : start)
        if end < start { start = end }
        return nil
    }

    private func compareEnds() throws -> String? {
        guard test.log.logEndOffset == end else {
            return "ends at \(test.log.logEndOffset), not \(end)"
        }
        guard test.log.logStartOffset == start else {
            return "begins at \(test.log.logStartOffset), not \(start)"
        }
        guard test.log.flushedOffset <= end else { return "flushed beyond the end" }
        return nil
    }

    /// Everything that can be read, and what is derived from it.
    private mutating func compare() throws -> String? {
        if let problem = try compareTail() { return problem }
        let found: [Record]
        do {
            found = try test.records()
        } catch {
            return "unreadable: \(error)"
        }
        // What came back below the old start is as it was, as far as the model still knows it.
        let known = entries.first?.offset ?? end
        let expected = entries.filter { $0.offset >= start }
        let tail = found.filter { $0.offset >= max(start, known) }
        guard tail.map(\.offset) == expected.map(\.offset),
            tail.map({ text($0.value) }) == expected.map(\.value)
        else {
            return "records \(tail.map(\.offset)), expected \(expected.map(\.offset))"
        }
        for entry in expected
        where entry.offset >= raised && test.log.epoch(at: entry.offset) != entry.epoch {
            let found = test.log.epoch(at: entry.offset) ?? -1
            return "epoch at \(entry.offset) is \(found), not \(entry.epoch)"
        }
        if let last = entries.last(where: { $0.sequence != nil }) {
            let found = test.log.producers.active.first { $0.id == Self.producer }?.entry
            guard found?.lastSequence == last.sequence, found?.lastOffset == last.offset else {
                return "sequence \(found?.lastSequence ?? -1) at \(found?.lastOffset ?? -1), not "
                    + "\(last.sequence ?? -1) at \(last.offset)"
            }
        }
        let largest = expected.map(\.timestamp).max()
        if known <= start, try test.log.maxTimestamp()?.timestamp ?? -1 < largest ?? -1 {
            return "largest timestamp is not \(largest ?? -1)"
        }
        return nil
    }

    /// After a start the end may be below the offset that a gap had ended at.
    private mutating func compareTail() throws -> String? {
        let last = entries.last.map { $0.offset + 1 } ?? start
        guard test.log.logEndOffset >= min(last, end), test.log.logEndOffset <= end else {
            return "ends at \(test.log.logEndOffset), not within \(last)...\(end)"
        }
        end = test.log.logEndOffset
        raised = max(raised, start)
        start = test.log.logStartOffset
        return nil
    }
}
