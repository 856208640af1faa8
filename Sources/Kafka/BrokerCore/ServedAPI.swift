import KafkaWire

/// The requests a listener serves, and in which versions.
///
/// One coherent release is advertised (Apache Kafka 4.1): clients such as kafka-python infer the
/// release from the ranges. What works not yet is not in the table.
package struct ServedAPIs: Sendable {
    package struct Entry: Equatable, Sendable {
        package var apiKey: Int16
        /// What is really served.
        package var served: ClosedRange<Int16>
        /// What is advertised; see `lowered`.
        package var advertised: ClosedRange<Int16>
    }

    package let entries: [Entry]
    private let byKey: [Entry?]

    private init(_ served: [(Int16, ClosedRange<Int16>)]) {
        entries = served.map { key, range in
            let minimum = Self.lowered[key] ?? range.lowerBound
            return Entry(apiKey: key, served: range, advertised: minimum...range.upperBound)
        }.sorted { $0.apiKey < $1.apiKey }
        var byKey = [Entry?](repeating: nil, count: 128)
        for entry in entries { byKey[Int(entry.apiKey)] = entry }
        self.byKey = byKey
    }

    package subscript(apiKey: Int16) -> Entry? {
        apiKey >= 0 && Int(apiKey) < byKey.count ? byKey[Int(apiKey)] : nil
    }

    /// Versions that are advertised but refused: librdkafka before 2.11 takes a minimum above 0 of
    /// Produce for a broker without compression (KIP-896 notes the same exception in Kafka). One
    /// above 0 of JoinGroup it takes for a broker without groups; but that is served from 0 on, as
    /// by Kafka.
    private static let lowered: [Int16: Int16] = [ProduceRequest.apiKey: 0]

    /// For clients and other brokers.
    package static let broker = ServedAPIs([
        (ProduceRequest.apiKey, ProduceRequest.validVersions),
        (FetchRequest.apiKey, FetchRequest.validVersions),
        (ListOffsetsRequest.apiKey, ListOffsetsRequest.validVersions),
        (MetadataRequest.apiKey, MetadataRequest.validVersions),
        (OffsetCommitRequest.apiKey, OffsetCommitRequest.validVersions),
        (OffsetFetchRequest.apiKey, OffsetFetchRequest.validVersions),
        (FindCoordinatorRequest.apiKey, FindCoordinatorRequest.validVersions),
        (JoinGroupRequest.apiKey, JoinGroupRequest.validVersions),
        (HeartbeatRequest.apiKey, HeartbeatRequest.validVersions),
        (LeaveGroupRequest.apiKey, LeaveGroupRequest.validVersions),
        (SyncGroupRequest.apiKey, SyncGroupRequest.validVersions),
        (DescribeGroupsRequest.apiKey, DescribeGroupsRequest.validVersions),
        (ListGroupsRequest.apiKey, ListGroupsRequest.validVersions),
        (ApiVersionsRequest.apiKey, ApiVersionsRequest.validVersions),
        (CreateTopicsRequest.apiKey, CreateTopicsRequest.validVersions),
        (DeleteTopicsRequest.apiKey, DeleteTopicsRequest.validVersions),
        (DeleteRecordsRequest.apiKey, DeleteRecordsRequest.validVersions),
        (InitProducerIdRequest.apiKey, InitProducerIdRequest.validVersions),
        (OffsetForLeaderEpochRequest.apiKey, OffsetForLeaderEpochRequest.validVersions),
        (DescribeConfigsRequest.apiKey, DescribeConfigsRequest.validVersions),
        (AlterConfigsRequest.apiKey, AlterConfigsRequest.validVersions),
        (DescribeLogDirsRequest.apiKey, DescribeLogDirsRequest.validVersions),
        (CreatePartitionsRequest.apiKey, CreatePartitionsRequest.validVersions),
        (DeleteGroupsRequest.apiKey, DeleteGroupsRequest.validVersions),
        (ElectLeadersRequest.apiKey, ElectLeadersRequest.validVersions),
        (
            IncrementalAlterConfigsRequest.apiKey, IncrementalAlterConfigsRequest.validVersions
        ),
        (
            AlterPartitionReassignmentsRequest.apiKey,
            AlterPartitionReassignmentsRequest.validVersions
        ),
        (
            ListPartitionReassignmentsRequest.apiKey,
            ListPartitionReassignmentsRequest.validVersions
        ),
        (OffsetDeleteRequest.apiKey, OffsetDeleteRequest.validVersions),
        (DescribeQuorumRequest.apiKey, DescribeQuorumRequest.validVersions),
        (UpdateFeaturesRequest.apiKey, UpdateFeaturesRequest.validVersions),
        (DescribeClusterRequest.apiKey, DescribeClusterRequest.validVersions),
        (DescribeProducersRequest.apiKey, DescribeProducersRequest.validVersions),
        (UnregisterBrokerRequest.apiKey, UnregisterBrokerRequest.validVersions),
        (DescribeTopicPartitionsRequest.apiKey, DescribeTopicPartitionsRequest.validVersions),
        (ListConfigResourcesRequest.apiKey, ListConfigResourcesRequest.validVersions),
    ])

    /// For controllers and brokers.
    package static let controller = ServedAPIs([
        (FetchRequest.apiKey, FetchRequest.validVersions),
        (FetchSnapshotRequest.apiKey, FetchSnapshotRequest.validVersions),
        (VoteRequest.apiKey, VoteRequest.validVersions),
        (BeginQuorumEpochRequest.apiKey, BeginQuorumEpochRequest.validVersions),
        (EndQuorumEpochRequest.apiKey, EndQuorumEpochRequest.validVersions),
        (DescribeQuorumRequest.apiKey, DescribeQuorumRequest.validVersions),
        (ApiVersionsRequest.apiKey, ApiVersionsRequest.validVersions),
        (BrokerRegistrationRequest.apiKey, BrokerRegistrationRequest.validVersions),
        (BrokerHeartbeatRequest.apiKey, BrokerHeartbeatRequest.validVersions),
        (UnregisterBrokerRequest.apiKey, UnregisterBrokerRequest.validVersions),
        (ControllerRegistrationRequest.apiKey, ControllerRegistrationRequest.validVersions),
        (AllocateProducerIdsRequest.apiKey, AllocateProducerIdsRequest.validVersions),
        (AlterPartitionRequest.apiKey, AlterPartitionRequest.validVersions),
        (AssignReplicasToDirsRequest.apiKey, AssignReplicasToDirsRequest.validVersions),
        (CreateTopicsRequest.apiKey, CreateTopicsRequest.validVersions),
        (DeleteTopicsRequest.apiKey, DeleteTopicsRequest.validVersions),
        (CreatePartitionsRequest.apiKey, CreatePartitionsRequest.validVersions),
        (AlterConfigsRequest.apiKey, AlterConfigsRequest.validVersions),
        (
            IncrementalAlterConfigsRequest.apiKey, IncrementalAlterConfigsRequest.validVersions
        ),
        (ElectLeadersRequest.apiKey, ElectLeadersRequest.validVersions),
        (
            AlterPartitionReassignmentsRequest.apiKey,
            AlterPartitionReassignmentsRequest.validVersions
        ),
        (
            ListPartitionReassignmentsRequest.apiKey,
            ListPartitionReassignmentsRequest.validVersions
        ),
        (UpdateFeaturesRequest.apiKey, UpdateFeaturesRequest.validVersions),
        (DescribeClusterRequest.apiKey, DescribeClusterRequest.validVersions),
    ])
}

extension ServedAPIs {
    /// The answer to ApiVersions, and the version to encode it in: a version that is unknown is
    /// answered with UNSUPPORTED_VERSION in the encoding of version 0 (KIP-511).
    package func answer(
        toVersion version: Int16
    ) -> (response: ApiVersionsResponse, version: Int16) {
        var response = ApiVersionsResponse()
        response.apiKeys = entries.map { entry in
            var key = ApiVersionsResponse.ApiVersion()
            key.apiKey = entry.apiKey
            key.minVersion = entry.advertised.lowerBound
            key.maxVersion = entry.advertised.upperBound
            return key
        }
        guard ApiVersionsRequest.validVersions.contains(version) else {
            response.errorCode = .unsupportedVersion
            return (response, 0)
        }
        return (response, version)
    }
}

extension ApiVersionsRequest {
    /// KIP-511: letters and digits, and dashes and periods between them.
    var namesItsSoftware: Bool {
        [clientSoftwareName, clientSoftwareVersion].allSatisfy { text in
            guard let first = text.utf8.first, let last = text.utf8.last else { return false }
            return Self.isAlphanumeric(first) && Self.isAlphanumeric(last)
                && text.utf8.allSatisfy {
                    Self.isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
                }
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
