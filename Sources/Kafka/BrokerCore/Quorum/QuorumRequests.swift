import KafkaWire
import NIOCore
import Raft
import Timing

/// The one partition that consensus is about.
enum MetadataTopic {
    static let name = "__cluster_metadata"
    static let partition: Int32 = 0
    /// Uuid.METADATA_TOPIC_ID: the reserved id 1.
    static let id = KafkaUUID(high: 0, low: 1)
}

extension DirectoryID {
    /// A directory as the wire has it, where zero is none.
    static func fromWire(_ id: KafkaUUID) -> DirectoryID? {
        id == .zero ? nil : DirectoryID(high: id.high, low: id.low)
    }

    var wire: KafkaUUID { KafkaUUID(high: high, low: low) }
}

extension ReplicaKey {
    init(id: Int32, wireDirectory: KafkaUUID) {
        self.init(id: id, directoryID: .fromWire(wireDirectory))
    }

    var wireDirectory: KafkaUUID { directoryID?.wire ?? .zero }
}

/// A quorum request as it was read: what Raft understands, or the error that answers it.
enum QuorumRequest {
    case raft(RaftRequest)
    case refused(RaftError)
}

/// Kafka's quorum requests, read into Raft's.
enum QuorumRequestReader {
    /// - Returns: nil if the request is none of the quorum's.
    static func read(_ frame: RequestFrame) throws(WireError) -> QuorumRequest? {
        switch frame.apiKey {
        case KafkaWire.VoteRequest.apiKey: vote(try frame.decode())
        case KafkaWire.BeginQuorumEpochRequest.apiKey: begin(try frame.decode())
        case KafkaWire.EndQuorumEpochRequest.apiKey: end(try frame.decode())
        case KafkaWire.FetchRequest.apiKey: fetch(try frame.decode(), version: frame.version)
        case KafkaWire.FetchSnapshotRequest.apiKey: snapshot(try frame.decode())
        case KafkaWire.DescribeQuorumRequest.apiKey: describe(try frame.decode())
        default: nil
        }
    }

    private static func vote(_ request: KafkaWire.VoteRequest) -> QuorumRequest {
        guard let topic = request.topics.first, topic.topicName == MetadataTopic.name,
            request.topics.count == 1, let partition = topic.partitions.first,
            topic.partitions.count == 1, partition.partitionIndex == MetadataTopic.partition
        else { return .refused(.invalidRequest) }
        return .raft(
            .vote(
                .init(
                    clusterID: request.clusterId,
                    voter: request.voterId < 0
                        ? nil
                        : ReplicaKey(
                            id: request.voterId, wireDirectory: partition.voterDirectoryId),
                    replicaEpoch: partition.candidateEpoch,
                    replica: ReplicaKey(
                        id: partition.candidateId, wireDirectory: partition.candidateDirectoryId),
                    lastOffsetEpoch: partition.lastOffsetEpoch, lastOffset: partition.lastOffset,
                    preVote: partition.preVote)))
    }

    private static func begin(_ request: KafkaWire.BeginQuorumEpochRequest) -> QuorumRequest {
        guard let topic = request.topics.first, topic.topicName == MetadataTopic.name,
            request.topics.count == 1, let partition = topic.partitions.first,
            topic.partitions.count == 1, partition.partitionIndex == MetadataTopic.partition
        else { return .refused(.invalidRequest) }
        return .raft(
            .beginQuorumEpoch(
                .init(
                    clusterID: request.clusterId,
                    voter: request.voterId < 0
                        ? nil
                        : ReplicaKey(
                            id: request.voterId, wireDirectory: partition.voterDirectoryId),
                    leaderID: partition.leaderId, leaderEpoch: partition.leaderEpoch)))
    }

