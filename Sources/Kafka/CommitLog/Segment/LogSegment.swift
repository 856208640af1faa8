import KafkaRecords
import NIOCore

/// One `.log` file and its indexes. All but the last segment of a log never change, but for
/// truncation and compaction.
package final class LogSegment {
    package let baseOffset: Int64
    let directory: String
    let disk: any Disk
    package internal(set) var size: Int64
    /// When the file was made, or last changed if it was found: stands in for timestamps.
    let bornMs: Int64
    var modifiedMs: Int64
    /// Bytes that a loss of power may still take.
    var isUnsynced = false

    private var openFile: (any DiskFile)?
    var loadedOffsets: OffsetIndex?
    var loadedTimes: TimeIndex?
    private var loadedTransactions: TransactionIndex?
    /// The largest timestamp, and the last offset of the batch that has it.
    var largest: TimeIndex.Entry?
    var firstTimestamp: Int64?
    var bytesSinceIndexEntry = 0

    /// A segment that is found.
    init(
        baseOffset: Int64, directory: String, disk: any Disk, size: Int64, modifiedMs: Int64
    ) {
        self.baseOffset = baseOffset
        self.directory = directory
        self.disk = disk
        self.size = size
        self.bornMs = modifiedMs
        self.modifiedMs = modifiedMs
    }

    /// A segment that begins.
    static func create(
        baseOffset: Int64, directory: String, disk: any Disk, nowMs: Int64,
        stage: LogFileName.Stage? = nil
    ) throws(LogError) -> LogSegment {
        let segment = LogSegment(
            baseOffset: baseOffset, directory: directory, disk: disk, size: 0, modifiedMs: nowMs)
        try onDisk { () throws(DiskError) in
            // Kafka's tools expect the indexes beside the log.
            for kind in [LogFileName.Kind.index, .timeindex, .log] {
                let path = LogFileName(baseOffset, kind, stage).path(in: directory)
                let file = try disk.open(path, create: true)
                try file.truncate(to: 0)
                if kind == .log { segment.openFile = file }
            }
            let transactions = LogFileName(baseOffset, .txnindex, stage).path(in: directory)
            try disk.remove(transactions)
        }
        segment.stage = stage
        segment.loadedOffsets = OffsetIndex(baseOffset: baseOffset)
        segment.loadedTimes = TimeIndex(baseOffset: baseOffset)
        segment.loadedTransactions = TransactionIndex()
        segment.isUnsynced = true
        return segment
    }

    /// The suffix that the segment's files have.
    var stage: LogFileName.Stage?

    func path(_ kind: LogFileName.Kind) -> String {
        LogFileName(baseOffset, kind, stage).path(in: directory)
    }

    package func file() throws(LogError) -> any DiskFile {
        if let openFile { return openFile }
        let path = path(.log)
        let file = try onDisk { () throws(DiskError) in try disk.open(path, create: false) }
        openFile = file
        return file
    }

    /// Gives back what can be had again; replies on their way keep their file open.
    func releaseMemory() {
        guard !isUnsynced, loadedOffsets.map({ $0.written == $0.count }) ?? true,
            loadedTimes.map({ $0.written == $0.entries.count }) ?? true,
            loadedTransactions.map({ $0.written == $0.entries.count }) ?? true
        else { return }
        openFile = nil
        loadedOffsets = nil
        loadedTimes = nil
        loadedTransactions = nil
    }

    // MARK: Indexes

    func offsets() throws(LogError) -> OffsetIndex {
        if let loadedOffsets { return loadedOffsets }
        try loadIndexes()
        return loadedOffsets ?? OffsetIndex(baseOffset: baseOffset)
    }

    func times() throws(LogError) -> TimeIndex {
        if let loadedTimes { return loadedTimes }
        try loadIndexes()
        return loadedTimes ?? TimeIndex(baseOffset: baseOffset)
    }

    package func transactions() throws(LogError) -> TransactionIndex {
        if let loadedTransactions { return loadedTransactions }
        let path = path(.txnindex)
        let bytes = try onDisk { () throws(DiskError) in
            try disk.readWhole(path, limit: TransactionIndex.maxBytes)
        }
        var index = TransactionIndex()
        if let bytes {
            guard let read = TransactionIndex(baseOffset: baseOffset, bytes: bytes) else {
                throw .invalidFile(path: path, reason: "not a transaction index")
            }
            index = read
        }
        loadedTransactions = index
        return index
    }

    /// Takes the index away to change it in place, without a copy.
    func withTransactions(_ body: (inout TransactionIndex) -> Void) {
        var index = loadedTransactions ?? TransactionIndex()
        loadedTransactions = nil
        body(&index)
        loadedTransactions = index
    }

    func setTransactions(_ index: TransactionIndex) { loadedTransactions = index }

    /// Reads both indexes, or builds them from the log where a file is missing or garbage.
    func loadIndexes() throws(LogError) {
        if loadedOffsets != nil, loadedTimes != nil { return }
        let (offsetsPath, timesPath) = (path(.index), path(.timeindex))
        let (offsetBytes, timeBytes) = try onDisk {
            () throws(DiskError) -> (ByteBuffer?, ByteBuffer?) in
            (
                try disk.readWhole(offsetsPath, limit: 1 << 30),
                try disk.readWhole(timesPath, limit: 1 << 30)
            )
        }
        if let offsetBytes, let timeBytes,
            let offsets = OffsetIndex(
                baseOffset: baseOffset, bytes: offsetBytes, segmentSize: size),
            let times = TimeIndex(baseOffset: baseOffset, bytes: timeBytes),
            // A closed segment's ends with its largest timestamp, if it has any.
            size == 0 || times.last != nil
        {
            loadedOffsets = offsets
            loadedTimes = times
        } else {
            try rebuildIndexes(interval: 4096)
        }
    }

    /// Builds both indexes from the batches' headers and writes them.
    func rebuildIndexes(interval: Int) throws(LogError) {
        dropIndexes()
        var cursor = try cursor(from: 0, pieceSize: BatchCursor.scanPiece)
        do {
            while let found = try cursor.next() { note(found, interval: interval) }
        } catch {
            // What cannot be walked cannot be served either: the reader will say so.
            guard case .corruptBatch = error else { throw error }
        }
        noteLargest()
        try writeIndexes()
    }

    /// Indexes that are empty, and files that will be emptied with the next write.
    func dropIndexes() {
        loadedOffsets = OffsetIndex(rewriting: baseOffset)
        loadedTimes = TimeIndex(rewriting: baseOffset)
        largest = nil
        firstTimestamp = nil
        bytesSinceIndexEntry = 0
    }

    /// A batch has been appended, or found: the indexes learn of it.
    func note(_ found: BatchCursor.Found, interval: Int) {
        let header = found.header
        if firstTimestamp == nil, found.position == 0 { firstTimestamp = header.maxTimestamp }
        // A batch that compaction has emptied keeps its time for its producer's sake only.
        if header.recordCount > 0, header.maxTimestamp > largest?.timestamp ?? -1 {
            largest = .init(timestamp: header.maxTimestamp, offset: header.lastOffset)
        }
        if bytesSinceIndexEntry > interval {
            loadedOffsets?.append(offset: header.lastOffset, position: found.position)
            noteLargest()
            bytesSinceIndexEntry = 0
        }
        bytesSinceIndexEntry += header.sizeInBytes
    }

    /// The time index ends with the segment's largest timestamp when it is closed.
    func noteLargest() {
        guard let largest else { return }
        loadedTimes?.append(timestamp: largest.timestamp, offset: largest.offset)
    }

    func largestTimestamp() throws(LogError) -> TimeIndex.Entry? {
        if let largest { return largest }
        guard size > 0 else { return nil }
        largest = try times().last
        return largest
    }

    /// As Kafka's retention sees it: without any timestamps, the file's age counts.
    func newestMs() throws(LogError) -> Int64 {
        try largestTimestamp()?.timestamp ?? modifiedMs
    }

    /// Writes what the index files lack.
    func writeIndexes() throws(LogError) {
        if let index = loadedOffsets, index.needsTruncation || index.written < index.count {
            try write(
                index.unwritten(), at: index.written * OffsetIndex.entrySize, .index,
                truncating: index.needsTruncation)
            loadedOffsets?.didWrite()
        }
        if let index = loadedTimes, index.needsTruncation || index.written < index.entries.count {
            try write(
                index.unwritten(), at: index.written * TimeIndex.entrySize, .timeindex,
                truncating: index.needsTruncation)
            loadedTimes?.didWrite()
        }
        if let index = loadedTransactions,
            index.needsTruncation || index.written < index.entries.count
        {
            try write(
                index.unwritten(), at: index.written * TransactionIndex.entrySize, .txnindex,
                truncating: index.needsTruncation)
            loadedTransactions?.didWrite()
        }
    }

    private func write(
        _ bytes: ByteBuffer, at offset: Int, _ kind: LogFileName.Kind, truncating: Bool
    ) throws(LogError) {
        let path = path(kind)
        try onDisk { () throws(DiskError) in
            let file = try disk.open(path, create: true)
            if truncating { try file.truncate(to: Int64(offset)) }
            if bytes.readableBytes > 0 { try file.write(at: Int64(offset), bytes) }
        }
    }

    // MARK: Batches

    func cursor(from position: Int64, pieceSize: Int) throws(LogError) -> BatchCursor {
        BatchCursor(file: try file(), from: position, to: size, pieceSize: pieceSize)
    }

    /// The first batch that ends at the offset or behind it; nil where the segment has none.
    func batch(atOrAfter offset: Int64, interval: Int) throws(LogError) -> BatchCursor.Found? {
        do {
            return try search(offset)
        } catch {
            guard case .corruptBatch = error, try offsets().count > 0 else { throw error }
            // The index may be to blame: it is only a hint. The second error stands.
            try rebuildIndexes(interval: interval)
            return try search(offset)
        }
    }

    private func search(_ offset: Int64) throws(LogError) -> BatchCursor.Found? {
        let hint = try offsets().entry(notAbove: offset)
        var cursor = try cursor(from: hint.position, pieceSize: BatchCursor.searchPiece)
        var isFirst = true
        while let found = try cursor.next() {
            if isFirst, hint.position > 0,
                found.header.baseOffset > hint.offset || found.header.baseOffset < baseOffset
            {
                throw .corruptBatch("\(path(.index)) points at another offset")
            }
            isFirst = false
            if found.header.lastOffset >= offset { return found }
        }
        return nil
    }

    /// The last batch's end, walking on from the last index entry.
    func nextOffset(interval: Int) throws(LogError) -> Int64 {
        guard size > 0 else { return baseOffset }
        var next = baseOffset
        let last = try offsets().last
        var cursor = try cursor(
            from: last?.position ?? 0, pieceSize: BatchCursor.searchPiece)
        var isFirst = true
        while let found = try cursor.next() {
            if isFirst, let last, found.header.baseOffset > last.offset {
                throw .corruptBatch("\(path(.index)) points at another offset")
            }
            isFirst = false
            guard found.header.baseOffset >= next else {
                throw .corruptBatch("\(path(.log)) has falling offsets")
            }
            next = found.header.lastOffset + 1
        }
        return next
    }

    /// Cuts the file at a position, which a batch with `offset` or later ones begins at.
    func truncate(toPosition position: Int64, offset: Int64) throws(LogError) {
        try loadIndexes()
        _ = try transactions()
        let file = try file()
        try onDisk { () throws(DiskError) in try file.truncate(to: position) }
        size = position
        isUnsynced = true
        loadedOffsets?.truncate(toPosition: position)
        loadedTimes?.truncate(to: offset)
        withTransactions { $0.truncate(to: offset) }
        bytesSinceIndexEntry = Int(position - (loadedOffsets?.last?.position ?? 0))
        try writeIndexes()
        largest = loadedTimes?.last
        if position == 0 { firstTimestamp = nil }
        // Batches behind the last index entry may be later than the last time entry says.
        var cursor = try cursor(
            from: loadedOffsets?.last?.position ?? 0, pieceSize: BatchCursor.scanPiece)
        while let found = try cursor.next() {
            if found.header.recordCount > 0,
                found.header.maxTimestamp > largest?.timestamp ?? -1
            {
                largest = .init(
                    timestamp: found.header.maxTimestamp, offset: found.header.lastOffset)
            }
        }
    }

    // MARK: Names

    /// Gives all files another suffix. The log goes last: without it the others mean nothing.
    func rename(to next: LogFileName.Stage?) throws(LogError) {
        for kind in [LogFileName.Kind.txnindex, .timeindex, .index, .log] {
            let from = path(kind)
            let to = LogFileName(baseOffset, kind, next).path(in: directory)
            try onDisk { () throws(DiskError) in
                do throws(DiskError) {
                    try disk.rename(from, to: to)
                } catch {
                    if !error.isNotFound { throw error }
                }
            }
        }
        stage = next
    }
}
