import CommitLog
import NIOCore

/// What a record says: who wrote it, and which one of theirs it is.
struct RecordValue: Hashable, CustomStringConvertible {
    let producer: Int32
    let number: Int64

    init(_ producer: Int, _ number: Int64) {
        self.producer = Int32(producer)
        self.number = number
    }

    init?(_ bytes: ByteBuffer?) {
        guard var bytes, let producer = bytes.readInteger(as: Int32.self),
            let number = bytes.readInteger(as: Int64.self)
        else { return nil }
        self.producer = producer
        self.number = number
    }

    var bytes: ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(producer)
        bytes.writeInteger(number)
        return bytes
    }

    var description: String { "record \(number) of producer \(producer)" }
}

/// What clients were told.
final class History {
    struct Acknowledgement {
        var value: RecordValue
        var offset: Int64
    }

    /// Written with acks=all, in the order in which it was acknowledged.
    private(set) var acknowledged: [TopicPartition: [Acknowledgement]] = [:]
    /// What anyone has read at an offset.
    private(set) var read: [TopicPartition: [Int64: RecordValue]] = [:]
    /// By group and partition: what some member has read.
    private(set) var readByGroup: [String: [TopicPartition: Set<Int64>]] = [:]
    /// Where somebody went on after finding that what came before was deleted.
    private(set) var skipped: [TopicPartition: Int64] = [:]
    /// What DeleteRecords has promised to be gone, with the processes that were there. Where a log
    /// begins is noted once a minute, as in Kafka: if all replicas crash before, it may be back.
    private(set) var deletions: [TopicPartition: [(before: Int64, processes: [Int])]] = [:]

    func acknowledged(_ value: RecordValue, _ partition: TopicPartition, at offset: Int64) {
        acknowledged[partition, default: []].append(
            Acknowledgement(value: value, offset: offset))
    }

    /// - Returns: what another has read there, if that was something else.
    func read(
        _ value: RecordValue, _ partition: TopicPartition, at offset: Int64, by group: String
    ) -> RecordValue? {
        readByGroup[group, default: [:]][partition, default: []].insert(offset)
        let known = read[partition, default: [:]].updateValue(value, forKey: offset)
        return known == value ? nil : known
    }

    func skipped(to offset: Int64, _ partition: TopicPartition) {
        skipped[partition] = max(offset, skipped[partition] ?? 0)
    }

    func deleted(before offset: Int64, _ partition: TopicPartition, _ processes: [Int]) {
        deletions[partition, default: []].append((offset, processes))
    }
}
