import Metadata

/// The committed image, followed record by record.
struct MetadataFollower {
    private var replay = MetadataReplay()

    var image: MetadataImage { replay.image }
    var nextOffset: Int64 { replay.nextOffset }
    /// No transaction is open: the image is what the log says up to `nextOffset`.
    var isWhole: Bool { replay.transactionStart == nil }

    mutating func reset(to image: MetadataImage, nextOffset: Int64) {
        replay = MetadataReplay(image: image, nextOffset: nextOffset)
    }

    mutating func apply(
        _ records: [MetadataRecord], nextOffset: Int64
    ) throws(NodeStartError) {
        var changes: [MetadataChange] = []
        do {
            try replay.replay(records, nextOffset: nextOffset, into: &changes)
        } catch {
            throw NodeStartError(
                "the metadata log cannot be applied at offset \(replay.nextOffset): \(error)")
        }
    }
}
