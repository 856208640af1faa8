import KafkaWire
import NIOCore

/// A client's request that the coordinator answers.
package enum GroupRequest: Sendable {
    case joinGroup(JoinGroupRequest)
    case syncGroup(SyncGroupRequest)
    case heartbeat(HeartbeatRequest)
    case leaveGroup(LeaveGroupRequest)
    /// Topics by name: ids of version 10 and partitions that do not exist are the caller's to sort
    /// out before.
    case offsetCommit(OffsetCommitRequest)
    /// Topics by name, as for `offsetCommit`.
    case offsetFetch(OffsetFetchRequest)
    case offsetDelete(OffsetDeleteRequest)
    case listGroups(ListGroupsRequest)
    case describeGroups(DescribeGroupsRequest)
    case deleteGroups(DeleteGroupsRequest)
}

package enum GroupResponse: Sendable {
    case joinGroup(JoinGroupResponse)
    case syncGroup(SyncGroupResponse)
    case heartbeat(HeartbeatResponse)
    case leaveGroup(LeaveGroupResponse)
    case offsetCommit(OffsetCommitResponse)
    case offsetFetch(OffsetFetchResponse)
    case offsetDelete(OffsetDeleteResponse)
    case listGroups(ListGroupsResponse)
    case describeGroups(DescribeGroupsResponse)
    case deleteGroups(DeleteGroupsResponse)
}

/// Who asks, and in which version.
package struct GroupClient: Sendable {
    package var version: Int16
    package var clientId: String
    /// As Kafka prints it: "/" and the address.
    package var host: String

    package init(version: Int16, clientId: String = "", host: String = "") {
        self.version = version
        self.clientId = clientId
        self.host = host
    }
}

/// What became of an `append` effect.
package enum AppendOutcome: Sendable {
    /// The batch lies below the high watermark. Batches of one partition are told in their order.
    case committed
    /// The batch is not in the log and never will be. A batch whose end is unknown is not told of
    /// at all: it is either committed in the end or its partition is lost.
    case refused(ErrorCode)
}

package enum GroupEvent: Sendable {
    case request(token: UInt64, GroupRequest, GroupClient)
    /// This broker leads a partition of `__consumer_offsets`; its records come next.
    case partitionLed(Int32, epoch: Int32)
    /// Whole record batches of a led partition, in order.
    case loadRecords(Int32, epoch: Int32, ByteBuffer)
    case loadFinished(Int32, epoch: Int32)
    case partitionLost(Int32, epoch: Int32)
    case appended(token: UInt64, AppendOutcome)
    /// `nextDeadline` has come. Timers fire on this event only, so that a shell that was held up
    /// can hand over the heartbeats it finds waiting before anyone is declared dead.
    case timer
    case topicsDeleted([String])
    /// Looks for expired offsets now, whatever the interval says.
    case expireOffsets
}

package enum GroupEffect: Sendable {
    /// To be appended to a partition of `__consumer_offsets` with `acks=all`, in the order of the
    /// effects, and answered with `.appended`.
    case append(partition: Int32, batch: ByteBuffer, token: UInt64)
    case reply(token: UInt64, GroupResponse)
}
