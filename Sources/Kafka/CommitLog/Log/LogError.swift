import KafkaWire

/// Why the log refused something. `errorCode` is what Kafka would say on the wire.
package enum LogError: Error, Equatable, Sendable {
    /// The disk failed; the log directory is offline.
    case storage(DiskError)
    /// The log, or its directory, can no longer be used after an earlier error.
    case offline(String)
    /// A checksum does not match, or a batch is cut off.
    case corruptBatch(String)
    /// The batch contradicts itself or the rules of the topic.
    case invalidRecord(String)
    case invalidTimestamp(String)
    case messageTooLarge(size: Int, limit: Int)
    case largerThanSegment(size: Int, limit: Int)
    case outOfOrderSequence(producerId: Int64, sequence: Int32, lastSequence: Int32)
    case invalidProducerEpoch(producerId: Int64, epoch: Int16, currentEpoch: Int16)
    case invalidTransactionState(producerId: Int64)
    case coordinatorFenced(producerId: Int64, epoch: Int32, currentEpoch: Int32)
    case offsetOutOfRange(offset: Int64, start: Int64, end: Int64)
    /// A follower was given offsets below its log's end.
    case unexpectedOffset(first: Int64, expected: Int64)
    /// An append under an epoch older than the log's latest.
    case staleLeaderEpoch(epoch: Int32, latest: Int32)
    /// A file that the log cannot do without says something it cannot mean.
    case invalidFile(path: String, reason: String)

    /// The log is whole and its directory may be; it only has to be opened again.
    package var isShortage: Bool {
        if case .storage(let cause) = self { cause.isShortage } else { false }
    }

    package var errorCode: ErrorCode {
        switch self {
        case .storage, .offline, .invalidFile: .kafkaStorageError
        case .corruptBatch: .corruptMessage
        case .invalidRecord: .invalidRecord
        case .invalidTimestamp: .invalidTimestamp
        case .messageTooLarge: .messageTooLarge
        case .largerThanSegment: .recordListTooLarge
        case .outOfOrderSequence: .outOfOrderSequenceNumber
        case .invalidProducerEpoch: .invalidProducerEpoch
        case .invalidTransactionState: .invalidTxnState
        case .coordinatorFenced: .transactionCoordinatorFenced
        case .offsetOutOfRange: .offsetOutOfRange
        case .unexpectedOffset: .offsetOutOfRange
        case .staleLeaderEpoch: .fencedLeaderEpoch
        }
    }
}

extension LogError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .storage(let error):
            error.description
        case .offline(let reason):
            "offline: \(reason)"
        case .corruptBatch(let reason):
            "corrupt record batch: \(reason)"
        case .invalidRecord(let reason):
            "invalid record batch: \(reason)"
        case .invalidTimestamp(let reason):
            "invalid timestamp: \(reason)"
        case .messageTooLarge(let size, let limit):
            "record batch of \(size) bytes, max.message.bytes is \(limit)"
        case .largerThanSegment(let size, let limit):
            "append of \(size) bytes, segment.bytes is \(limit)"
        case .outOfOrderSequence(let producer, let sequence, let last):
            "sequence \(sequence) of producer \(producer) after \(last)"
        case .invalidProducerEpoch(let producer, let epoch, let current):
            "epoch \(epoch) of producer \(producer), which has \(current)"
        case .invalidTransactionState(let producer):
            "producer \(producer) wrote outside its open transaction"
        case .coordinatorFenced(let producer, let epoch, let current):
            "marker for producer \(producer) by coordinator epoch \(epoch), known is \(current)"
        case .offsetOutOfRange(let offset, let start, let end):
            "offset \(offset) is outside \(start)...\(end)"
        case .unexpectedOffset(let first, let expected):
            "append at offset \(first), expected \(expected)"
        case .staleLeaderEpoch(let epoch, let latest):
            "append under leader epoch \(epoch), the log has \(latest)"
        case .invalidFile(let path, let reason):
            "\(path): \(reason)"
        }
    }
}
