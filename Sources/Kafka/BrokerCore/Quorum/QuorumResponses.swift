import KafkaWire
import NIOCore
import Raft
import Timing

/// Raft's responses, written as Kafka's and framed for whoever asked.
struct QuorumResponseWriter {
    /// Where the controllers are, for DescribeQuorum.
    var nodes: [KafkaWire.DescribeQuorumResponse.Node] = []
    /// Of the wall clock, from which ages are taken.
    var nowMs: Int64

    func pieces(_ response: RaftResponse, to address: ReplyAddress) -> [Piece] {
        switch response {
        case .vote(let vote):
            return address.pieces(
                KafkaWire.VoteResponse(
                    errorCode: code(vote.topLevelError),
                    topics: vote.topLevelError == .none
                        ? [
                            .init(
                                topicName: MetadataTopic.name,
                                partitions: [
                                    .init(
                                        partitionIndex: MetadataTopic.partition,
                                        errorCode: code(vote.error),
                                        leaderId: vote.leaderID ?? -1,
                                        leaderEpoch: vote.leaderEpoch,
                                        voteGranted: vote.voteGranted)
                                ])
                        ] : []))
        case .beginQuorumEpoch(let begin):
            return address.pieces(
                KafkaWire.BeginQuorumEpochResponse(
                    errorCode: code(begin.topLevelError),
                    topics: begin.topLevelError == .none
                        ? [
                            .init(
                                topicName: MetadataTopic.name,
                                partitions: [
                                    .init(
                                        partitionIndex: MetadataTopic.partition,
                                        errorCode: code(begin.error),
                                        leaderId: begin.leaderID ?? -1,
                                        leaderEpoch: begin.leaderEpoch)
                                ])
                        ] : []))
        case .endQuorumEpoch(let end):
            return address.pieces(
                KafkaWire.EndQuorumEpochResponse(
                    errorCode: code(end.topLevelError),
                    topics: end.topLevelError == .none
                        ? [
                            .init(
                                topicName: MetadataTopic.name,
                                partitions: [
                                    .init(
                                        partitionIndex: MetadataTopic.partition,
                                        errorCode: code(end.error),
                                        leaderId: end.leaderID ?? -1,
                                        leaderEpoch: end.leaderEpoch)
                                ])
                        ] : []))
        case .fetch(let fetch): return address.pieces(wire(fetch))
        case .fetchSnapshot(let fetch): return address.pieces(wire(fetch))
        case .describeQuorum(let description): return address.pieces(wire(description))
        }
    }

    /// The answer to a request that does not speak of the metadata partition.
    func refusal(_ error: RaftError, to address: ReplyAddress) -> [Piece]? {
        switch address.apiKey {
        case KafkaWire.VoteRequest.apiKey:
            pieces(.vote(.init(topLevelError: error)), to: address)
        case KafkaWire.BeginQuorumEpochRequest.apiKey:
            pieces(.beginQuorumEpoch(.init(topLevelError: error)), to: address)
        case KafkaWire.EndQuorumEpochRequest.apiKey:
            pieces(.endQuorumEpoch(.init(topLevelError: error)), to: address)
        case KafkaWire.FetchRequest.apiKey:
            pieces(.fetch(.init(topLevelError: error)), to: address)
        case KafkaWire.FetchSnapshotRequest.apiKey:
            pieces(.fetchSnapshot(.init(topLevelError: error)), to: address)
        case KafkaWire.DescribeQuorumRequest.apiKey:
            address.pieces(KafkaWire.DescribeQuorumResponse(errorCode: code(error)))
        default: nil
        }
    }

    private func code(_ error: RaftError) -> ErrorCode { ErrorCode(rawValue: error.rawValue) }

    private func wire(_ fetch: Raft.FetchResponse) -> KafkaWire.FetchResponse {
        guard fetch.topLevelError == .none else {
            return .init(errorCode: code(fetch.topLevelError))
        }
        return .init(
            responses: [
                .init(
                    topic: MetadataTopic.name, topicId: MetadataTopic.id,
                    partitions: [
                        .init(
                            partitionIndex: MetadataTopic.partition, errorCode: code(fetch.error),
                            highWatermark: fetch.highWatermark,
                            lastStableOffset: fetch.highWatermark,
                            logStartOffset: fetch.logStartOffset,
                            divergingEpoch: fetch.divergingEpoch.map {
                                .init(epoch: $0.epoch, endOffset: $0.offset)
                            } ?? .init(),
                            currentLeader: .init(
                                leaderId: fetch.leaderID ?? -1, leaderEpoch: fetch.leaderEpoch),
                            snapshotId: fetch.snapshotID.map {
                                .init(endOffset: $0.offset, epoch: $0.epoch)
                            } ?? .init(),
                            records: .bytes(fetch.records))
                    ])
            ])
    }

    private func wire(_ fetch: Raft.FetchSnapshotResponse) -> KafkaWire.FetchSnapshotResponse {
        guard fetch.topLevelError == .none else {
            return .init(errorCode: code(fetch.topLevelError))
        }
        return .init(
            topics: [
                .init(
                    name: MetadataTopic.name,
                    partitions: [
                        .init(
                            index: MetadataTopic.partition, errorCode: code(fetch.error),
                            snapshotId: fetch.snapshotID.map {
                                .init(endOffset: $0.offset, epoch: $0.epoch)
                            } ?? .init(),
                            currentLeader: .init(
                                leaderId: fetch.leaderID ?? -1, leaderEpoch: fetch.leaderEpoch),
                            size: fetch.size, position: fetch.position,
                            unalignedRecords: .bytes(fetch.unalignedRecords))
                    ])
            ])
    }

