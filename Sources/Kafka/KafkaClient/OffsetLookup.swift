import KafkaWire

/// A place in a partition that is not told by its number.
package enum OffsetPoint: Equatable, Sendable {
    case earliest
    case latest
    /// Of the record with the highest timestamp (KIP-734).
    case maxTimestamp
    /// Of the first record of this time or later, in milliseconds since 1970.
    case time(Int64)

    /// What ListOffsets calls it.
    package var timestamp: Int64 {
        switch self {
        case .latest: -1
        case .earliest: -2
        case .maxTimestamp: -3
        case .time(let time): max(0, time)
        }
    }
}

package struct FoundOffset: Equatable, Sendable {
    /// -1 where there is none: no record is so late.
    package var offset: Int64
    package var timestamp: Int64
    package var leaderEpoch: Int32

    package init(offset: Int64, timestamp: Int64 = -1, leaderEpoch: Int32 = -1) {
        self.offset = offset
        self.timestamp = timestamp
        self.leaderEpoch = leaderEpoch
    }
}

extension KafkaCluster {
    /// Looks the offsets up at the partitions' leaders, and waits a while for one that is missing.
    package func offsets(
        of topic: String, partitions wanted: [Int32]? = nil, at point: OffsetPoint,
        milliseconds: Int = 10_000
    ) throws(ClientError) -> [Int32: FoundOffset] {
        var found: [Int32: FoundOffset] = [:]
        let giveUp = ClientError.refused(.leaderNotAvailable, "topic \(topic)")
        return try Attempts.until(milliseconds: milliseconds, giveUp: giveUp) {
            () throws(ClientError) in
            let missing = try layout(of: topic).select(wanted).filter { found[$0.index] == nil }
            for (leader, partitions) in TopicLayout.byLeader(missing) {
                let answer = try call(
                    ListOffsetsRequest(
                        replicaId: -1,
                        topics: [
                            .init(
                                name: topic,
                                partitions: partitions.map {
                                    .init(
                                        partitionIndex: $0.index,
                                        currentLeaderEpoch: $0.leaderEpoch,
                                        timestamp: point.timestamp)
                                })
                        ],
                        timeoutMs: 10_000), at: leader)
                try Self.take(answer, of: topic, into: &found)
            }
            return missing.allSatisfy { found[$0.index] != nil } ? found : nil
        }
    }

    /// Errors are told once what came with them is kept.
    private static func take(
        _ answer: ListOffsetsResponse, of topic: String, into found: inout [Int32: FoundOffset]
    ) throws(ClientError) {
        var failure: ClientError?
        for partition in answer.topics.filter({ $0.name == topic }).flatMap(\.partitions) {
            if partition.errorCode == .none {
                found[partition.partitionIndex] = FoundOffset(
                    offset: partition.offset, timestamp: partition.timestamp,
                    leaderEpoch: partition.leaderEpoch)
            } else {
                failure = .refused(
                    partition.errorCode,
                    "the offsets of \(topic), partition \(partition.partitionIndex)")
            }
        }
        if let failure { throw failure }
    }
}
