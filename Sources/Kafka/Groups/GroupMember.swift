import NIOCore

/// One member of a group of the classic protocol.
final class GroupMember {
    struct SupportedProtocol: Equatable {
        var name: String
        var metadata: ByteBuffer
    }

    /// A request that waits for its answer.
    struct Waiting {
        var token: UInt64
        var version: Int16
    }

    let id: String
    let instanceId: String?
    let clientId: String
    let clientHost: String
    /// In order of the member's preference.
    var protocols: [SupportedProtocol]
    var sessionTimeoutMs: Int32
    var rebalanceTimeoutMs: Int32
    var assignment = ByteBuffer()
    /// Who came first: the order in which members are listed and become leaders.
    var rank: UInt64 = 0
    /// Has never been in a generation.
    var isNew = false
    fileprivate(set) var awaitingJoin: Waiting?
    var awaitingSync: Waiting?
    let session: GroupTimer

    init(
        id: String, instanceId: String?, clientId: String, clientHost: String,
        protocols: [SupportedProtocol], sessionTimeoutMs: Int32, rebalanceTimeoutMs: Int32,
        session: GroupTimer
    ) {
        self.id = id
        self.instanceId = instanceId
        self.clientId = clientId
        self.clientHost = clientHost
        self.protocols = protocols
        self.sessionTimeoutMs = sessionTimeoutMs
        self.rebalanceTimeoutMs = rebalanceTimeoutMs
        self.session = session
    }

    func metadata(of name: String?) -> ByteBuffer {
        protocols.first { $0.name == name }?.metadata ?? ByteBuffer()
    }

    /// A member that waits for us is alive, however long that takes; a new one only until
    /// `newMemberJoinTimeoutMs`, which is what its session timer was set to.
    var isExcusedFromHeartbeats: Bool {
        !isNew && (awaitingJoin != nil || awaitingSync != nil)
    }
}

extension Group {
    // A member's wait for the join phase is set here only, so that the count stays right.

    /// Gives back the request that stood there before.
    func setAwaitingJoin(_ waiting: GroupMember.Waiting?, of member: GroupMember)
        -> GroupMember.Waiting?
    {
        let before = member.awaitingJoin
        if before != nil { awaitingJoinCount -= 1 }
        if waiting != nil { awaitingJoinCount += 1 }
        member.awaitingJoin = waiting
        return before
    }
}
