import BrokerCore
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore

// What scripts begin from, made by our own encoders.
extension NodeScript {
    static let registration = BrokerRegistrationRequest(
        brokerId: 2, clusterId: "fuzzedCluster", incarnationId: KafkaUUID(high: 2, low: 2),
        listeners: [.init(name: "PLAINTEXT", host: "n2", port: 9092, securityProtocol: 0)],
        features: SupportedFeature.ours.map {
            .init(
                name: $0.name, minSupportedVersion: $0.range.lowest,
                maxSupportedVersion: $0.range.highest)
        },
        rack: "b", logDirs: [KafkaUUID(high: 3, low: 3)])

    /// One topic is this node's alone, of the other it leads a partition and follows one.
    static let creation = CreateTopicsRequest(topics: [
        .init(
            name: "fuzz", numPartitions: -1, replicationFactor: -1,
            assignments: [
                .init(partitionIndex: 0, brokerIds: [1]), .init(partitionIndex: 1, brokerIds: [1]),
            ]),
        .init(
            name: "pair", numPartitions: -1, replicationFactor: -1,
            assignments: [
                .init(partitionIndex: 0, brokerIds: [1, 2]),
                .init(partitionIndex: 1, brokerIds: [2, 1]),
            ]),
    ])

    static let production = ProduceRequest(
        acks: 1, timeoutMs: 100,
        topicData: [
            .init(
                name: "fuzz",
                partitionData: [
                    .init(index: 0, records: .bytes(batch())),
                    .init(index: 1, records: .bytes(batch(.zstd))),
                ])
        ])

    private static func batch(_ compression: Compression = .none) -> ByteBuffer {
        var builder = RecordBatchBuilder()
        builder.producerId = 7
        builder.producerEpoch = 0
        builder.baseSequence = 0
        for value in 0..<3 {
            builder.append(
                key: ByteBuffer(string: "k"), value: ByteBuffer(string: "\(value)"),
                timestamp: 1_700_000_000_000)
        }
        return (try? builder.build(compression: compression)) ?? ByteBuffer()
    }

    private static func step<Request: KafkaRequest>(
        _ request: Request, _ version: Int16 = Request.validVersions.upperBound,
        at operation: Operation = .frame
    ) -> [UInt8] {
        FuzzScript.step(
            operation.rawValue, 0,
            Array(FuzzedRequest.frame(request, version: version).readableBytesView))
    }

    /// The same as `step`, told by the place of the API in the table of what is served.
    private static func served<Request: KafkaRequest>(
        _ request: Request, _ table: ServedAPIs = .broker, at operation: Operation = .request
    ) -> [UInt8] {
        let place = table.entries.firstIndex { $0.apiKey == Request.apiKey } ?? 0
        let versions = table.entries[place].served
        let body = request.encoded(version: versions.upperBound)
        return FuzzScript.step(
            operation.rawValue, UInt8(place),
            [UInt8(versions.upperBound - versions.lowerBound)] + Array(body.readableBytesView))
    }

    private static func time(_ eighths: UInt8) -> [UInt8] {
        FuzzScript.step(Operation.time.rawValue, eighths)
    }

    private static func fetch(
        _ offset: Int64, topic: String = "fuzz", partition: Int32, version: Int16 = 12
    ) -> [UInt8] {
        step(
            FetchRequest(
                maxWaitMs: 50, minBytes: 1, maxBytes: 1 << 20, sessionId: 0, sessionEpoch: 0,
                topics: [
                    .init(
                        topic: topic,
                        partitions: [
                            .init(
                                partition: partition, fetchOffset: offset,
                                partitionMaxBytes: 1 << 20)
                        ])
                ]), version)
    }

    private static let join = JoinGroupRequest(
        groupId: "group", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 1000,
        groupInstanceId: "i", protocolType: "consumer",
        protocols: [
            .init(
                name: "range",
                metadata: ConsumerProtocolSubscription(topics: ["fuzz"])
                    .versionPrefixed(version: 0))
        ])

    private static let commit = OffsetCommitRequest(
        groupId: "other",
        topics: [
            .init(
                name: "fuzz",
                partitions: [
                    .init(partitionIndex: 0, committedOffset: 2, committedMetadata: "m")
                ])
        ])

