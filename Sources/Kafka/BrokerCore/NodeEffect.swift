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
    /// What the message is about, for who reads logs by machine.
    package var about: LogSubject

    package init(_ level: Level, _ message: String, _ about: LogSubject = LogSubject()) {
        self.level = level
        self.message = message
        self.about = about
    }
}

/// What a line of the log is about, as far as the code that says it knows.
package struct LogSubject: Sendable, Equatable {
    /// Another broker, not the one that speaks.
    package var broker: Int32?
    package var topic: String?
    package var partition: Int32?
    /// The epoch that the message names: of the controllers' leader, of a partition's, or of a
    /// registration.
    package var epoch: Int64?

    package init(broker: Int32? = nil, topic: String? = nil, partition: Int32? = nil) {
        self.broker = broker
        self.topic = topic
        self.partition = partition
    }

    package init(epoch: some BinaryInteger) { self.epoch = Int64(epoch) }

    package init(_ partition: TopicPartition) {
        self.init(topic: partition.topic, partition: partition.partition)
    }

    /// Under the names that they have in a log of `log.format=json`.
    package var fields: [(name: String, value: String)] {
        var all: [(name: String, value: String)] = []
        if let broker { all.append(("broker", String(broker))) }
        if let topic { all.append(("topic", topic)) }
        if let partition { all.append(("partition", String(partition))) }
        if let epoch { all.append(("epoch", String(epoch))) }
        return all
    }
}
