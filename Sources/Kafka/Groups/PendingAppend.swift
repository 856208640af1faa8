import KafkaWire
import NIOCore
import Timing

/// A batch on its way to the high watermark, and what is to happen then.
struct PendingAppend {
    enum Work {
        case commit(OffsetCommitWork)
        case tombstones(TombstoneWork)
        /// The leader's assignment of a generation.
        case assignment(Group, generation: Int32, [String: ByteBuffer])
        /// A generation without members.
        case emptied(Group)
        case staticMember(StaticMemberWork)
    }

    var partition: Int32
    var work: Work
    /// The client has been told that this took too long. What was written counts all the same.
    var isOverdue = false
}

struct OffsetCommitWork {
    struct Offset {
        var topic: String
        var partition: Int32
        var value: CommittedOffset
    }

    var group: Group
    var offsets: [Offset]
    var token: UInt64
    /// What to answer if all goes well.
    var response: OffsetCommitResponse
}

struct TombstoneWork {
    struct Offset {
        var group: Group
        var topic: String
        var partition: Int32
    }

    var offsets: [Offset] = []
    /// Groups that go away altogether.
    var groups: [Group] = []
    /// The request that asked for it, and which of its results this batch decides.
    var gathering: Gathering?
    var result = 0
}

/// A static member took the place of its former process in a stable group, which only needs to be
/// written down.
struct StaticMemberWork {
    struct Former {
        var id: String
        var protocols: [GroupMember.SupportedProtocol]
        var sessionTimeoutMs: Int32
        var rebalanceTimeoutMs: Int32
    }

    var group: Group
    var member: GroupMember
    var instanceId: String
    var former: Former
    var leaderBefore: String?
    var generation: Int32
    var request: GroupMember.Waiting
}

/// A request whose answer waits for several batches.
final class Gathering {
    let token: UInt64
    var response: GroupResponse
    var outstanding = 0

    init(token: UInt64, response: GroupResponse) {
        self.token = token
        self.response = response
    }

    func refuse(result: Int, _ error: ErrorCode) {
        switch response {
        case .deleteGroups(var deletion):
            guard deletion.results.indices.contains(result) else { return }
            deletion.results[result].errorCode = error
            response = .deleteGroups(deletion)
        case .offsetDelete:
            response = .offsetDelete(OffsetDeleteResponse(errorCode: error))
        default:
            break
        }
    }
}