    static let clientSeeds: [[UInt8]] = [
        step(ApiVersionsRequest(clientSoftwareName: "f", clientSoftwareVersion: "1"))
            + step(MetadataRequest(topics: [.init(name: "fuzz")])),
        step(production, 9) + fetch(0, partition: 0) + fetch(9, partition: 1) + time(10),
        fetch(6, partition: 0) + step(production, 3) + time(1)
            + fetch(0, topic: "pair", partition: 0, version: 4),
        served(
            ListOffsetsRequest(
                replicaId: -1,
                topics: [
                    .init(name: "fuzz", partitions: [.init(partitionIndex: 0, timestamp: -2)])
                ]))
            + served(
                OffsetForLeaderEpochRequest(
                    replicaId: -1,
                    topics: [.init(topic: "fuzz", partitions: [.init(partition: 0)])]))
            + served(
                DeleteRecordsRequest(
                    topics: [
                        .init(name: "fuzz", partitions: [.init(partitionIndex: 0, offset: 1)])
                    ],
                    timeoutMs: 100)),
        step(join, 6) + step(join, 9) + time(2)
            + step(
                SyncGroupRequest(
                    groupId: "group", generationId: 1, memberId: "i", groupInstanceId: "i",
                    protocolType: "consumer", protocolName: "range"))
            + step(HeartbeatRequest(groupId: "group", generationId: 1, memberId: "i"))
            + time(255),
        step(commit, 9)
            + step(OffsetFetchRequest(groups: [.init(groupId: "other", topics: nil)]), 9)
            + served(ListGroupsRequest()) + served(DescribeGroupsRequest(groups: ["other"]))
            + served(DeleteGroupsRequest(groupsNames: ["other"])),
        served(InitProducerIdRequest(transactionalId: nil)) + served(DescribeClusterRequest())
            + served(DescribeLogDirsRequest(topics: nil))
            + served(
                DescribeConfigsRequest(resources: [.init(resourceType: 2, resourceName: "fuzz")])),
        served(
            CreateTopicsRequest(topics: [
                .init(name: "more", numPartitions: 2, replicationFactor: 1)
            ])) + time(5) + served(CreatePartitionsRequest(topics: [.init(name: "more", count: 4)]))
            + served(DeleteTopicsRequest(topics: [.init(name: "more")]))
            + served(DescribeTopicPartitionsRequest(topics: [.init(name: "fuzz")])),
        served(
            AlterPartitionReassignmentsRequest(topics: [
                .init(name: "fuzz", partitions: [.init(partitionIndex: 0, replicas: [2, 1])])
            ])) + served(ListPartitionReassignmentsRequest(topics: nil))
            + served(ElectLeadersRequest(topicPartitions: nil))
            + served(
                IncrementalAlterConfigsRequest(resources: [
                    .init(
                        resourceType: 2, resourceName: "fuzz",
                        configs: [
                            .init(name: "retention.ms", configOperation: 0, value: "5")
                        ])
                ])),
    ]

    static let peerSeeds: [[UInt8]] = [
        served(registration, .controller, at: .quorumRequest)
            + served(
                BrokerHeartbeatRequest(brokerId: 2, brokerEpoch: 9), .controller,
                at: .quorumRequest) + time(40),
        // What the leader of a partition answers to the follower that the node is.
        time(20)
            + FuzzScript.step(
                Operation.answer.rawValue, 0,
                Array(
                    FetchResponse(
                        sessionId: 1,
                        responses: [
                            .init(
                                topicId: KafkaUUID(high: 1, low: 1),
                                partitions: [
                                    .init(
                                        partitionIndex: 1, highWatermark: 3, logStartOffset: 0,
                                        records: .bytes(batch()))
                                ])
                        ]
                    ).encoded(version: FetchRequest.validVersions.upperBound).readableBytesView))
            + time(20) + FuzzScript.step(Operation.answer.rawValue) + time(20),
        served(
            AlterPartitionRequest(
                brokerId: 2, brokerEpoch: 8,
                topics: [
                    .init(
                        topicId: KafkaUUID(high: 1, low: 1),
                        partitions: [
                            .init(
                                partitionIndex: 1, leaderEpoch: 0,
                                newIsrWithEpochs: [.init(brokerId: 2)])
                        ])
                ]), .controller, at: .quorumRequest),
        served(
            FetchSnapshotRequest(topics: [.init(name: "__cluster_metadata", partitions: [.init()])]
            ),
            .controller, at: .quorumRequest) + FuzzScript.step(Operation.quorumClose.rawValue),
    ]

    private static let metadataTopic = "__cluster_metadata"

    private static let vote = VoteRequest(
        clusterId: "fuzzedCluster", voterId: 1,
        topics: [
            .init(
                topicName: metadataTopic,
                partitions: [
                    .init(candidateEpoch: 1, candidateId: 2, lastOffset: 0, preVote: true)
                ])
        ])

    private static func granted(_ epoch: Int32) -> [UInt8] {
        FuzzScript.step(
            Operation.answer.rawValue, 0,
            Array(
                VoteResponse(topics: [
                    .init(
                        topicName: metadataTopic,
                        partitions: [.init(leaderId: -1, leaderEpoch: epoch, voteGranted: true)])
                ]).encoded(version: VoteRequest.validVersions.upperBound).readableBytesView))
    }

    static let voterSeeds: [[UInt8]] = [
        step(vote, at: .quorumFrame) + time(255),
        time(255) + time(255) + granted(0) + granted(1) + time(1) + granted(1) + time(20),
        step(
            BeginQuorumEpochRequest(
                clusterId: "fuzzedCluster", voterId: 1,
                topics: [
                    .init(
                        topicName: metadataTopic, partitions: [.init(leaderId: 2, leaderEpoch: 3)])
                ]), at: .quorumFrame) + time(4)
            + FuzzScript.step(
                Operation.answer.rawValue, 0,
                Array(
                    FetchResponse(responses: [
                        .init(
                            topicId: .clusterMetadata,
                            partitions: [
                                .init(
                                    highWatermark: 1,
                                    currentLeader: .init(leaderId: 2, leaderEpoch: 3),
                                    records: .bytes(batch()))
                            ])
                    ]).encoded(version: FetchRequest.validVersions.upperBound).readableBytesView))
            + time(20),
    ]
}
