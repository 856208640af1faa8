import NIOCore
import Timing

/// What keeps requests from waiting behind one another: each lane is a connection of its own.
package enum PeerLane: Int, Hashable, Sendable {
    /// Heartbeats, registrations, AlterPartition, and what clients asked to be passed on.
    case control
    /// Requests passed on for clients, which may take long.
    case forwarded
    /// Raft's votes and announcements.
    case quorum
    /// Fetches of the metadata log.
    case metadata
    /// Fetches of partitions.
    case replication
}

/// A request that a node wants sent to another one. What becomes of it comes back under its id.
package struct PeerRequest: Sendable {
    package var id: UInt64
    package var node: Int32
    package var host: String
    package var port: UInt16
    package var lane: PeerLane
    package var apiKey: Int16
    package var version: Int16
    package var body: ByteBuffer
    package var timeout: Nanoseconds

    package init(
        id: UInt64, node: Int32, host: String, port: UInt16, lane: PeerLane, apiKey: Int16,
        version: Int16, body: ByteBuffer, timeout: Nanoseconds
    ) {
        self.id = id
        self.node = node
        self.host = host
        self.port = port
        self.lane = lane
        self.apiKey = apiKey
        self.version = version
        self.body = body
        self.timeout = timeout
    }
}

/// A request somebody sent to this node, to which a reply is owed.
package struct ReplyToken: Hashable, Sendable {
    package var connection: UInt64
    package var sequence: UInt64

    package init(connection: UInt64, sequence: UInt64) {
        self.connection = connection
        self.sequence = sequence
    }
}
