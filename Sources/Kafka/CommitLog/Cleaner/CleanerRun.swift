import KafkaRecords
import NIOCore

/// Compaction of one log, once through.
final class CleanerRun {
    /// New segments are written in pieces of this size.
    private static let writePiece = 256 << 10

    let log: PartitionLog
    private let firstDirty: Int64
    private let end: Int64
    private let startMs: Int64
    private let truncationCount: Int
    private var keys: KeyOffsets
    private var transactions: CleanedTransactions
    private var report: CleanerReport

    private enum Phase {
        /// Taking down the keys of the new records.
        case mapping(SegmentWalk)
        /// Writing a group of segments anew, as one.
        case writing(CleanerGroup)
        /// The new segment is on its way to the disk.
        case syncing(CleanerGroup)
        case finished
    }

    private var phase: Phase = .finished
    /// Segments that will become one each, the next last.
    private var groups: [[LogSegment]] = []

    init(
        log: PartitionLog, from firstDirty: Int64, to end: Int64, keyCapacity: Int,
        hash: SipHash, nowMs: Int64
    ) throws(LogError) {
        self.log = log
        self.firstDirty = firstDirty
        self.end = end
        startMs = nowMs
        truncationCount = log.truncationCount
        // There cannot be more keys than offsets.
        let capacity = min(Int64(keyCapacity), end - firstDirty)
        keys = KeyOffsets(capacity: Int(capacity), hash: hash)
        transactions = CleanedTransactions(
            try log.abortedTransactions(from: firstDirty, before: end))
        report = CleanerReport(partition: log.topicPartition, cleanedOffset: firstDirty)
        let dirty = log.segments.filter { $0.baseOffset < end }
        let first = dirty.lastIndex { $0.baseOffset <= firstDirty } ?? 0
        phase = .mapping(SegmentWalk(Array(dirty[first...])))
    }

    /// The segments are those that the run began with: none was cut, and none has gone.
    var isStillPossible: Bool {
        guard !log.isClosed, log.directory.offlineReason == nil,
            log.truncationCount == truncationCount
        else { return false }
        switch phase {
        case .mapping(let walk): return log.contains(walk.segments)
        case .writing(let group), .syncing(let group): return log.contains(group.sources)
        case .finished: return true
        }
    }

    func step(nowMs: Int64, budget: Int, _ result: inout CleanerStep) throws(LogError) {
        var left = budget
        while left > 0 {
            switch phase {
            case .mapping(var walk):
                // Taken out, so that it is changed in place.
                phase = .finished
                if try map(&walk, &left) {
                    try plan()
                } else {
                    phase = .mapping(walk)
                }
            case .writing(let group):
                guard try write(group, &left) else { continue }
                if let ticket = try finish(group) {
                    result.flush = ticket
                    phase = .syncing(group)
                    return
                }
                try nextGroup()
            case .syncing(let group):
                guard log.cleanerFlush == nil else { return }
                result.deleted += try log.replace(group.sources, with: group.target)
                count(group)
                try nextGroup()
                // Directories were synced: enough for one step.
                left = 0
            case .finished:
                report.cleanedOffset = min(end, keys.latestOffset + 1)
                result.report = report
                return
            }
        }
    }

    func abandon() {
        log.cleanerFlush = nil
        guard !log.isClosed, log.directory.offlineReason == nil else { return }
        switch phase {
        case .writing(let group), .syncing(let group): try? log.remove(group.target)
        case .mapping, .finished: break
        }
        phase = .finished
    }

    // MARK: Keys

    /// True when all keys are there, or as many as there is room for.
    private func map(_ walk: inout SegmentWalk, _ left: inout Int) throws(LogError) -> Bool {
        while left > 0 {
            guard let (_, batch) = try walk.next() else {
                keys.sawOffset(end - 1)
                return true
            }
            let header = batch.header
            left -= header.sizeInBytes
            guard header.lastOffset >= firstDirty else { continue }
            if header.isControl {
                let marker = try ControlMarker(batch.bytes, header: header)
                _ = transactions.isNeedless(marker, header)
            } else if !transactions.isAborted(header), try !map(batch) {
                // Full: what comes behind is left for the next run.
                return true
            }
            keys.sawOffset(header.lastOffset)
        }
        return false
    }

    private func map(_ batch: RecordBatch) throws(LogError) -> Bool {
        var hasRoom = true
        try LogRecords.each(batch.bytes) { record throws(LogError) in
            guard record.offset >= firstDirty, let key = record.key else { return true }
            hasRoom = keys.put(key, record.offset)
            return hasRoom
        }
        return hasRoom
    }

    // MARK: Groups

