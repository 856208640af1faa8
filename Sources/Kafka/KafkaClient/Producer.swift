import KafkaRecords
import KafkaWire
import NIOCore

/// Produces to one topic: gathers batches, sends one of each partition at a time, and sends again
/// what a passing fault kept from being taken. With acks of all the broker tells repetitions apart
/// (idempotence, KIP-98), so that nothing is there twice.
package final class Producer {
    package struct Settings: Sendable {
        package var acks: Int16 = -1
        package var compression = Compression.none
        /// Of one batch, before it is compressed.
        package var batchBytes = 256 << 10
        /// How long a batch may take, repetitions included.
        package var timeoutMilliseconds = 30_000
        /// All records go here, whatever their keys.
        package var partition: Int32?

        package init() {}
    }

    package struct Summary: Equatable, Sendable {
        package struct Partition: Equatable, Sendable {
            package var records: Int
            /// Not known with acks of 0, and of a batch that a broker had already.
            package var firstOffset: Int64?
            package var lastOffset: Int64?

            package init(records: Int = 0, firstOffset: Int64? = nil, lastOffset: Int64? = nil) {
                self.records = records
                self.firstOffset = firstOffset
                self.lastOffset = lastOffset
            }
        }

        package var records = 0
        package var bytes = 0
        package var batches = 0
        package var retries = 0
        package var partitions: [Int32: Partition] = [:]

        package init() {}
    }

    private struct Batch {
        var bytes: ByteBuffer
        var records: Int
    }

    package private(set) var summary = Summary()
    /// Told of each attempt that came to nothing and will be made again, and for how long by now.
    package var waits: (ClientError, Duration) -> Void = { _, _ in }
    private let cluster: KafkaCluster
    private let settings: Settings
    private var layout: TopicLayout
    private var builders: [Int32: RecordBatchBuilder] = [:]
    /// Of all partitions together.
    private var gathered = 0
    private static let gatheredLimit = 8 << 20
    private var producer: (id: Int64, epoch: Int16)?
    private var sequences: [Int32: Int32] = [:]
    /// Where records without a key go until it has got its share: few large batches are better
    /// than many small ones (KIP-480, KIP-794).
    private var sticky: (partition: Int32, bytes: Int)?
    /// Kafka's default of batch.size.
    private static let share = 16 << 10

    package init(_ cluster: KafkaCluster, topic: String, _ settings: Settings) throws(ClientError) {
        self.cluster = cluster
        self.settings = settings
        layout = try cluster.layout(of: topic, mayCreate: true)
        if let partition = settings.partition { _ = try layout.select([partition]) }
        if settings.acks == -1, try cluster.any().serves(InitProducerIdRequest.self) {
            producer = try register()
        }
    }

    private func register() throws(ClientError) -> (Int64, Int16) {
        try Attempts.until(
            milliseconds: settings.timeoutMilliseconds,
            giveUp: .refused(.requestTimedOut, "no producer id")
        ) { () throws(ClientError) in
            let answer = try cluster.call(
                InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: Int32.max))
            guard answer.errorCode == .none else {
                throw .refused(answer.errorCode, "no producer id")
            }
            return (answer.producerId, answer.producerEpoch)
        }
    }

    package func add(
        key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader], timestamp: Int64
    ) throws(ClientError) {
        let size = RecordBatchBuilder.estimatedSize(key: key, value: value, headers: headers)
        let partition = choose(key, size)
        let filled = builders[partition]?.sizeInBytes ?? 0
        if filled > 0, filled + size > settings.batchBytes || gathered > Self.gatheredLimit {
            try flush()
        }
        gathered += size
        builders[partition, default: RecordBatchBuilder(capacity: settings.batchBytes)]
            .append(key: key, value: value, headers: headers, timestamp: timestamp)
    }

    private func choose(_ key: ByteBuffer?, _ size: Int) -> Int32 {
        if let partition = settings.partition { return partition }
        if let key {
            return Partitioner.partition(ofKey: key, count: layout.partitions.count)
        }
        if let sticky, sticky.bytes < Self.share {
            self.sticky = (sticky.partition, sticky.bytes + size)
            return sticky.partition
        }
        let led = layout.partitions.filter { $0.leader != nil }
        let chosen = (led.isEmpty ? layout.partitions : led).randomElement()?.index ?? 0
        sticky = (chosen, size)
        return chosen
    }

    /// Sends what was gathered, and returns once it was taken.
    package func flush() throws(ClientError) {
        var batches = try build()
        gathered = 0
        guard !batches.isEmpty else { return }
        var attempts = Attempts(milliseconds: settings.timeoutMilliseconds)
        let begun = ContinuousClock.now
        while true {
            if let failure = try send(&batches) {
                if failure.isPassing { waits(failure, .now - begun) }
                guard failure.isPassing, attempts.pause() else { throw failure }
                summary.retries += 1
                // Fails for the same reasons, and they pass as well.
                if let fresh = try? cluster.layout(of: layout.name) { layout = fresh }
            }
            if batches.isEmpty { return }
        }
    }

    private func build() throws(ClientError) -> [Int32: Batch] {
        var batches: [Int32: Batch] = [:]
        for index in builders.keys.sorted() {
            guard var builder = builders[index] else { continue }
            let count = Int(builder.recordCount)
            if let producer {
                builder.producerId = producer.id
                builder.producerEpoch = producer.epoch
                let sequence = sequences[index, default: 0]
                builder.baseSequence = sequence
                // Behind the highest number comes 0.
                sequences[index] = sequence &+ builder.recordCount & Int32.max
            }
            do throws(RecordError) {
                batches[index] = Batch(
                    bytes: try builder.build(compression: settings.compression), records: count)
            } catch {
                throw .refused(.invalidRecord, what: "a batch cannot be made", detail: "\(error)")
            }
        }
        builders = [:]
        return batches
    }

    /// One attempt: what was taken is no longer in `batches` afterwards. All leaders are at work at
    /// the same time.
    private func send(_ batches: inout [Int32: Batch]) throws(ClientError) -> ClientError? {
        typealias Pending = KafkaConnection.Pending<ProduceRequest>
        let wanted = layout.partitions.filter { batches[$0.index] != nil }
        var failure: ClientError?
        for index in batches.keys where layout[index]?.leader == nil {
            failure = .refused(
                .leaderNotAvailable, "partition \(index) of \(layout.name) has no leader")
        }
        var sent: [(leader: Int32, connection: KafkaConnection, pending: Pending)] = []
        for (leader, partitions) in TopicLayout.byLeader(wanted) {
            do throws(ClientError) {
                let connection = try cluster.connection(to: leader)
                let pending = try connection.send(
                    request(for: partitions, batches), atMost: layout.version(withIds: 13))
                if settings.acks == 0 {
                    for partition in partitions {
                        if let batch = batches.removeValue(forKey: partition.index) {
                            count(batch, partition.index, offset: nil)
                        }
                    }
                } else {
                    sent.append((leader, connection, pending))
                }
            } catch {
                cluster.forget(leader)
                failure = error
            }
        }
        for (leader, connection, pending) in sent {
            do throws(ClientError) {
                let answer = try connection.answer(to: pending)
                if let refusal = take(answer, &batches) { failure = worse(failure, refusal) }
            } catch {
                cluster.forget(leader)
                failure = worse(failure, error)
            }
        }
        return failure
    }

    /// What does not pass is told before what does.
    private func worse(_ old: ClientError?, _ new: ClientError) -> ClientError {
        if let old, !old.isPassing { return old }
        return new
    }

    private func request(
        for partitions: [TopicLayout.Partition], _ batches: [Int32: Batch]
    ) -> ProduceRequest {
        ProduceRequest(
            acks: settings.acks, timeoutMs: Int32(clamping: settings.timeoutMilliseconds),
            topicData: [
                .init(
                    name: layout.name, topicId: layout.topicId,
                    partitionData: partitions.map {
                        .init(
                            index: $0.index,
                            records: .bytes(batches[$0.index]?.bytes ?? ByteBuffer()))
                    })
            ])
    }

    private func take(
        _ answer: ProduceResponse, _ batches: inout [Int32: Batch]
    ) -> ClientError? {
        var failure: ClientError?
        for partition in answer.responses.flatMap(\.partitionResponses) {
            switch partition.errorCode {
            case .none, .duplicateSequenceNumber:
                if let batch = batches.removeValue(forKey: partition.index) {
                    let isKnown = partition.errorCode == .none && partition.baseOffset >= 0
                    count(batch, partition.index, offset: isKnown ? partition.baseOffset : nil)
                }
            default:
                let said = partition.recordErrors.first?.batchIndexErrorMessage
                failure = worse(
                    failure,
                    .refused(
                        partition.errorCode,
                        what: "partition \(partition.index) of \(layout.name)",
                        detail: partition.errorMessage ?? said))
            }
        }
        return failure
    }

    private func count(_ batch: Batch, _ index: Int32, offset: Int64?) {
        summary.records += batch.records
        summary.bytes += batch.bytes.readableBytes
        summary.batches += 1
        var partition = summary.partitions[index, default: .init()]
        partition.records += batch.records
        if let offset {
            partition.firstOffset = partition.firstOffset ?? offset
            partition.lastOffset = offset &+ Int64(batch.records) &- 1
        }
        summary.partitions[index] = partition
    }
}
