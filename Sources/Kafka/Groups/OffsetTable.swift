/// A committed offset as clients see it.
package struct CommittedOffset: Hashable, Sendable {
    package var offset: Int64
    package var leaderEpoch: Int32
    package var metadata: String
    package var commitTimestampMs: Int64
    /// Set only by clients of OffsetCommit 2 to 4 that name a retention of their own.
    package var expireTimestampMs: Int64?

    package init(
        offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "", commitTimestampMs: Int64,
        expireTimestampMs: Int64? = nil
    ) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.commitTimestampMs = commitTimestampMs
        self.expireTimestampMs = expireTimestampMs
    }
}

/// The committed offsets of one topic in one group, in order of partitions.
///
/// There can be a million of them in one broker, nearly all without metadata and without an expiry
/// of their own: those take 24 bytes each, and the few others have an entry aside.
struct TopicOffsets {
    private struct Entry {
        var partition: Int32
        var leaderEpoch: Int32
        var offset: Int64
        var commitTimestampMs: Int64
    }

    private struct Rarity {
        var metadata: String
        var expireTimestampMs: Int64?
    }

    private var entries: [Entry] = []
    private var rarities: [Int32: Rarity] = [:]

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }
    var partitions: some Sequence<Int32> { entries.lazy.map(\.partition) }

    /// The first index whose partition is not below the one asked for.
    private func index(of partition: Int32) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].partition < partition { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func holds(_ partition: Int32, at index: Int) -> Bool {
        index < entries.count && entries[index].partition == partition
    }

    func contains(_ partition: Int32) -> Bool { holds(partition, at: index(of: partition)) }

    subscript(partition: Int32) -> CommittedOffset? {
        let index = index(of: partition)
        return holds(partition, at: index) ? committed(entries[index]) : nil
    }

    private func committed(_ entry: Entry) -> CommittedOffset {
        let rarity = rarities.isEmpty ? nil : rarities[entry.partition]
        return CommittedOffset(
            offset: entry.offset, leaderEpoch: entry.leaderEpoch, metadata: rarity?.metadata ?? "",
            commitTimestampMs: entry.commitTimestampMs,
            expireTimestampMs: rarity?.expireTimestampMs)
    }

    /// Says whether the partition had none before.
    mutating func set(_ value: CommittedOffset, of partition: Int32) -> Bool {
        let entry = Entry(
            partition: partition, leaderEpoch: value.leaderEpoch, offset: value.offset,
            commitTimestampMs: value.commitTimestampMs)
        if value.metadata.isEmpty, value.expireTimestampMs == nil {
            if !rarities.isEmpty { rarities[partition] = nil }
        } else {
            rarities[partition] = Rarity(
                metadata: value.metadata, expireTimestampMs: value.expireTimestampMs)
        }
        let index = index(of: partition)
        if holds(partition, at: index) {
            entries[index] = entry
            return false
        }
        entries.insert(entry, at: index)
        return true
    }

    /// Says whether there was one.
    mutating func remove(_ partition: Int32) -> Bool {
        let index = index(of: partition)
        guard holds(partition, at: index) else { return false }
        entries.remove(at: index)
        if !rarities.isEmpty { rarities[partition] = nil }
        return true
    }

    func forEach(_ body: (Int32, CommittedOffset) -> Void) {
        for entry in entries { body(entry.partition, committed(entry)) }
    }
}

/// The committed offsets of one group.
struct OffsetTable {
    private(set) var topics: [String: TopicOffsets] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var sortedTopics: [String] { topics.keys.sorted() }

    subscript(topic: String, partition: Int32) -> CommittedOffset? { topics[topic]?[partition] }

    func contains(_ topic: String, _ partition: Int32) -> Bool {
        topics[topic]?.contains(partition) ?? false
    }

    mutating func set(_ value: CommittedOffset, topic: String, partition: Int32) {
        if topics[topic, default: TopicOffsets()].set(value, of: partition) { count += 1 }
    }

    mutating func remove(topic: String, partition: Int32) {
        guard topics[topic]?.remove(partition) == true else { return }
        count -= 1
        if topics[topic]?.isEmpty == true { topics[topic] = nil }
    }
}