    /// Which segments become one: as many as fit by size and by the reach of an index entry.
    private func plan() throws(LogError) {
        let cleanedEnd = keys.latestOffset + 1
        let sources = log.segments.dropLast().filter { $0.baseOffset < min(end, cleanedEnd) }
        transactions = CleanedTransactions(
            try log.abortedTransactions(
                from: log.segments[0].baseOffset, before: max(end, log.segments[0].baseOffset)))
        var planned: [[LogSegment]] = []
        var size: Int64 = 0
        for (index, segment) in sources.enumerated() {
            let next = log.segments[index + 1].baseOffset
            if let first = planned.last?.first,
                size + segment.size <= Int64(log.config.segmentBytes),
                next - 1 - first.baseOffset <= Int64(Int32.max)
            {
                planned[planned.count - 1].append(segment)
                size += segment.size
            } else {
                planned.append([segment])
                size = segment.size
            }
        }
        groups = planned.reversed()
        try nextGroup()
    }

    private func nextGroup() throws(LogError) {
        guard let sources = groups.popLast(), let first = sources.first else {
            phase = .finished
            return
        }
        guard log.contains(sources) else {
            // Retention has taken them.
            return try nextGroup()
        }
        let target = try LogSegment.create(
            baseOffset: first.baseOffset, directory: log.path, disk: log.disk,
            nowMs: sources.last?.modifiedMs ?? startMs, stage: .cleaned)
        phase = .writing(CleanerGroup(sources: sources, target: target))
    }

    // MARK: Writing

    /// True when all of the group's sources have been gone through.
    private func write(_ group: CleanerGroup, _ left: inout Int) throws(LogError) -> Bool {
        while left > 0 {
            guard let (_, batch) = try group.walk.next() else {
                if let header = group.droppedEnd {
                    group.append(
                        try BatchFilter.placeholder(for: header),
                        interval: log.config.indexIntervalBytes)
                }
                try flushPending(group)
                return true
            }
            left -= batch.header.sizeInBytes
            report.recordsBefore += Int64(max(0, batch.header.recordCount))
            let filter = BatchFilter(log: log, keys: keys, nowMs: startMs)
            guard let kept = try filter.apply(batch, &transactions) else {
                group.hasChanged = true
                group.droppedEnd = batch.header
                continue
            }
            group.droppedEnd = nil
            if kept.isNew { group.hasChanged = true }
            left -= kept.bytes.readableBytes
            report.recordsAfter += Int64(max(0, kept.header.recordCount))
            group.append(kept, interval: log.config.indexIntervalBytes)
            if group.pending.readableBytes >= Self.writePiece { try flushPending(group) }
        }
        return false
    }

    private func flushPending(_ group: CleanerGroup) throws(LogError) {
        guard group.pending.readableBytes > 0 else { return }
        let file = try group.target.file()
        let position = group.target.size - Int64(group.pending.readableBytes)
        try onDisk { () throws(DiskError) in try file.write(at: position, group.pending) }
        group.pending.clear()
    }

    /// The new segment is complete: what makes it durable. Nil where it is no better than what
    /// is there.
    private func finish(_ group: CleanerGroup) throws(LogError) -> FlushTicket? {
        let kept = transactions.takeKept()
        guard group.hasChanged || group.sources.count > 1 else {
            count(group)
            try log.remove(group.target)
            return nil
        }
        group.target.noteLargest()
        group.target.withTransactions { index in for entry in kept { index.append(entry) } }
        try group.target.writeIndexes()
        return try log.cleanerTicket(for: group.target)
    }

    private func count(_ group: CleanerGroup) {
        report.bytesBefore += group.sources.reduce(0) { $0 + $1.size }
        report.bytesAfter += group.target.size
    }
}

/// Segments on their way to become one.
final class CleanerGroup {
    let sources: [LogSegment]
    let target: LogSegment
    var walk: SegmentWalk
    /// Already part of the target's size, but not of its file.
    var pending = ByteBuffer()
    var hasChanged = false
    /// The last batch of the sources so far, where nothing of it is left.
    var droppedEnd: RecordBatchHeader?

    init(sources: [LogSegment], target: LogSegment) {
        self.sources = sources
        self.target = target
        walk = SegmentWalk(sources)
    }

    func append(_ batch: BatchFilter.Kept, interval: Int) {
        target.note(.init(header: batch.header, position: target.size), interval: interval)
        pending.writeImmutableBuffer(batch.bytes)
        target.size += Int64(batch.bytes.readableBytes)
    }
}

/// All batches of some segments, their checksums right, one by one.
struct SegmentWalk {
    let segments: [LogSegment]
    private var index = 0
    private var cursor: BatchCursor?

    init(_ segments: [LogSegment]) { self.segments = segments }

    mutating func next() throws(LogError) -> (segment: LogSegment, batch: RecordBatch)? {
        while index < segments.count {
            if cursor == nil {
                cursor = try segments[index].cursor(from: 0, pieceSize: BatchCursor.cleanPiece)
            }
            if let found = try cursor?.next(), let bytes = try cursor?.bytes(of: found) {
                return (segments[index], try Self.checked(bytes))
            }
            cursor = nil
            index += 1
        }
        return nil
    }

    private static func checked(_ bytes: ByteBuffer) throws(LogError) -> RecordBatch {
        do {
            let batch = try RecordBatch(at: bytes.readerIndex, in: bytes)
            try batch.checkCRC()
            return batch
        } catch {
            throw .corruptBatch("\(error)")
        }
    }
}
