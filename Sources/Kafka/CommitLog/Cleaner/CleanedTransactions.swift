import KafkaRecords

/// The transactions that compaction meets on its way through a log (KIP-98, KIP-534): whose records
/// were aborted and go, and whose markers have nothing left to mark.
struct CleanedTransactions {
    private struct Aborted {
        var transaction: AbortedTransaction
        var hasRecords = false
    }

    /// By first offset; those before `next` have begun.
    private let aborted: [AbortedTransaction]
    private var next = 0
    private var openAborted: [Int64: Aborted] = [:]
    private var openCommitted: Set<Int64> = []
    /// Transactions whose abort marker stays because records of theirs were met: the new
    /// segment's index keeps them.
    private(set) var kept: [AbortedTransaction] = []

    init(_ aborted: [AbortedTransaction]) {
        self.aborted = aborted.sorted {
            ($0.firstOffset, $0.lastOffset) < ($1.firstOffset, $1.lastOffset)
        }
    }

    /// Whether the records of a batch were aborted.
    mutating func isAborted(_ header: RecordBatchHeader) -> Bool {
        begin(upTo: header.lastOffset)
        guard header.isTransactional else { return false }
        if openAborted[header.producerId] != nil {
            openAborted[header.producerId]?.hasRecords = true
            return true
        }
        openCommitted.insert(header.producerId)
        return false
    }

    /// Whether a control batch has nothing to say any more: no record of its transaction was met.
    mutating func isNeedless(_ marker: ControlMarker, _ header: RecordBatchHeader) -> Bool {
        begin(upTo: header.lastOffset)
        switch marker {
        case .empty: return true
        case .other: return false
        case .end(isAbort: false, _, _):
            return openCommitted.remove(header.producerId) == nil
        case .end(isAbort: true, _, _):
            guard let ended = openAborted.removeValue(forKey: header.producerId),
                ended.hasRecords
            else { return true }
            kept.append(ended.transaction)
            return false
        }
    }

    mutating func takeKept() -> [AbortedTransaction] {
        defer { kept.removeAll() }
        return kept
    }

    private mutating func begin(upTo offset: Int64) {
        while next < aborted.count, aborted[next].firstOffset <= offset {
            let transaction = aborted[next]
            next += 1
            // One that ends before what was met last: of a part of the log that is gone.
            if openAborted[transaction.producerId] == nil {
                openAborted[transaction.producerId] = Aborted(transaction: transaction)
            }
        }
    }
}
