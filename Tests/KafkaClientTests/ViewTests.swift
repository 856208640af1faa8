import KafkaClient
import KafkaRecords
import KafkaWire
import NIOCore
import Testing
import slice_broker

/// Golden texts: an answer in, what a person and what a script reads out.
@Suite struct ViewTests {
    private let id = KafkaUUID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)

    private func describedTopic() -> TopicDescription {
        var topic = TopicDescription(
            DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic(
                name: "orders", topicId: id,
                partitions: [
                    .init(
                        partitionIndex: 2, leaderId: -1, leaderEpoch: 9, replicaNodes: [3, 1],
                        isrNodes: [], eligibleLeaderReplicas: [3], lastKnownElr: [1],
                        offlineReplicas: [3, 1]),
                    .init(
                        partitionIndex: 0, leaderId: 1, leaderEpoch: 4, replicaNodes: [1, 2, 3],
                        isrNodes: [1, 2, 3]),
                    .init(
                        partitionIndex: 1, leaderId: 2, leaderEpoch: 12, replicaNodes: [2, 3, 1],
                        isrNodes: [2, 3], offlineReplicas: [1]),
                ]))
        topic.take(
            .init(
                resourceType: 2, resourceName: "orders",
                configs: [
                    .init(name: "retention.ms", value: "60000", configSource: 1),
                    .init(name: "cleanup.policy", value: "compact", configSource: 1),
                    .init(name: "segment.bytes", value: "1", configSource: 4),
                    .init(name: "secret", value: "x", configSource: 1, isSensitive: true),
                ]))
        return topic
    }

    @Test func topic() throws {
        try expectGolden("topic", describedTopic().text(), describedTopic().json)
    }

    @Test func topicOfAnOlderBroker() {
        let topic = TopicDescription(
            MetadataResponse.MetadataResponseTopic(
                name: "old", isInternal: true,
                partitions: [
                    .init(
                        partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1])
                ]))
        #expect(
            topic.text() == """
                topic old, 1 partition, internal

                  PARTITION  LEADER  EPOCH  REPLICAS  IN SYNC
                          0       1     -1  1         1

                """)
    }

    @Test func topics() throws {
        func partition(_ index: Int32, leader: Int32, isr: [Int32])
            -> MetadataResponse
            .MetadataResponsePartition
        {
            .init(
                partitionIndex: index, leaderId: leader, replicaNodes: [1, 2], isrNodes: isr)
        }
        let answer = MetadataResponse(topics: [
            .init(name: "b", topicId: id, partitions: [partition(0, leader: 1, isr: [1, 2])]),
            .init(
                name: "a\u{1b}[2J", topicId: id,
                partitions: [
                    partition(0, leader: -1, isr: []), partition(1, leader: 1, isr: [1]),
                ]),
            .init(name: "c", partitions: [partition(0, leader: 2, isr: [2])]),
            .init(name: "__consumer_offsets", topicId: id, isInternal: true),
            .init(errorCode: .unknownTopicOrPartition, name: "gone"),
        ])
        let list = TopicList(answer, withInternal: false)
        try expectGolden("topics", list.text(), list.json)
        #expect(TopicList(answer, withInternal: true).json.array?.count == 4)
        #expect(TopicList(MetadataResponse(), withInternal: true).text() == "no topics\n")
    }

    private let quorum = DescribeQuorumResponse.PartitionData(
        leaderId: 2, leaderEpoch: 7, highWatermark: 1200,
        currentVoters: [
            .init(
                replicaId: 3, logEndOffset: 1100, lastFetchTimestamp: 940_000,
                lastCaughtUpTimestamp: 100_000),
            .init(replicaId: 2, replicaDirectoryId: KafkaUUID(high: 5, low: 6), logEndOffset: 1200),
            .init(replicaId: 1, logEndOffset: -1),
        ],
        observers: [
            .init(
                replicaId: 10, logEndOffset: 1200, lastFetchTimestamp: 999_900,
                lastCaughtUpTimestamp: 999_000)
        ])

    @Test func quorumWithLaggards() throws {
        let view = QuorumView(quorum, now: 1_000_000)
        try expectGolden("quorum", view.text(), view.json)
    }

    private let greeting = ApiVersionsResponse(
        supportedFeatures: [
            .init(name: "metadata.version", minVersion: 7, maxVersion: 25),
            .init(name: "group.version", minVersion: 0, maxVersion: 1),
        ],
        finalizedFeaturesEpoch: 40,
        finalizedFeatures: [
            .init(name: "metadata.version", maxVersionLevel: 25, minVersionLevel: 25)
        ])

    @Test func cluster() throws {
        let answer = DescribeClusterResponse(
            clusterId: "Q2x1c3Rlcg", controllerId: 3,
            brokers: [
                .init(brokerId: 2, host: "", port: 0, rack: "east", isFenced: true),
                .init(brokerId: 1, host: "fd00::1", port: 9092, rack: "west"),
                .init(brokerId: 10, host: "ten.example", port: 19092),
            ])
        let view = ClusterView(answer, quorum: quorum, greeting: greeting)
        try expectGolden("cluster", view.text(), view.json)
        let alone = ClusterView(answer, quorum: nil, greeting: ApiVersionsResponse())
        #expect(alone.text().contains("! no leader of the quorum is known"))
        #expect(alone.json["quorumLeader"] == .null)
    }

    @Test func features() {
        #expect(
            FeaturesView(greeting).text() == """
                FEATURE           LEVEL  SUPPORTED
                group.version         -  0 to 1
                metadata.version     25  7 to 25

                """)
    }

    @Test func group() throws {
        let assignment = ConsumerProtocolAssignment(assignedPartitions: [
            .init(topic: "payments", partitions: [0]), .init(topic: "orders", partitions: [2, 0]),
        ])
        let group = DescribeGroupsResponse.DescribedGroup(
            groupId: "billing", groupState: "Stable", protocolType: "consumer",
            protocolData: "range",
            members: [
                .init(
                    memberId: "m-2", groupInstanceId: "i2", clientId: "b", clientHost: "/10.0.0.2",
                    memberAssignment: ByteBuffer(bytes: [1, 2, 3])),
                .init(
                    memberId: "m-1", clientId: "a", clientHost: "/10.0.0.1",
                    memberAssignment: assignment.versionPrefixed(version: 1)),
            ])
        let offsets = [
            CommittedOffset(topic: "orders", partition: 0, offset: 40, metadata: "x", end: 45),
            CommittedOffset(topic: "orders", partition: 1, offset: 7, end: 7),
            CommittedOffset(topic: "gone", partition: 0, offset: 3),
        ]
        let view = GroupView(group, coordinator: 2, offsets: offsets)
        try expectGolden("group", view.text(), view.json)
        #expect(
            OffsetsOfGroup(group: "billing", offsets).text() == """
                TOPIC   PARTITION  COMMITTED  END  LAG  METADATA
                orders          0         40   45    5  x
                orders          1          7    7    0
                gone            0          3    -    -

                """)
    }

    @Test func groups() {
        var list = GroupList()
        #expect(list.text() == "no groups\n")
        list.add(
            ListGroupsResponse(groups: [
                .init(
                    groupId: "z", protocolType: "consumer", groupState: "Stable",
                    groupType: "classic")
            ]), of: 2)
        list.add(ListGroupsResponse(groups: [.init(groupId: "a", groupState: "Empty")]), of: 1)
        #expect(
            list.text() == """
                GROUP  STATE   TYPE     PROTOCOL  COORDINATOR
                a      Empty                                1
                z      Stable  classic  consumer            2

                """)
    }

    @Test func configs() throws {
        let result = DescribeConfigsResponse.DescribeConfigsResult(
            resourceType: 4, resourceName: "1",
            configs: [
                .init(name: "node.id", value: "1", readOnly: true, configSource: 4),
                .init(name: "log.retention.ms", value: "60000", configSource: 3),
                .init(name: "ssl.key.password", value: nil, configSource: 2, isSensitive: true),
                .init(name: "num.io.threads", value: "8", configSource: 5),
            ])
        let resource = ConfigResource(.broker, "1")
        let view = ConfigView(resource, result, withBuiltIn: false)
        try expectGolden("configs", view.text(), view.json)
        let all = ConfigView(resource, result, withBuiltIn: true)
        #expect(all.json.array?.count == 4 && !all.text().contains("--all"))
    }

    @Test func logDirectories() throws {
        let answer = DescribeLogDirsResponse(results: [
            .init(
                logDir: "/b",
                topics: [
                    .init(
                        name: "t",
                        partitions: [
                            .init(partitionIndex: 1, partitionSize: 3_000_000_000, offsetLag: 4),
                            .init(partitionIndex: 0, partitionSize: 1023),
                        ])
                ], totalBytes: 1 << 40, usableBytes: 3 << 30),
            .init(errorCode: .kafkaStorageError, logDir: "/a", totalBytes: -1, usableBytes: -1),
        ])
        var directories = LogDirsView(withPartitions: false)
        directories.add(answer, of: 1)
        try expectGolden("log-dirs", directories.text(), directories.json)
        var partitions = LogDirsView(withPartitions: true)
        partitions.add(answer, of: 1)
        #expect(
            partitions.text() == """
                TOPIC  PARTITION  BROKER     SIZE  BEHIND  DIRECTORY
                t              0       1   1023 B       0  /b
                t              1       1  2.8 GiB       4  /b

                """)
    }

    @Test func offsets() throws {
        var view = OffsetsView(
            topic: "t", earliest: [0: FoundOffset(offset: 5), 1: FoundOffset(offset: 0)],
            latest: [0: FoundOffset(offset: 12), 1: FoundOffset(offset: 0)],
            leaders: [0: 2, 1: -1])
        #expect(
            view.text() == """
                PARTITION  LEADER  EARLIEST  LATEST  SPAN
                        0       2         5      12     7
                        1      -1         0       0     0
                at most 7 records

                """)
        view.atTime = [0: FoundOffset(offset: 7, timestamp: 2000), 1: FoundOffset(offset: -1)]
        view.maxTimestamp = [0: FoundOffset(offset: 9, timestamp: 86_400_000)]
        try expectGolden("offsets", view.text(), view.json)
    }

    @Test func reassignments() {
        #expect(
            ReassignmentsView(ListPartitionReassignmentsResponse()).text()
                == "no replicas are being moved\n")
        let view = ReassignmentsView(
            ListPartitionReassignmentsResponse(topics: [
                .init(
                    name: "t",
                    partitions: [
                        .init(
                            partitionIndex: 3, replicas: [1, 2, 4], addingReplicas: [4],
                            removingReplicas: [1])
                    ])
            ]))
        #expect(
            view.text() == """
                TOPIC  PARTITION  REPLICAS  ADDING  REMOVING
                t              3  1,2,4     4       1

                """)
        #expect(
            view.json.compact == """
                [{"topic":"t","partition":3,"replicas":[1,2,4],"adding":[4],"removing":[1]}]
                """)
    }

    @Test func produced() {
        var summary = Producer.Summary()
        summary.records = 3
        summary.partitions = [
            1: .init(records: 1), 0: .init(records: 2, firstOffset: 4, lastOffset: 5),
        ]
        #expect(
            ProduceView(topic: "t", summary).json.compact == """
                {"topic":"t","records":3,"bytes":0,"batches":0,"retries":0,"partitions":[\
                {"partition":0,"records":2,"firstOffset":4,"lastOffset":5},\
                {"partition":1,"records":1,"firstOffset":null,"lastOffset":null}]}
                """)
    }

    @Test func records() {
        func text(_ record: Record, json: Bool, separator: String? = nil) -> String {
            var bytes: [UInt8] = []
            RecordFormat(topic: "t", isJSON: json, keySeparator: separator)
                .write(.init(partition: 1, record: record), to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        let plain = Record(
            offset: 7, timestamp: 1000, key: ByteBuffer(string: "k\""),
            value: ByteBuffer(string: "v\n\u{e9}"),
            headers: [RecordHeader("h", ByteBuffer(string: "x")), RecordHeader("n", nil)])
        #expect(text(plain, json: false) == "v\n\u{e9}\n")
        #expect(text(plain, json: false, separator: "=") == "k\"=v\n\u{e9}\n")
        #expect(
            text(plain, json: true) == #"""
                {"topic":"t","partition":1,"offset":7,"timestamp":1000,"key":"k\"",\#
                "value":"v\n\#u{e9}","headers":[{"key":"h","value":"x"},\#
                {"key":"n","value":null}]}

                """#)
        // What is not text is base64 (vectors of RFC 4648 section 10, and bytes that are not).
        for (bytes, expected) in [
            ([0xff], "/w=="), ([0xff, 0xfe], "//4="), ([0xff, 0xfe, 0xfd], "//79"),
            ([0x14, 0xfb, 0x9c, 0x03, 0xd9, 0x7e], "FPucA9l+"),
        ] as [([UInt8], String)] {
            let record = Record(
                offset: 0, timestamp: -1, key: nil, value: ByteBuffer(bytes: bytes))
            #expect(
                text(record, json: true).contains(
                    #""key":null,"value":null,"valueBase64":"\#(expected)""#))
        }
    }

    @Test func colourOnlyRepeatsTheWords() {
        let style = Style(hasColour: true)
        let coloured = describedTopic().text(style: style)
        #expect(coloured.contains("\u{1b}[31mnone\u{1b}[0m"))
        var stripped = ""
        var isEscape = false
        for scalar in coloured.unicodeScalars {
            if scalar == "\u{1b}" {
                isEscape = true
            } else if isEscape {
                isEscape = scalar != "m"
            } else {
                stripped.unicodeScalars.append(scalar)
            }
        }
        #expect(stripped == describedTopic().text())
    }
}
