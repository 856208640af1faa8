import NIOCore

/// Kafka's checkpoint files: a version, the number of entries, then one entry a line.
///
///     0
///     2
///     events 0 1500
///     events 1 1498
package enum TextCheckpoint {
    package struct Invalid: Error, Equatable {
        package var reason: String
    }

    static let version = 0
    /// Far above what a directory of a hundred thousand partitions needs.
    static let maxBytes = 64 << 20

    static func lines(of bytes: ByteBuffer) throws(Invalid) -> [Substring] {
        let text = String(buffer: bytes)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        guard lines.count >= 2 else { throw Invalid(reason: "fewer than two lines") }
        guard lines[0] == "\(version)" else { throw Invalid(reason: "unknown version") }
        guard let count = Int(lines[1]), count >= 0, count == lines.count - 2 else {
            throw Invalid(reason: "the number of entries does not match")
        }
        return Array(lines.dropFirst(2))
    }

    static func encode(_ lines: [String]) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeString("\(version)\n\(lines.count)\n")
        for line in lines { bytes.writeString(line + "\n") }
        return bytes
    }

    // Offsets of partitions: recovery-point-, replication-, log-start-, cleaner-offset-checkpoint.

    package struct Entry: Equatable, Sendable {
        package var partition: TopicPartition
        package var offset: Int64

        package init(partition: TopicPartition, offset: Int64) {
            self.partition = partition
            self.offset = offset
        }
    }

    package static func decodeOffsets(_ bytes: ByteBuffer) throws(Invalid) -> [Entry] {
        var entries: [Entry] = []
        for line in try lines(of: bytes) {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 3, let partition = Int32(words[1]), partition >= 0,
                let offset = Int64(words[2]), TopicPartition.isTopicName(String(words[0]))
            else { throw Invalid(reason: "malformed entry") }
            entries.append(Entry(partition: .init(String(words[0]), partition), offset: offset))
        }
        return entries
    }

    package static func encodeOffsets(_ entries: [Entry]) -> ByteBuffer {
        encode(entries.map { "\($0.partition.topic) \($0.partition.partition) \($0.offset)" })
    }

    // Leader epochs: leader-epoch-checkpoint of one partition.

    package static func decodeEpochs(_ bytes: ByteBuffer) throws(Invalid) -> [LeaderEpochs.Entry] {
        var entries: [LeaderEpochs.Entry] = []
        for line in try lines(of: bytes) {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 2, let epoch = Int32(words[0]), let start = Int64(words[1]),
                epoch >= 0, start >= 0
            else { throw Invalid(reason: "malformed entry") }
            if let last = entries.last, epoch <= last.epoch || start < last.startOffset {
                throw Invalid(reason: "epochs or offsets fall")
            }
            entries.append(.init(epoch: epoch, startOffset: start))
        }
        return entries
    }

    package static func encodeEpochs(_ entries: [LeaderEpochs.Entry]) -> ByteBuffer {
        encode(entries.map { "\($0.epoch) \($0.startOffset)" })
    }
}
