import KafkaClient
import KafkaWire
import Synchronization
import Testing
import slice_broker

/// Whole commands, against a broker that says what it is told to.
@Suite struct CommandTests {
    private static let described =
        DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic(
            name: "t", topicId: KafkaUUID(high: 0, low: 9),
            partitions: [
                .init(partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1])
            ])

    @Test func describeGivesAnObjectForOneName() async throws {
        try await withBroker { call in
            switch call.apiKey {
            case DescribeTopicPartitionsRequest.apiKey:
                guard let request = call.request(DescribeTopicPartitionsRequest.self) else {
                    return .close
                }
                // In two pages of one partition each.
                var topic = Self.described
                if request.cursor == nil {
                    return call.answer(
                        DescribeTopicPartitionsResponse(
                            topics: [topic],
                            nextCursor: .init(topicName: "t", partitionIndex: 1)))
                }
                topic.partitions[0].partitionIndex = 1
                return call.answer(DescribeTopicPartitionsResponse(topics: [topic]))
            case DescribeConfigsRequest.apiKey:
                return call.answer(
                    DescribeConfigsResponse(results: [
                        .init(
                            resourceType: 2, resourceName: "t",
                            configs: [
                                .init(name: "retention.ms", value: "1", configSource: 1)
                            ])
                    ]))
            default: return .close
            }
        } _: { broker in
            let run = await invoke("topics", "describe", "t", "--json", at: broker)
            #expect(run.status == 0 && run.error.isEmpty)
            let json = try JSONParser.parse(Array(run.out.utf8))
            #expect(json["name"] == "t" && json["configs"] == ["retention.ms": "1"])
            let partitions = try #require(json["partitions"]?.array)
            #expect(partitions.map { $0["partition"] } == [0, 1])
            #expect(partitions.first?["isr"] == [1] && partitions.first?["leader"] == 1)
            let all = await invoke("topics", "describe", "--json", at: broker)
            #expect(try JSONParser.parse(Array(all.out.utf8)).array?.count == 1)
        }
    }

    @Test func whatWasDoneIsToldBesideWhatWasNot() async throws {
        try await withBroker { call in
            call.answer(
                DeleteTopicsResponse(responses: [
                    .init(name: "a"),
                    .init(name: "b", errorCode: .unknownTopicOrPartition),
                ]))
        } _: { broker in
            let run = await invoke("topics", "delete", "a", "b", at: broker)
            #expect(run.status == 1 && run.out == "topic a is deleted\n")
            #expect(
                run.error == """
                    error: topic b: there is no such topic or partition \
                    (UNKNOWN_TOPIC_OR_PARTITION)
                    hint: `slice-broker topics list` shows the topics

                    """)
            let json = await invoke("topics", "delete", "a", "b", "--json", at: broker)
            let results = try JSONParser.parse(Array(json.out.utf8)).array
            #expect(results?.map { $0["error"] } == [.null, "UNKNOWN_TOPIC_OR_PARTITION"])
            let failure = try JSONParser.parse(Array(json.error.utf8))
            #expect(failure["code"] == "UNKNOWN_TOPIC_OR_PARTITION" && json.status == 1)
            let lenient = await invoke("topics", "delete", "a", "b", "--if-exists", at: broker)
            #expect(lenient.status == 0 && lenient.error.isEmpty)
        }
    }

    @Test func createSaysWhatIsWanted() async throws {
        try await withBroker { call in
            guard let request = call.request(CreateTopicsRequest.self) else { return .close }
            let isAsWanted =
                request.topics == [
                    .init(
                        name: "t", numPartitions: -1, replicationFactor: -1,
                        assignments: [
                            .init(partitionIndex: 0, brokerIds: [1, 2]),
                            .init(partitionIndex: 1, brokerIds: [2, 3]),
                        ], configs: [.init(name: "a", value: "b")])
                ] && request.validateOnly
            return call.answer(
                CreateTopicsResponse(topics: [
                    .init(
                        name: "t", errorCode: isAsWanted ? .none : .invalidRequest,
                        errorMessage: nil)
                ]))
        } _: { broker in
            let run = await invoke(
                "topics", "create", "t", "--assignment", "1:2,2:3", "-c", "a=b", "--dry-run",
                at: broker)
            #expect(run.status == 0 && run.out == "topic t could be created\n", "\(run)")
        }
    }

    @Test func theUnreachableIsToldInWords() async throws {
        let nobody = BoundSocket()
        let run = await invoke([
            "topics", "list", "-b", "127.0.0.1:\(nobody.port)", "--json",
        ])
        #expect(run.status == 1 && run.out.isEmpty)
        let failure = try JSONParser.parse(Array(run.error.utf8))
        #expect(failure["code"] == "unreachable")
        #expect(failure["hint"]?.string?.contains("SLICE_BROKER_BOOTSTRAP") == true)
    }

    @Test func aListenerOfControllersIsToldFromABrokers() async throws {
        try await withBroker(greets: false) { call in
            call.answer(
                ApiVersionsResponse(apiKeys: [.init(apiKey: 52, minVersion: 0, maxVersion: 2)]))
        } _: { broker in
            let run = await invoke("topics", "list", at: broker)
            #expect(run.status == 1)
            #expect(run.error.contains("does not serve Metadata"))
            #expect(run.error.contains("hint: a controller's listener"))
        }
    }

    @Test func consumeOfATopicThatIsNotThere() async throws {
        try await withBroker { call in
            switch call.apiKey {
            case MetadataRequest.apiKey:
                call.answer(
                    MetadataResponse(topics: [
                        .init(errorCode: .unknownTopicOrPartition, name: "t")
                    ]))
            default: .close
            }
        } _: { broker in
            let run = await invoke("consume", "t", at: broker)
            #expect(run.status == 1 && run.error.contains("UNKNOWN_TOPIC_OR_PARTITION"))
            #expect(broker.calls.withLock { $0 } == [MetadataRequest.apiKey])
        }
    }

    @Test func failuresOfSeveralKinds() {
        let failures = [
            Failure.refused(.notController, "topic a"),
            Failure.refused(.invalidConfig, "topic b", "x"),
        ]
        let all = Failure(all: failures)
        #expect(all.code == "several" && all.hint == nil)
        #expect(
            all.text(json: false, style: .plain) == """
                error: topic a: no controller leads the quorum (NOT_CONTROLLER)
                error: topic b: x (INVALID_CONFIG)

                """)
        // An error that is not known here has its number, and what the broker says may not steer
        // the terminal.
        let strange = Failure.refused(ErrorCode(rawValue: 999), "it", "\u{1b}[2Jno")
        #expect(
            strange.text(json: false, style: .plain) == "error: it: ?[2Jno (error 999)\n")
    }
}
