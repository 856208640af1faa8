import CommitLog
import KafkaWire

/// A request somebody is owed a reply to: opaque to this room.
package struct RequestToken: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64 = 0, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// What replication asks of the broker around it. Effects are to be carried out in order.
package enum ReplicationEffect: Sendable {
    case produced(RequestToken, ProduceResponse)
    /// A produce request with `acks=0` was carried out: nothing is sent. Where it `failed` the
    /// connection is closed, which is how Kafka makes such a client look for the leader.
    case producedUnacknowledged(RequestToken, failed: Bool)
    case fetched(RequestToken, FetchResponse)
    case deletedRecords(RequestToken, DeleteRecordsResponse)
    /// What became of the broker's own `append`: `baseOffset` is -1 unless the log took it.
    case appended(AppendToken, ErrorCode, baseOffset: Int64)
    /// To the controller. One is under way at a time; `alterPartitionDone` brings the next.
    case alterPartition(AlterPartitionRequest)
    /// To another broker, from the fetcher that follows it.
    case fetch(leader: Int32, correlation: UInt64, FetchRequest)
    case listOffsets(leader: Int32, correlation: UInt64, ListOffsetsRequest)
    /// No partition is followed from that broker any more: its connection may be closed.
    case fetcherStopped(leader: Int32)
    /// `flush.messages` asks that a log be made durable. The ticket is carried out on any thread
    /// and handed back by `flushed`; acknowledgements of what it covers wait for it.
    case flush(TopicIdPartition, FlushTicket)
    /// A partition is led from here, under that epoch, or no longer is (nil).
    case leadership(TopicPartition, epoch: Int32?)
    /// A log failed: its directory is offline now, and so is every partition in it.
    case storageFailed(TopicPartition, LogError)
    /// Something that an operator should read.
    case warning(TopicPartition, ReplicationWarning)
}

/// Handed back with what became of an `append`.
package struct AppendToken: Hashable, Sendable {
    package var id: UInt64
    package init(_ id: UInt64) { self.id = id }
}

package enum ReplicationWarning: Equatable, Sendable {
    /// The follower threw away records that its own high watermark had counted as committed: the
    /// leader was elected uncleanly, or lost what it had acknowledged.
    case truncatedBelowHighWatermark(offset: Int64, highWatermark: Int64)
    /// The leader's log begins after the follower's end: everything was thrown away.
    case resetToLeaderStart(offset: Int64)
    case isrShrunk(isr: [Int32], underMinISR: Bool)
    case isrExpanded(isr: [Int32])
    case alterPartitionRefused(ErrorCode)
    /// Records that came from the leader did not fit the log.
    case refusedRecords(LogError)
    case fetchError(ErrorCode)
}
