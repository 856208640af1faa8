import KafkaWire
import NIOCore

/// For fuzzing: records, each behind its length in one byte, are read and applied to an image with
/// small limits, or refused. Whatever was applied is a snapshot that makes the same image, and can
/// be taken back.
package func fuzzMetadataRecords(_ bytes: UnsafeRawBufferPointer) {
    var limits = MetadataLimits()
    limits.partitionsPerTopic = 64
    limits.partitions = 256
    limits.topics = 16
    limits.brokers = 16
    let start = MetadataImage(limits: limits)
    var image = start
    var changes: [MetadataChange] = []
    var offset = 0
    while offset < bytes.count {
        let length = min(Int(bytes[offset]), bytes.count - offset - 1)
        let value = ByteBuffer(bytes: bytes[(offset + 1)..<(offset + 1 + length)])
        offset += 1 + length
        guard let record = try? MetadataRecord(decoding: value) else { continue }
        let again = try? MetadataRecord(decoding: record.encoded())
        precondition(again.map(isComparable) != true || again == record, "\(record)")
        try? image.apply(record, into: &changes)
    }
    precondition(image.partitionCount <= limits.partitions && image.topicCount <= limits.topics)
    let comparable = image.keptRecords.values.allSatisfy(isComparable)
    var copy = start
    var copied: [MetadataChange] = []
    image.forEachSnapshotRecord { record in
        do throws(MetadataError) {
            try copy.apply(record, into: &copied)
        } catch {
            preconditionFailure("\(error)")
        }
    }
    if comparable { precondition(copy == image) }
    for change in changes.reversed() { image.revert(change) }
    precondition(image == start)
}

/// A quota that is not a number is not equal to itself.
private func isComparable(_ record: MetadataRecord) -> Bool {
    if case .clientQuota(let quota) = record { return !quota.value.isNaN }
    return true
}
