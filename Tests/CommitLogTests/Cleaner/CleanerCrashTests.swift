import CommitLog
import KafkaRecords
import NIOCore
import Testing

@Suite struct CleanerCrashTests {
    private static func prepared(seed: UInt64) throws -> CleanerLab {
        let lab = try CleanerLab(seed: seed)
        var random = SeededRandom(seed)
        for index in 0..<40 {
            let key = "\(random.next() % 6)"
            try lab.append([(key, random.next() % 5 == 0 ? nil : "\(index)"), ("k\(index)", "v")])
            if random.next() % 6 == 0 { try lab.roll() }
        }
        try lab.roll()
        try lab.append([("last", "one")])
        try lab.log.flush()
        try lab.directory.writeCheckpoints()
        return lab
    }

    /// The process is killed, or the power fails, at every change of the disk that a pass makes.
    @Test(arguments: [false, true])
    func nothingIsLostWhereverItEnds(losesUnsynced: Bool) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            var limit = 0
            while true {
                let lab = try Self.prepared(seed: seed)
                let before = lab.gate.count
                lab.gate.limit = before + limit
                let isWhole = (try? lab.clean(budget: 300)) != nil
                let end = lab.log.logEndOffset
                try lab.crash(losesUnsynced: losesUnsynced)
                #expect(lab.log.logEndOffset == end)
                try lab.check()
                // The next pass ends what this one had begun.
                let again = try lab.clean()
                #expect(again != nil || isWhole || limit > 20)
                try lab.check()
                try lab.checkCleaned(before: end - 1)
                if isWhole { break }
                limit += 1
            }
            #expect(limit > 20)
        }
    }

    /// Random appends, passes, restarts, crashes and truncations.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func randomLives(seed: UInt64) throws {
        var random = SeededRandom(seed &* 77)
        var settings = LogCleaner.Settings()
        settings.keyMemory = [KeyOffsets.bytesPerKey * 8, 32 << 20][Int(random.next() % 2)]
        let lab = try CleanerLab(
            CleanerLab.compacted { $0.segmentBytes = 400 + Int(random.next() % 2000) },
            seed: seed, settings: settings)
        var sequences: [Int64: Int32] = [:]
        for _ in 0..<120 {
            lab.nowMs += Int64(random.next() % 200)
            switch random.next() % 12 {
            case 0...6:
                let producer = Int64(random.next() % 3)
                let count = Int(1 + random.next() % 4)
                let sequence = sequences[producer] ?? 0
                sequences[producer] = sequence + Int32(count)
                let records = (0..<count).map { _ -> (key: String?, value: String?) in
                    let value = random.next() % 4 == 0 ? nil : "v\(random.next() % 1000)"
                    return ("\(random.next() % 10)", value)
                }
                try lab.append(
                    records, producer: (producer, 0, sequence),
                    compression: random.next() % 3 == 0 ? .lz4 : .none)
            case 7:
                try lab.roll()
            case 8, 9:
                let budget = 1 + Int(random.next() % 1000)
                let stopAt = random.next() % 4 == 0 ? Int(random.next() % 60) : Int.max
                try lab.log.flush()
                lab.gate.limit = stopAt == .max ? .max : lab.gate.count + stopAt
                let end = lab.log.logEndOffset
                do {
                    if let report = try lab.clean(budget: budget) {
                        try lab.checkCleaned(before: report.cleanedOffset)
                    }
                    lab.gate.limit = .max
                } catch {
                    try lab.crash(losesUnsynced: random.next() % 2 == 0)
                    #expect(lab.log.logEndOffset == end)
                }
            case 10:
                try lab.log.flush()
                let before = lab.log.producers.active.map(\.entry.lastSequence)
                try lab.crash(losesUnsynced: random.next() % 2 == 0)
                #expect(lab.log.producers.active.map(\.entry.lastSequence) == before)
            default:
                try lab.restart()
            }
            try lab.check()
        }
        while try lab.clean() != nil {}
        try lab.check()
    }
}