    private static func end(_ request: KafkaWire.EndQuorumEpochRequest) -> QuorumRequest {
        guard let topic = request.topics.first, topic.topicName == MetadataTopic.name,
            request.topics.count == 1, let partition = topic.partitions.first,
            topic.partitions.count == 1, partition.partitionIndex == MetadataTopic.partition
        else { return .refused(.invalidRequest) }
        let candidates =
            partition.preferredCandidates.isEmpty
            ? partition.preferredSuccessors.map { ReplicaKey(id: $0) }
            : partition.preferredCandidates.map {
                ReplicaKey(id: $0.candidateId, wireDirectory: $0.candidateDirectoryId)
            }
        return .raft(
            .endQuorumEpoch(
                .init(
                    clusterID: request.clusterId, leaderID: partition.leaderId,
                    leaderEpoch: partition.leaderEpoch, preferredCandidates: candidates)))
    }

    private static func fetch(
        _ request: KafkaWire.FetchRequest, version: Int16
    ) -> QuorumRequest {
        guard let topic = request.topics.first, request.topics.count == 1,
            version >= 13 ? topic.topicId == MetadataTopic.id : topic.topic == MetadataTopic.name,
            let partition = topic.partitions.first, topic.partitions.count == 1,
            partition.partition == MetadataTopic.partition
        else { return .refused(.unknownTopicOrPartition) }
        let replica = version >= 15 ? request.replicaState.replicaId : request.replicaId
        return .raft(
            .fetch(
                .init(
                    clusterID: request.clusterId,
                    replica: ReplicaKey(id: replica, wireDirectory: partition.replicaDirectoryId),
                    currentLeaderEpoch: partition.currentLeaderEpoch,
                    fetchOffset: partition.fetchOffset,
                    lastFetchedEpoch: partition.lastFetchedEpoch,
                    highWatermark: version >= 18 ? partition.highWatermark : .max,
                    maxWait: .milliseconds(Int64(min(max(request.maxWaitMs, 0), 60_000))),
                    maxBytes: Int(max(min(request.maxBytes, partition.partitionMaxBytes), 1)))))
    }

    private static func snapshot(_ request: KafkaWire.FetchSnapshotRequest) -> QuorumRequest {
        guard let topic = request.topics.first, topic.name == MetadataTopic.name,
            request.topics.count == 1, let partition = topic.partitions.first,
            topic.partitions.count == 1, partition.partition == MetadataTopic.partition
        else { return .refused(.unknownTopicOrPartition) }
        return .raft(
            .fetchSnapshot(
                .init(
                    clusterID: request.clusterId,
                    replica: ReplicaKey(
                        id: request.replicaId, wireDirectory: partition.replicaDirectoryId),
                    maxBytes: Int(max(request.maxBytes, 1)),
                    currentLeaderEpoch: partition.currentLeaderEpoch,
                    snapshotID: OffsetAndEpoch(
                        offset: partition.snapshotId.endOffset, epoch: partition.snapshotId.epoch),
                    position: partition.position)))
    }

    private static func describe(_ request: KafkaWire.DescribeQuorumRequest) -> QuorumRequest {
        guard let topic = request.topics.first, topic.topicName == MetadataTopic.name,
            request.topics.count == 1,
            topic.partitions.map(\.partitionIndex) == [MetadataTopic.partition]
        else { return .refused(.unknownTopicOrPartition) }
        return .raft(.describeQuorum)
    }
}

/// Raft's requests, written as Kafka's.
enum QuorumRequestWriter {
    struct Encoded {
        var apiKey: Int16
        var version: Int16
        var body: ByteBuffer
    }