    private func wire(_ description: QuorumDescription) -> KafkaWire.DescribeQuorumResponse {
        func replicas(
            _ list: [QuorumDescription.Replica]
        ) -> [KafkaWire.DescribeQuorumResponse.ReplicaState] {
            list.map { replica in
                .init(
                    replicaId: replica.key.id, replicaDirectoryId: replica.key.wireDirectory,
                    logEndOffset: replica.logEndOffset,
                    lastFetchTimestamp: timestamp(replica.lastFetchAge),
                    lastCaughtUpTimestamp: timestamp(replica.lastCaughtUpAge))
            }
        }
        return .init(
            topics: [
                .init(
                    topicName: MetadataTopic.name,
                    partitions: [
                        .init(
                            partitionIndex: MetadataTopic.partition,
                            errorCode: code(description.error),
                            leaderId: description.leaderID ?? -1,
                            leaderEpoch: description.leaderEpoch,
                            highWatermark: description.highWatermark,
                            currentVoters: replicas(description.currentVoters),
                            observers: replicas(description.observers))
                    ])
            ], nodes: nodes)
    }

    private func timestamp(_ age: Nanoseconds?) -> Int64 {
        age.map { nowMs - $0.count / 1_000_000 } ?? -1
    }
}

/// Kafka's answers to quorum requests, read into Raft's.
enum QuorumResponseReader {
    /// - Returns: nil if the answer does not speak of the metadata partition.
    static func read(
        apiKey: Int16, version: Int16, _ body: ByteBuffer
    ) throws(WireError) -> RaftResponse? {
        var reader = WireReader(body)
        switch apiKey {
        case KafkaWire.VoteRequest.apiKey:
            let response = try KafkaWire.VoteResponse(from: &reader, version: version)
            let top = RaftError(code: response.errorCode.rawValue)
            guard let partition = response.topics.first?.partitions.first else {
                return top == .none ? nil : .vote(.init(topLevelError: top))
            }
            return .vote(
                .init(
                    topLevelError: top, error: RaftError(code: partition.errorCode.rawValue),
                    leaderID: leader(partition.leaderId), leaderEpoch: partition.leaderEpoch,
                    voteGranted: partition.voteGranted))
        case KafkaWire.BeginQuorumEpochRequest.apiKey:
            let response = try KafkaWire.BeginQuorumEpochResponse(from: &reader, version: version)
            let top = RaftError(code: response.errorCode.rawValue)
            guard let partition = response.topics.first?.partitions.first else {
                return top == .none ? nil : .beginQuorumEpoch(.init(topLevelError: top))
            }
            return .beginQuorumEpoch(
                .init(
                    topLevelError: top, error: RaftError(code: partition.errorCode.rawValue),
                    leaderID: leader(partition.leaderId), leaderEpoch: partition.leaderEpoch))
        case KafkaWire.EndQuorumEpochRequest.apiKey:
            let response = try KafkaWire.EndQuorumEpochResponse(from: &reader, version: version)
            let top = RaftError(code: response.errorCode.rawValue)
            guard let partition = response.topics.first?.partitions.first else {
                return top == .none ? nil : .endQuorumEpoch(.init(topLevelError: top))
            }
            return .endQuorumEpoch(
                .init(
                    topLevelError: top, error: RaftError(code: partition.errorCode.rawValue),
                    leaderID: leader(partition.leaderId), leaderEpoch: partition.leaderEpoch))
        case KafkaWire.FetchRequest.apiKey:
            return try fetch(&reader, version)
        case KafkaWire.FetchSnapshotRequest.apiKey:
            return try fetchSnapshot(&reader, version)
        default: return nil
        }
    }

    private static func fetch(
        _ reader: inout WireReader, _ version: Int16
    ) throws(WireError) -> RaftResponse? {
        let response = try KafkaWire.FetchResponse(from: &reader, version: version)
        let top = RaftError(code: response.errorCode.rawValue)
        guard let partition = response.responses.first?.partitions.first else {
            return top == .none ? nil : .fetch(.init(topLevelError: top))
        }
        let diverging = partition.divergingEpoch
        let snapshot = partition.snapshotId
        return .fetch(
            .init(
                topLevelError: top, error: RaftError(code: partition.errorCode.rawValue),
                leaderID: leader(partition.currentLeader.leaderId),
                leaderEpoch: partition.currentLeader.leaderEpoch,
                highWatermark: partition.highWatermark, logStartOffset: partition.logStartOffset,
                divergingEpoch: diverging.endOffset < 0
                    ? nil : OffsetAndEpoch(offset: diverging.endOffset, epoch: diverging.epoch),
                snapshotID: snapshot.endOffset < 0
                    ? nil : OffsetAndEpoch(offset: snapshot.endOffset, epoch: snapshot.epoch),
                records: partition.records?.bytes ?? ByteBuffer()))
    }

    private static func fetchSnapshot(
        _ reader: inout WireReader, _ version: Int16
    ) throws(WireError) -> RaftResponse? {
        let response = try KafkaWire.FetchSnapshotResponse(from: &reader, version: version)
        let top = RaftError(code: response.errorCode.rawValue)
        guard let partition = response.topics.first?.partitions.first else {
            return top == .none ? nil : .fetchSnapshot(.init(topLevelError: top))
        }
        return .fetchSnapshot(
            .init(
                topLevelError: top, error: RaftError(code: partition.errorCode.rawValue),
                leaderID: leader(partition.currentLeader.leaderId),
                leaderEpoch: partition.currentLeader.leaderEpoch,
                snapshotID: OffsetAndEpoch(
                    offset: partition.snapshotId.endOffset, epoch: partition.snapshotId.epoch),
                size: partition.size, position: partition.position,
                unalignedRecords: partition.unalignedRecords.bytes ?? ByteBuffer()))
    }

    private static func leader(_ id: Int32) -> Int32? { id < 0 ? nil : id }
}
