import KafkaWire
import Metadata
import Replication

/// The committed image, followed record by record.
struct MetadataFollower {
    private var replay = MetadataReplay()
    private(set) var elections = ElectionCounters()

    var image: MetadataImage { replay.image }
    var nextOffset: Int64 { replay.nextOffset }
    /// No transaction is open: the image is what the log says up to `nextOffset`.
    var isWhole: Bool { replay.transactionStart == nil }

    mutating func reset(to image: MetadataImage, nextOffset: Int64) {
        replay = MetadataReplay(image: image, nextOffset: nextOffset)
    }

    mutating func apply(
        _ records: [MetadataRecord], nextOffset: Int64, countsElections: Bool
    ) throws(NodeStartError) {
        var changes: [MetadataChange] = []
        do {
            try replay.replay(records, nextOffset: nextOffset, into: &changes)
        } catch {
            throw NodeStartError(
                "the metadata log cannot be applied at offset \(replay.nextOffset): \(error)")
        }
        if countsElections { elections.count(changes, now: replay.image) }
    }
}

/// Partitions that got another leader.
package struct ElectionCounters {
    package private(set) var all = 0
    /// Those whose leader was not known to have everything.
    package private(set) var unclean = 0

    package init() {}

    package mutating func count(_ changes: [MetadataChange], now image: MetadataImage) {
        // Backwards: what a change made of a partition is what the next one found.
        var found: [TopicIdPartition: PartitionRegistration] = [:]
        for change in changes.reversed() {
            guard case .partition(let topic, let partition, let before?) = change else { continue }
            let key = TopicIdPartition(topic, partition)
            if let after = found[key] ?? image.topic(topic)?[partition] { count(before, after) }
            found[key] = before
        }
    }

    private mutating func count(_ before: PartitionRegistration, _ after: PartitionRegistration) {
        guard after.hasLeader, after.leader != before.leader else { return }
        all += 1
        if !before.isr.contains(after.leader), !before.eligibleLeaderReplicas.contains(after.leader)
        {
            unclean += 1
        }
    }
}
