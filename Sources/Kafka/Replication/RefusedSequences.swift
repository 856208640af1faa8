import CommitLog
import NIOCore

/// Batches of idempotent producers that were refused for the moment: the replicas in sync were too
/// few, or this broker did not lead.
///
/// A producer has several batches under way. If the reason goes between two of them, the second
/// would meet a gap, OUT_OF_ORDER_SEQUENCE_NUMBER, which librdkafka answers with a new epoch in
/// which it sends again whatever it is not sure of: duplicates. So what comes behind a refused
/// batch is refused as that was, until that has come again.
struct RefusedSequences {
    private struct Refused {
        var epoch: Int16
        var sequence: Int32
    }

    /// Of one partition; beyond so many all are forgotten, which costs no more than in Kafka.
    private static let maximumProducers = 1000

    /// The earliest of each producer.
    private var earliest: [Int64: Refused] = [:]

    mutating func note(_ batch: ByteBuffer) {
        guard let (id, refused) = Self.read(batch) else { return }
        if let known = earliest[id], known.epoch == refused.epoch,
            !Self.isBehind(known.sequence, refused.sequence)
        {
            return
        }
        if earliest.count >= Self.maximumProducers { earliest.removeAll() }
        earliest[id] = refused
    }

    /// Whether a batch that was refused has to come before this one.
    mutating func precede(_ batch: ByteBuffer, in producers: ProducerStateTable) -> Bool {
        guard !earliest.isEmpty, let (id, this) = Self.read(batch), let known = earliest[id] else {
            return false
        }
        let entry = producers.producers[id]
        let isInLog = entry.map { entry in
            entry.producerEpoch > known.epoch
                || entry.producerEpoch == known.epoch
                    && !Self.isBehind(known.sequence, entry.lastSequence)
        }
        guard this.epoch == known.epoch, isInLog != true else {
            earliest[id] = nil
            return false
        }
        return Self.isBehind(this.sequence, known.sequence)
    }

    /// Sequences go on at 0 after the largest.
    private static func isBehind(_ a: Int32, _ b: Int32) -> Bool {
        let distance = (a &- b) & .max
        return distance != 0 && distance < 1 << 30
    }

    private static func read(_ batch: ByteBuffer) -> (Int64, Refused)? {
        let start = batch.readerIndex
        guard let id = batch.getInteger(at: start + 43, as: Int64.self), id >= 0,
            let epoch = batch.getInteger(at: start + 51, as: Int16.self),
            let sequence = batch.getInteger(at: start + 53, as: Int32.self), sequence >= 0
        else { return nil }
        return (id, Refused(epoch: epoch, sequence: sequence))
    }
}
