import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore

extension SimulatedMember {
    func fetch() {
        guard hasLeaders(assigned) else { return askMetadata(group.topics.map(\.name)) }
        var byLeader: [Int32: [TopicPartition]] = [:]
        for place in assigned {
            if let leader = leader(of: place) { byLeader[leader, default: []].append(place) }
        }
        for leader in byLeader.keys.sorted() where !isFetching(from: leader) {
            fetch(byLeader[leader] ?? [], from: leader)
        }
    }

    private func fetch(_ places: [TopicPartition], from leader: Int32) {
        let request = FetchRequest(
            maxWaitMs: 500, minBytes: 1, maxBytes: 1 << 20,
            topics: group.topics.compactMap { topic in
                let own = places.filter { $0.topic == topic.name }
                guard !own.isEmpty else { return nil }
                return .init(
                    topic: topic.name,
                    partitions: own.map {
                        .init(
                            partition: $0.partition, fetchOffset: positions[$0] ?? 0,
                            partitionMaxBytes: 1 << 16)
                    })
            })
        beginFetch(from: leader)
        let asked = time
        ask(leader, request, version: 11, lane: .replication) { [self] response in
            endFetch(from: leader)
            guard time == asked else { return }
            guard let response else {
                for place in places { forgetLeader(of: place) }
                return
            }
            for topic in response.responses {
                for partition in topic.partitions {
                    let place = TopicPartition(topic.topic, partition.partitionIndex)
                    guard places.contains(place) else { continue }
                    take(partition, place, from: leader)
                }
            }
        }
    }

    private func take(
        _ answer: FetchResponse.PartitionData, _ place: TopicPartition, from leader: Int32
    ) {
        switch answer.errorCode {
        case .none:
            do {
                try read(answer, place)
            } catch {
                cluster.checks.problem = "\(name) read \(place) from \(leader): \(error)"
            }
        case .offsetOutOfRange where SimulatedTopic.isPruned(place.topic): findStart(place, leader)
        default:
            cluster.log("\(name) cannot read \(place) from \(leader): \(answer.errorCode)")
            forgetLeader(of: place)
        }
    }

    private var name: String { "member \(index) of \(group.name)" }

    /// Records come in the order of their offsets, one behind the other.
    private func read(_ answer: FetchResponse.PartitionData, _ place: TopicPartition) throws {
        guard let bytes = answer.records?.bytes, var position = positions[place] else { return }
        var batches = RecordBatches(bytes)
        while let header = try? RecordBatchHeader(at: batches.index, in: bytes),
            batches.index + header.sizeInBytes <= bytes.writerIndex,
            let batch = try batches.next()
        {
            try batch.checkCRC()
            for record in try batch.allRecords(limit: 1 << 20) where record.offset >= position {
                guard record.offset == position else {
                    throw Violation("offset \(record.offset) follows \(position - 1)")
                }
                guard record.offset < answer.highWatermark else {
                    throw Violation(
                        "offset \(record.offset) is not below the high watermark "
                            + "\(answer.highWatermark)")
                }
                guard let value = RecordValue(record.value) else {
                    throw Violation("offset \(record.offset) is no record of a producer")
                }
                if let other = cluster.history.read(
                    value, place, at: record.offset, by: group.name)
                {
                    throw Violation(
                        "offset \(record.offset) is \(value), and was \(other) before")
                }
                position += 1
            }
        }
        advance(place, to: position)
    }

    /// What it wanted to read has been deleted: go on with what is there.
    private func findStart(_ place: TopicPartition, _ leader: Int32) {
        guard !isFetching(from: leader) else { return }
        beginFetch(from: leader)
        let asked = time
        let request = ListOffsetsRequest(
            replicaId: -1,
            topics: [
                .init(
                    name: place.topic,
                    partitions: [.init(partitionIndex: place.partition, timestamp: -2)])
            ])
        ask(leader, request, version: 5) { [self] response in
            endFetch(from: leader)
            guard time == asked, let position = positions[place] else { return }
            guard let answer = response?.topics.first?.partitions.first,
                answer.errorCode == .none
            else { return forgetLeader(of: place) }
            // A leader that has just begun may know less than one that is gone: never go back.
            if answer.offset > position {
                cluster.history.skipped(to: answer.offset, place)
                advance(place, to: answer.offset)
            }
        }
    }
}
