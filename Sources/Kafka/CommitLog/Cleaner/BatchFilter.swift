import KafkaRecords
import NIOCore

/// What compaction leaves of a batch.
struct BatchFilter {
    struct Kept {
        var header: RecordBatchHeader
        var bytes: ByteBuffer
        /// Not the batch that was there.
        var isNew: Bool
    }

    let log: PartitionLog
    let keys: KeyOffsets
    let nowMs: Int64

    /// Nil where nothing is left.
    func apply(
        _ batch: RecordBatch, _ transactions: inout CleanedTransactions
    ) throws(LogError) -> Kept? {
        let header = batch.header
        if header.isControl {
            let marker = try ControlMarker(batch.bytes, header: header)
            let isNeedless = transactions.isNeedless(marker, header)
            return try keepMarker(batch, isNeedless: isNeedless)
        }
        if transactions.isAborted(header) { return try keepNothing(of: batch) }
        return try keepRecords(of: batch)
    }

    // MARK: Markers

    /// A marker without records stays for `delete.retention.ms`, so that whoever is reading the
    /// transaction still learns of its end.
    private func keepMarker(_ batch: RecordBatch, isNeedless: Bool) throws(LogError) -> Kept? {
        guard isNeedless else { return whole(batch) }
        guard let horizon = batch.header.deleteHorizon else {
            if batch.header.recordCount == 0 { return try keepNothing(of: batch) }
            return try rebuilt(batch, try records(of: batch), horizon: newHorizon)
        }
        return horizon <= nowMs ? try keepNothing(of: batch) : whole(batch)
    }

    // MARK: Records

    private func keepRecords(of batch: RecordBatch) throws(LogError) -> Kept? {
        let header = batch.header
        let keepsTombstones = header.deleteHorizon.map { nowMs < $0 } ?? true
        var kept: [Record] = []
        var hasTombstone = false
        var count = 0
        try LogRecords.each(batch.bytes) { record throws(LogError) in
            count += 1
            guard isKept(record, keepsTombstones) else { return true }
            if record.value == nil { hasTombstone = true }
            kept.append(record)
            return true
        }
        guard !kept.isEmpty else { return try keepNothing(of: batch) }
        let needsHorizon = hasTombstone && header.deleteHorizon == nil
        if kept.count == count, !needsHorizon { return whole(batch) }
        return try rebuilt(
            batch, kept, horizon: needsHorizon ? newHorizon : header.deleteHorizon)
    }

    private func isKept(_ record: Record, _ keepsTombstones: Bool) -> Bool {
        // Not looked at yet.
        if record.offset > keys.latestOffset { return true }
        // Without a key nothing can ever replace it: compacted topics do not take such records.
        guard let key = record.key else { return false }
        if let latest = keys.offset(of: key), record.offset < latest { return false }
        return record.value != nil || keepsTombstones
    }

    private func records(of batch: RecordBatch) throws(LogError) -> [Record] {
        var records: [Record] = []
        try LogRecords.each(batch.bytes) { record throws(LogError) in
            records.append(record)
            return true
        }
        return records
    }

    private var newHorizon: Int64 {
        let (horizon, overflow) = nowMs.addingReportingOverflow(log.config.deleteRetentionMs)
        return overflow ? Int64.max : horizon
    }

    // MARK: Batches

    private func whole(_ batch: RecordBatch) -> Kept {
        Kept(header: batch.header, bytes: batch.bytes, isNew: false)
    }

    /// The last batch of a producer stays without its records, so that the producer's sequence
    /// is not forgotten when the log is read again.
    private func keepNothing(of batch: RecordBatch) throws(LogError) -> Kept? {
        let header = batch.header
        guard header.hasProducerId, let entry = log.producers.producers[header.producerId] else {
            return nil
        }
        let isLast =
            entry.lastOffset >= 0
            ? header.lastOffset == entry.lastOffset
            : header.isControl && header.producerEpoch == entry.producerEpoch
        guard isLast else { return nil }
        if header.recordCount == 0 { return whole(batch) }
        var bytes = try build(batch, [], horizon: nil)
        // It keeps its time, by which the producer expires.
        BatchStamp.setTimes(header.maxTimestamp, in: &bytes)
        return try Self.parsed(bytes)
    }

    /// A batch without records that a new segment ends with where its sources ended: whoever
    /// reads the log after a crash sees that no end was lost. It belongs to no producer.
    static func placeholder(for header: RecordBatchHeader) throws(LogError) -> Kept {
        var builder = RecordBatchBuilder(baseOffset: header.lastOffset)
        builder.partitionLeaderEpoch = header.partitionLeaderEpoch
        builder.lastOffset = header.lastOffset
        return try parsed(try built(builder, .none))
    }

    private func rebuilt(
        _ batch: RecordBatch, _ records: [Record], horizon: Int64?
    ) throws(LogError) -> Kept {
        try Self.parsed(try build(batch, records, horizon: horizon))
    }

    private static func parsed(_ bytes: ByteBuffer) throws(LogError) -> Kept {
        do {
            return Kept(
                header: try RecordBatchHeader(at: bytes.readerIndex, in: bytes), bytes: bytes,
                isNew: true)
        } catch {
            throw .corruptBatch("\(error)")
        }
    }

    private func build(
        _ batch: RecordBatch, _ records: [Record], horizon: Int64?
    ) throws(LogError) -> ByteBuffer {
        let header = batch.header
        var builder = RecordBatchBuilder(
            baseOffset: header.baseOffset, deleteHorizon: horizon,
            capacity: header.compression == .none ? header.sizeInBytes : 4 * header.sizeInBytes)
        builder.partitionLeaderEpoch = header.partitionLeaderEpoch
        builder.producerId = header.producerId
        builder.producerEpoch = header.producerEpoch
        builder.baseSequence = header.baseSequence
        builder.isTransactional = header.isTransactional
        builder.isControl = header.isControl
        builder.logAppendTime = header.isLogAppendTime ? header.maxTimestamp : nil
        builder.lastOffset = header.lastOffset
        for record in records { builder.append(record) }
        return try Self.built(builder, header.compression)
    }

    private static func built(
        _ builder: consuming RecordBatchBuilder, _ compression: Compression
    ) throws(LogError) -> ByteBuffer {
        do {
            return try builder.build(compression: compression)
        } catch {
            throw .corruptBatch("\(error)")
        }
    }
}
