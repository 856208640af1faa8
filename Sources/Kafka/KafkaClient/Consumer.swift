import KafkaRecords
import KafkaWire
import NIOCore

/// Reads one topic without a group. Every leader has a fetch at work all the time; records are
/// handed over as they come.
package final class Consumer {
    package enum Start: Equatable, Sendable {
        case point(OffsetPoint)
        case offset(Int64)
        /// So many before the end, in each partition.
        case last(Int64)
    }

    package struct Received: Equatable, Sendable {
        package var partition: Int32
        package var record: Record

        package init(partition: Int32, record: Record) {
            self.partition = partition
            self.record = record
        }
    }

    private struct Fetch {
        var connection: KafkaConnection
        var pending: KafkaConnection.Pending<FetchRequest>
    }

    private static let fetchBytes: Int32 = 16 << 20
    private static let partitionBytes: Int32 = 2 << 20
    private static let decompressionLimit = 256 << 20
    /// How long what passes may last. Who follows waits for as long as it takes.
    private static let patience = 30_000
    private static let endlessPatience = 315_360_000_000

    /// What comes next of each partition that is still read.
    package private(set) var positions: [Int32: Int64] = [:]
    /// Where a partition ends for who does not follow it.
    private var ends: [Int32: Int64]?
    private let cluster: KafkaCluster
    private var layout: TopicLayout
    private var connections: [Int32: KafkaConnection] = [:]
    private var fetches: [Int32: Fetch] = [:]
    private var attempts: Attempts?
    private let follows: Bool
    /// What is being waited for to pass.
    package private(set) var trouble: ClientError?
    private let waitMilliseconds: Int

    package init(
        _ cluster: KafkaCluster, topic: String, partitions: [Int32]?, from start: Start,
        follows: Bool, waitMilliseconds: Int = 500
    ) throws(ClientError) {
        self.cluster = cluster
        self.follows = follows
        self.waitMilliseconds = waitMilliseconds
        layout = try cluster.layout(of: topic)
        let wanted = try layout.select(partitions).map(\.index)
        let latest = try cluster.offsets(of: topic, partitions: wanted, at: .latest)
        let earliest = try cluster.offsets(of: topic, partitions: wanted, at: .earliest)
        var found: [Int32: FoundOffset] = [:]
        if case .point(let point) = start, point != .earliest, point != .latest {
            found = try cluster.offsets(of: topic, partitions: wanted, at: point)
        }
        for index in wanted {
            let (first, end) = (earliest[index]?.offset ?? 0, latest[index]?.offset ?? 0)
            switch start {
            case .point(.earliest): positions[index] = first
            case .point(.latest): positions[index] = end
            case .point:
                // No record is so late: what comes from now on is.
                let offset = found[index]?.offset ?? -1
                positions[index] = offset < 0 ? end : offset
            case .last(let count): positions[index] = max(first, end &- count)
            case .offset(let offset):
                guard (first...max(first, end)).contains(offset) else {
                    throw .refused(
                        .offsetOutOfRange, what: "partition \(index) of \(topic)",
                        detail: "offset \(offset) is not one of \(first) to \(end)")
                }
                positions[index] = offset
            }
        }
        if !follows {
            ends = latest.mapValues(\.offset)
            leaveEnded()
        }
    }

    /// Everything that was there at the start has been read.
    package var isAtEnd: Bool { positions.isEmpty }

    private func leaveEnded() {
        guard let ends else { return }
        positions = positions.filter { $0.value < ends[$0.key] ?? 0 }
    }

    /// What has come, after at most the wait; partition by partition, in order.
    package func poll() throws(ClientError) -> [Received] {
        do throws(ClientError) {
            try ask()
        } catch {
            try recover(error)
        }
        let working = fetches.sorted { $0.key < $1.key }
        let ready = KafkaConnection.ready(
            working.map(\.value.connection), milliseconds: waitMilliseconds)
        var records: [Received] = []
        for (leader, fetch) in ready.map({ working[$0] }) {
            fetches[leader] = nil
            do throws(ClientError) {
                try take(try fetch.connection.answer(to: fetch.pending), into: &records)
                attempts = nil
                trouble = nil
            } catch {
                connections[leader] = nil
                try recover(error)
            }
        }
        leaveEnded()
        return records
    }

    /// What passes is waited for, and the leaders are looked up anew.
    private func recover(_ error: ClientError) throws(ClientError) {
        var next =
            attempts
            ?? Attempts(milliseconds: follows ? Self.endlessPatience : Self.patience)
        guard error.isPassing, next.pause() else { throw error }
        attempts = next
        trouble = error
        let fresh: TopicLayout
        do throws(ClientError) {
            fresh = try cluster.layout(of: layout.name)
        } catch {
            guard error.isPassing else { throw error }
            return
        }
        guard fresh.topicId == layout.topicId else {
            throw .refused(
                .unknownTopicId, what: "topic \(layout.name)",
                detail: "it was deleted and created again meanwhile")
        }
        layout = fresh
    }

    /// Every leader that has nothing to do gets a fetch.
    private func ask() throws(ClientError) {
        let wanted = layout.partitions.filter { positions[$0.index] != nil }
        for (leader, partitions) in TopicLayout.byLeader(wanted) where fetches[leader] == nil {
            var connection = connections[leader]
            if connection == nil { connection = try cluster.open(leader) }
            guard let connection else { continue }
            connections[leader] = connection
            let request = FetchRequest(
                maxWaitMs: Int32(clamping: waitMilliseconds), minBytes: 1,
                maxBytes: Self.fetchBytes,
                topics: [
                    .init(
                        topic: layout.name, topicId: layout.topicId,
                        partitions: partitions.map {
                            .init(
                                partition: $0.index, currentLeaderEpoch: $0.leaderEpoch,
                                fetchOffset: positions[$0.index] ?? 0,
                                partitionMaxBytes: Self.partitionBytes)
                        })
                ])
            fetches[leader] = Fetch(
                connection: connection,
                pending: try connection.send(request, atMost: layout.version(withIds: 13)))
        }
        if let orphan = wanted.first(where: { $0.leader == nil }) {
            throw .refused(
                .leaderNotAvailable, "partition \(orphan.index) of \(layout.name) has no leader")
        }
    }

    private func take(
        _ answer: FetchResponse, into records: inout [Received]
    ) throws(ClientError) {
        guard answer.errorCode == .none else {
            throw .refused(answer.errorCode, "topic \(layout.name) cannot be read")
        }
        var failure: ClientError?
        for partition in answer.responses.flatMap(\.partitions) {
            let index = partition.partitionIndex
            guard let position = positions[index] else { continue }
            guard partition.errorCode == .none else {
                failure = .refused(
                    partition.errorCode, what: "partition \(index) of \(layout.name)",
                    detail: partition.errorCode == .offsetOutOfRange
                        ? "offset \(position) is no longer there, the first is "
                            + "\(partition.logStartOffset)" : nil)
                continue
            }
            do throws(RecordError) {
                try take(partition.records?.bytes ?? ByteBuffer(), of: index, into: &records)
            } catch {
                throw .refused(
                    .corruptMessage, what: "partition \(index) of \(layout.name)",
                    detail: "\(error)")
            }
        }
        if let failure { throw failure }
    }

    private func take(
        _ bytes: ByteBuffer, of index: Int32, into records: inout [Received]
    ) throws(RecordError) {
        // A fetch may end within a batch.
        let whole = try RecordBatches.wholeBytes(in: bytes)
        guard let bytes = bytes.getSlice(at: bytes.readerIndex, length: whole) else { return }
        var batches = RecordBatches(bytes)
        while let batch = try batches.next() {
            let position = positions[index] ?? 0
            guard batch.header.lastOffset >= position else { continue }
            try batch.checkCRC()
            if !batch.header.isControl {
                var cursor = try batch.records(limit: Self.decompressionLimit)
                while let record = try cursor.next() {
                    guard record.offset >= position, record.offset < ends?[index] ?? .max else {
                        continue
                    }
                    records.append(Received(partition: index, record: record))
                }
            }
            positions[index] = batch.header.lastOffset &+ 1
        }
    }
}