    static func write(_ request: RaftRequest, to node: Int32) -> Encoded {
        switch request {
        case .vote(let vote):
            return encode(
                KafkaWire.VoteRequest(
                    clusterId: vote.clusterID, voterId: vote.voter?.id ?? node,
                    topics: [
                        .init(
                            topicName: MetadataTopic.name,
                            partitions: [
                                .init(
                                    partitionIndex: MetadataTopic.partition,
                                    candidateEpoch: vote.replicaEpoch,
                                    candidateId: vote.replica.id,
                                    candidateDirectoryId: vote.replica.wireDirectory,
                                    voterDirectoryId: vote.voter?.wireDirectory ?? .zero,
                                    lastOffsetEpoch: vote.lastOffsetEpoch,
                                    lastOffset: vote.lastOffset, preVote: vote.preVote)
                            ])
                    ]), version: 2)
        case .beginQuorumEpoch(let begin):
            return encode(
                KafkaWire.BeginQuorumEpochRequest(
                    clusterId: begin.clusterID, voterId: begin.voter?.id ?? node,
                    topics: [
                        .init(
                            topicName: MetadataTopic.name,
                            partitions: [
                                .init(
                                    partitionIndex: MetadataTopic.partition,
                                    voterDirectoryId: begin.voter?.wireDirectory ?? .zero,
                                    leaderId: begin.leaderID, leaderEpoch: begin.leaderEpoch)
                            ])
                    ]), version: 1)
        case .endQuorumEpoch(let end):
            return encode(
                KafkaWire.EndQuorumEpochRequest(
                    clusterId: end.clusterID,
                    topics: [
                        .init(
                            topicName: MetadataTopic.name,
                            partitions: [
                                .init(
                                    partitionIndex: MetadataTopic.partition,
                                    leaderId: end.leaderID, leaderEpoch: end.leaderEpoch,
                                    preferredCandidates: end.preferredCandidates.map {
                                        .init(
                                            candidateId: $0.id,
                                            candidateDirectoryId: $0.wireDirectory)
                                    })
                            ])
                    ]), version: 1)
        case .fetch(let fetch): return encode(wire(fetch), version: 18)
        case .fetchSnapshot(let fetch):
            return encode(
                KafkaWire.FetchSnapshotRequest(
                    clusterId: fetch.clusterID, replicaId: fetch.replica.id,
                    maxBytes: Int32(clamping: fetch.maxBytes),
                    topics: [
                        .init(
                            name: MetadataTopic.name,
                            partitions: [
                                .init(
                                    partition: MetadataTopic.partition,
                                    currentLeaderEpoch: fetch.currentLeaderEpoch,
                                    snapshotId: .init(
                                        endOffset: fetch.snapshotID.offset,
                                        epoch: fetch.snapshotID.epoch),
                                    position: fetch.position,
                                    replicaDirectoryId: fetch.replica.wireDirectory)
                            ])
                    ]), version: 1)
        case .describeQuorum:
            return encode(
                KafkaWire.DescribeQuorumRequest(
                    topics: [
                        .init(
                            topicName: MetadataTopic.name,
                            partitions: [.init(partitionIndex: MetadataTopic.partition)])
                    ]), version: 2)
        }
    }

    private static func wire(_ fetch: Raft.FetchRequest) -> KafkaWire.FetchRequest {
        KafkaWire.FetchRequest(
            clusterId: fetch.clusterID,
            replicaState: .init(replicaId: fetch.replica.id, replicaEpoch: -1),
            maxWaitMs: Int32(clamping: fetch.maxWait.count / 1_000_000), minBytes: 1,
            maxBytes: Int32(clamping: fetch.maxBytes),
            topics: [
                .init(
                    topicId: MetadataTopic.id,
                    partitions: [
                        .init(
                            partition: MetadataTopic.partition,
                            currentLeaderEpoch: fetch.currentLeaderEpoch,
                            fetchOffset: fetch.fetchOffset,
                            lastFetchedEpoch: fetch.lastFetchedEpoch, logStartOffset: -1,
                            partitionMaxBytes: Int32(clamping: fetch.maxBytes),
                            replicaDirectoryId: fetch.replica.wireDirectory,
                            highWatermark: fetch.highWatermark)
                    ])
            ])
    }

    private static func encode<Request: KafkaRequest>(
        _ request: Request, version: Int16
    ) -> Encoded {
        Encoded(apiKey: Request.apiKey, version: version, body: request.encoded(version: version))
    }
}
