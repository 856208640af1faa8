import KafkaRecords

/// Who appends to a log. Kafka checks clients fully, coordinators partly, replicas not at all.
package enum AppendOrigin: Sendable {
    case client, coordinator, raft, replication
}

/// A transaction that a marker has ended.
struct CompletedTransaction: Equatable {
    var producerId: Int64
    var firstOffset: Int64
    var lastOffset: Int64
    var isAborted: Bool
}

/// The producers of a log: what makes idempotence and transactions hold.
package struct ProducerStateTable: Sendable {
    struct Transaction: Equatable {
        var producerId: Int64
        var firstOffset: Int64
        /// Of the marker; nil while the transaction is open.
        var lastOffset: Int64?
    }

    package private(set) var producers: [Int64: ProducerEntry] = [:]
    /// Open, and ended but perhaps not replicated yet; both by first offset.
    private(set) var open: [Transaction] = []
    private(set) var unreplicated: [Transaction] = []
    /// What has been taken into account ends here.
    private(set) var endOffset: Int64 = 0

    package init() {}

    /// The producers in order of their ids.
    package var active: [(id: Int64, entry: ProducerEntry)] {
        producers.keys.sorted().map { ($0, producers[$0] ?? ProducerEntry(producerEpoch: -1)) }
    }

    /// The earliest record of a transaction that is neither committed nor aborted.
    package var firstUndecidedOffset: Int64? { open.first?.firstOffset }

    /// As above, or of one whose marker may not be replicated yet.
    package var firstUnstableOffset: Int64? {
        switch (open.first?.firstOffset, unreplicated.first?.firstOffset) {
        case (let a?, let b?): min(a, b)
        case (let a, let b): a ?? b
        }
    }

    // MARK: What a batch may do

    /// The earlier append of the same sequences, if a client sends a batch again.
    package func duplicate(of header: RecordBatchHeader) -> ProducerEntry.Batch? {
        producers[header.producerId]?.batch(
            epoch: header.producerEpoch, firstSequence: header.baseSequence,
            lastSequence: header.lastSequence)
    }

    /// The producer of a batch that may have been sent before, which the log has to tell.
    func forgetful(_ header: RecordBatchHeader) -> ProducerEntry? {
        guard let entry = producers[header.producerId], entry.hasForgotten,
            entry.producerEpoch == header.producerEpoch,
            entry.batches.count < ProducerEntry.retainedBatches,
            header.baseSequence != ProducerEntry.Sequence.step(entry.lastSequence, by: 1)
        else { return nil }
        return entry
    }

    mutating func recall(_ earlier: [ProducerEntry.Batch], of producer: Int64) {
        producers[producer]?.recall(earlier)
    }

    package func check(
        _ header: RecordBatchHeader, origin: AppendOrigin
    ) throws(LogError) {
        guard header.producerId >= 0, origin != .replication else { return }
        let entry = producers[header.producerId]
        let current = entry?.producerEpoch ?? -1
        guard header.producerEpoch >= current else {
            throw .invalidProducerEpoch(
                producerId: header.producerId, epoch: header.producerEpoch, currentEpoch: current)
        }
        guard !header.isControl else { return }
        if origin == .client { try checkSequence(header, entry) }
        if let entry, entry.transactionFirstOffset != nil, !header.isTransactional {
            throw .invalidTransactionState(producerId: header.producerId)
        }
    }

    private func checkSequence(
        _ header: RecordBatchHeader, _ entry: ProducerEntry?
    ) throws(LogError) {
        // Nothing known, perhaps because all of it has been deleted: any sequence may begin.
        guard let entry, entry.producerEpoch >= 0 else { return }
        let first = header.baseSequence
        let last = entry.lastSequence
        let fits: Bool
        if header.producerEpoch != entry.producerEpoch {
            fits = first == 0
        } else {
            fits = Int64(first) == Int64(last) + 1 || (first == 0 && last == Int32.max)
        }
        guard fits else {
            throw .outOfOrderSequence(
                producerId: header.producerId, sequence: first, lastSequence: last)
        }
    }

    func checkMarker(
        _ header: RecordBatchHeader, coordinatorEpoch: Int32, origin: AppendOrigin
    ) throws(LogError) {
        guard origin != .replication, let entry = producers[header.producerId] else { return }
        guard coordinatorEpoch >= entry.coordinatorEpoch else {
            throw .coordinatorFenced(
                producerId: header.producerId, epoch: coordinatorEpoch,
                currentEpoch: entry.coordinatorEpoch)
        }
    }

    // MARK: What a batch has done

    mutating func didAppend(_ header: RecordBatchHeader) {
        endOffset = header.lastOffset + 1
        guard header.producerId >= 0, !header.isControl else { return }
        let batch = ProducerEntry.Batch(
            lastSequence: header.lastSequence, lastOffset: header.lastOffset,
            offsetDelta: header.lastOffsetDelta, timestamp: header.maxTimestamp)
        var began = false
        producers[header.producerId, default: ProducerEntry(producerEpoch: header.producerEpoch)]
            .modify { entry in
                entry.add(batch, epoch: header.producerEpoch)
                if header.isTransactional, entry.transactionFirstOffset == nil {
                    entry.transactionFirstOffset = header.baseOffset
                    began = true
                }
            }
        if began {
            open.append(
                Transaction(producerId: header.producerId, firstOffset: header.baseOffset))
        }
    }

    /// A commit or abort marker. Returns the transaction it ends; none where there was none.
    mutating func didAppendMarker(
        _ header: RecordBatchHeader, coordinatorEpoch: Int32, isAbort: Bool, timestamp: Int64
    ) -> CompletedTransaction? {
        endOffset = header.lastOffset + 1
        var entry =
            producers[header.producerId] ?? ProducerEntry(producerEpoch: header.producerEpoch)
        entry.setEpoch(header.producerEpoch)
        let first = entry.transactionFirstOffset
        entry.transactionFirstOffset = nil
        entry.coordinatorEpoch = coordinatorEpoch
        entry.lastTimestamp = timestamp
        producers[header.producerId] = entry
        guard let first else { return nil }
        if let index = open.firstIndex(where: { $0.firstOffset == first }) {
            var transaction = open.remove(at: index)
            transaction.lastOffset = header.lastOffset
            let place = unreplicated.firstIndex { $0.firstOffset > first } ?? unreplicated.count
            unreplicated.insert(transaction, at: place)
        }
        return CompletedTransaction(
            producerId: header.producerId, firstOffset: first, lastOffset: header.lastOffset,
            isAborted: isAbort)
    }

    /// The log's last stable offset once a transaction is complete.
    func lastStableOffset(after transaction: CompletedTransaction) -> Int64 {
        open.first { $0.producerId != transaction.producerId }?.firstOffset
            ?? transaction.lastOffset + 1
    }

    // MARK: Housekeeping

    mutating func setEndOffset(_ offset: Int64) { endOffset = max(endOffset, offset) }

    mutating func highWatermarkRose(to offset: Int64) {
        unreplicated.removeAll { ($0.lastOffset ?? Int64.max) < offset }
    }

    package mutating func removeExpired(nowMs: Int64, after milliseconds: Int64) {
        let expired = producers.filter {
            $0.value.transactionFirstOffset == nil
                && nowMs.subtractingReportingOverflow($0.value.lastTimestamp).partialValue
                    >= milliseconds
        }
        for id in expired.keys { producers.removeValue(forKey: id) }
    }

    mutating func reset(endOffset: Int64) {
        self = ProducerStateTable()
        self.endOffset = endOffset
    }

    mutating func load(_ snapshot: [(id: Int64, entry: ProducerEntry)], endOffset: Int64) {
        reset(endOffset: endOffset)
        for (id, entry) in snapshot {
            producers[id] = entry
            producers[id]?.hasForgotten = !entry.batches.isEmpty
            if let first = entry.transactionFirstOffset {
                open.append(Transaction(producerId: id, firstOffset: first))
            }
        }
        open.sort { $0.firstOffset < $1.firstOffset }
    }
}

extension ProducerEntry {
    fileprivate mutating func modify(_ body: (inout ProducerEntry) -> Void) { body(&self) }
}
