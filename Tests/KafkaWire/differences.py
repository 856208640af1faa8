"""Where our schema files, which are of Kafka 4.1, differ from those of other releases, and why.

A key is (message, field) or (message, aspect); an API's name stands for request and response.
"""

OLD = "4.0 dropped the old versions (KIP-896)"
NO_ZOOKEEPER = "gone with ZooKeeper in 4.0 (KIP-833)"
NEWER = "later than the facts: "
IDS = NEWER + "topic ids in 4.1 (KIP-848, KIP-516)"
OURS = "between brokers of ours; a tagged field that others pass over"
NO_WIRE = "of no effect on the wire: "

# The facts are of the trunk of October 2024, on the way from 3.9 to 4.0.
EARLIER = {
    ("AlterPartition", "versions"): OLD,
    ("AlterReplicaLogDirs", "versions"): OLD,
    ("CreateAcls", "versions"): OLD,
    ("CreateDelegationToken", "versions"): OLD,
    ("CreateTopics", "versions"): OLD,
    ("DeleteAcls", "versions"): OLD,
    ("DeleteTopics", "versions"): OLD,
    ("DescribeAcls", "versions"): OLD,
    ("DescribeConfigs", "versions"): OLD,
    ("DescribeDelegationToken", "versions"): OLD,
    ("DescribeLogDirs", "versions"): OLD,
    ("ExpireDelegationToken", "versions"): OLD,
    ("ListOffsets", "versions"): OLD,
    ("OffsetForLeaderEpoch", "versions"): OLD,
    ("RenewDelegationToken", "versions"): OLD,
    ("WriteTxnMarkers", "versions"): OLD,
    ("RequestHeader", "versions"): OLD + ": the header without a client id",
    ("ControlledShutdown", "message"): NO_ZOOKEEPER,
    ("LeaderAndIsr", "message"): NO_ZOOKEEPER,
    ("StopReplica", "message"): NO_ZOOKEEPER,
    ("UpdateMetadata", "message"): NO_ZOOKEEPER,
    ("AlterPartitionReassignments", "versions"): NEWER + "KIP-860",
    ("AlterPartitionReassignments", "AllowReplicationFactorChange"): NEWER + "KIP-860",
    ("ClearElrRecord", "message"): NEWER + "KIP-966",
    ("ConsumerGroupDescribe", "versions"): NEWER + "KIP-1099",
    ("ConsumerGroupDescribeResponse", "Groups.Members.MemberType"): NEWER + "KIP-1099",
    ("DescribeCluster", "versions"): NEWER + "KIP-1073",
    ("DescribeClusterRequest", "IncludeFencedBrokers"): NEWER + "KIP-1073",
    ("DescribeClusterResponse", "Brokers.IsFenced"): NEWER + "KIP-1073",
    ("DescribeGroups", "versions"): NEWER + "KIP-1043",
    ("DescribeGroupsResponse", "Groups.ErrorMessage"): NEWER + "KIP-1043",
    ("Fetch", "versions"): OLD + "; " + NEWER + "KIP-1166",
    ("FetchRequest", "Topics.Partitions.HighWatermark"): NEWER + "KIP-1166",
    ("FetchRequest", "Topics.Partitions.ReadAhead"): OURS,
    ("ListClientMetricsResources", "message"): NEWER + "version 0 of what KIP-1142 renamed",
    ("ListConfigResources", "message"): NEWER + "KIP-1142",
    ("ListTransactions", "versions"): NEWER + "KIP-1152",
    ("ListTransactionsRequest", "TransactionalIdPattern"): NEWER + "KIP-1152",
    ("Metadata", "versions"): NEWER + "KIP-1102",
    ("MetadataResponse", "ErrorCode"): NEWER + "KIP-1102",
    ("OffsetCommit", "versions"): OLD + "; " + IDS,
    ("OffsetCommit", "Topics.Name"): IDS,
    ("OffsetCommit", "Topics.TopicId"): IDS,
    ("OffsetCommitValue", "topicId"): IDS,
    ("OffsetFetch", "versions"): OLD + "; " + IDS,
    ("OffsetFetch", "Groups.Topics.Name"): IDS,
    ("OffsetFetch", "Groups.Topics.TopicId"): IDS,
    ("Produce", "versions"): OLD + "; " + IDS,
    ("ProduceRequest", "TopicData.Name"): IDS,
    ("ProduceRequest", "TopicData.TopicId"): IDS,
    ("ProduceResponse", "Responses.Name"): IDS,
    ("ProduceResponse", "Responses.TopicId"): IDS,
    ("TxnOffsetCommit", "versions"): NEWER + "KIP-890",
    ("Vote", "versions"): NEWER + "KIP-996",
    ("VoteRequest", "Topics.Partitions.PreVote"): NEWER + "KIP-996",
    ("EndTxnMarker", "message"): "the facts leave it out; Kafka writes it by hand up to 4.1",
    ("DefaultPrincipalData", "message"): "the form of a principal that only Envelope carries",
    ("DescribeConfigsResponse", "order"): NO_WIRE + "the two never stand in one version",
    ("RequestHeader", "ClientId"): NO_WIRE + "ignorable is for versions that are gone",
}

# What 4.2 and 4.3 added, and what 4.1 has but does not call stable.
LATER = {
    ("FetchRequest", "Topics.Partitions.ReadAhead"): OURS,
    ("DescribeLogDirs", "versions"): "4.3: cordoned directories (KIP-1066)",
    ("DescribeLogDirsResponse", "Results.IsCordoned"): "4.3: cordoned directories (KIP-1066)",
    ("InitProducerId", "versions"): "not stable: two-phase commit (KIP-939)",
    ("InitProducerIdRequest", "Enable2Pc"): "not stable: two-phase commit (KIP-939)",
    ("InitProducerIdRequest", "KeepPreparedTxn"): "not stable: two-phase commit (KIP-939)",
    ("InitProducerIdResponse", "OngoingTxnProducerId"): "not stable: KIP-939",
    ("InitProducerIdResponse", "OngoingTxnProducerEpoch"): "not stable: KIP-939",
    ("ListOffsets", "versions"): "4.2: the earliest offset not yet in tiered storage (KIP-1023)",
    ("WriteTxnMarkers", "versions"): "4.2 or later: the version of a transaction (KIP-1228)",
    ("WriteTxnMarkersRequest", "Markers.TransactionVersion"): "4.2 or later: KIP-1228",
}
