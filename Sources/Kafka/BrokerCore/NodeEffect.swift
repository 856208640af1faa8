import CommitLog
import KafkaWire

/// What a node wants done. The shell, or a simulator, carries effects out in order.
package enum NodeEffect {
    /// An empty list of pieces frees the request's place in line without a reply (acks=0).
    case reply(ReplyToken, [Piece])
    case close(connection: UInt64, reason: String)
    case send(PeerRequest)
    case log(NodeLog)
    /// The node cannot go on: the process should end with this message.
    case fail(String)
    /// A controlled shutdown has come to its end.
    case stopped
}

/// A line for the log.
package struct NodeLog: Sendable, Equatable {
    package enum Level: Int, Sendable, Comparable {
        case debug, info, notice, warning, error
        package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }
    package var level: Level
    package var message: String

    package init(_ level: Level, _ message: String) {
        self.level = level
        self.message = message
    }
}
