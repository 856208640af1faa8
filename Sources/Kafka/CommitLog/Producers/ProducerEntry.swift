/// What the log remembers of one producer: its epoch, and its last batches.
package struct ProducerEntry: Equatable, Sendable {
    /// How many batches a producer may have in flight and still be idempotent.
    package static let retainedBatches = 5

    package struct Batch: Equatable, Sendable {
        package var lastSequence: Int32
        package var lastOffset: Int64
        package var offsetDelta: Int32
        package var timestamp: Int64

        package var firstOffset: Int64 { lastOffset - Int64(offsetDelta) }
        package var firstSequence: Int32 { Sequence.step(lastSequence, by: -Int64(offsetDelta)) }
    }

    package enum Sequence {
        /// Sequences go from 0 to Int32.max and then begin again.
        package static func step(_ sequence: Int32, by count: Int64) -> Int32 {
            let period = Int64(Int32.max) + 1
            let sum = (Int64(sequence) + count) % period
            return Int32(truncatingIfNeeded: sum < 0 ? sum + period : sum)
        }
    }

    package var producerEpoch: Int16
    package var coordinatorEpoch: Int32 = -1
    package var lastTimestamp: Int64 = -1
    /// Where the open transaction of the producer began.
    package var transactionFirstOffset: Int64?
    package private(set) var batches: [Batch] = []
    /// It comes from a snapshot, which holds the last batch only: the ones before it, which the
    /// producer may send again, are in the log and nowhere else.
    package var hasForgotten = false

    package init(producerEpoch: Int16) { self.producerEpoch = producerEpoch }

    package var lastSequence: Int32 { batches.last?.lastSequence ?? -1 }
    package var lastOffset: Int64 { batches.last?.lastOffset ?? -1 }

    mutating func setEpoch(_ epoch: Int16) {
        guard epoch != producerEpoch else { return }
        producerEpoch = epoch
        hasForgotten = false
        batches.removeAll(keepingCapacity: true)
    }

    mutating func add(_ batch: Batch, epoch: Int16) {
        setEpoch(epoch)
        if batches.isEmpty { batches.reserveCapacity(Self.retainedBatches) }
        if batches.count == Self.retainedBatches { batches.removeFirst() }
        batches.append(batch)
        lastTimestamp = batch.timestamp
    }

    /// What has been found in the log before the batches that are known, the latest last.
    mutating func recall(_ earlier: [Batch]) {
        hasForgotten = false
        batches.insert(
            contentsOf: earlier.suffix(max(0, Self.retainedBatches - batches.count)), at: 0)
    }

    func batch(epoch: Int16, firstSequence: Int32, lastSequence: Int32) -> Batch? {
        guard epoch == producerEpoch else { return nil }
        return batches.first {
            $0.lastSequence == lastSequence && $0.firstSequence == firstSequence
        }
    }
}
