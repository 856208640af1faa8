package struct TopicPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var topic: String
    package var partition: Int32

    package init(_ topic: String, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.topic, a.partition) < (b.topic, b.partition)
    }

    /// The name of the directory, too.
    package var description: String { "\(topic)-\(partition)" }

    package init?(directoryName name: String) {
        guard let dash = name.lastIndex(of: "-") else { return nil }
        let digits = name[name.index(after: dash)...]
        let topic = String(name[..<dash])
        guard Self.isTopicName(topic), !digits.isEmpty,
            digits.utf8.allSatisfy({ (48...57).contains($0) }),
            digits.utf8.count == 1 || digits.utf8.first != 48,
            let partition = Int32(digits)
        else { return nil }
        self.init(topic, partition)
    }

    /// Kafka's legal names: 1 to 249 of letters, digits, `.`, `_` and `-`, but not `.` or `..`.
    package static func isTopicName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 249, name != ".", name != ".." else { return false }
        return name.utf8.allSatisfy {
            switch $0 {
            case 48...57, 65...90, 97...122, 45, 46, 95: true
            default: false
            }
        }
    }
}

/// What a directory inside a log directory is for, by its name.
package enum PartitionDirectoryName: Equatable, Sendable {
    case partition(TopicPartition)
    /// `topic-partition.uuid-delete`: a deleted partition whose files are still there.
    case deleted
    /// `-stray` and `-future`: partitions that are not ours to serve.
    case setAside
    case foreign

    package init(_ name: String) {
        if name.hasSuffix("-delete") {
            self = .deleted
        } else if name.hasSuffix("-stray") || name.hasSuffix("-future") {
            self = .setAside
        } else if let partition = TopicPartition(directoryName: name) {
            self = .partition(partition)
        } else {
            self = .foreign
        }
    }

    /// Kafka bounds the whole name by the 255 bytes of a file name and cuts the topic's part.
    package static func deleted(_ partition: TopicPartition, unique: String) -> String {
        name(partition, unique, "delete")
    }

    package static func stray(_ partition: TopicPartition, unique: String) -> String {
        name(partition, unique, "stray")
    }

    private static func name(
        _ partition: TopicPartition, _ unique: String, _ state: String
    ) -> String {
        let suffix = "-\(partition.partition).\(unique)-\(state)"
        return String(partition.topic.prefix(max(0, 255 - suffix.utf8.count))) + suffix
    }
}
