import KafkaWire

/// Follows a metadata log: applies committed records to an image, holding those of a transaction
/// back until it ends (KIP-868).
package struct MetadataReplay: Sendable {
    package internal(set) var image: MetadataImage
    /// The offset of the next record.
    package internal(set) var nextOffset: Int64
    /// Where the transaction that is still open began.
    package private(set) var transactionStart: Int64?
    private var held: [MetadataRecord] = []

    package init(image: MetadataImage = MetadataImage(), nextOffset: Int64 = 0) {
        self.image = image
        self.nextOffset = nextOffset
    }

    /// Records of one batch, which follow each other from `baseOffset`. `nextOffset` is what comes
    /// after the batch; control batches have no records here.
    package mutating func replay(
        _ records: [MetadataRecord], nextOffset: Int64, into changes: inout [MetadataChange]
    ) throws(MetadataError) {
        for record in records { try replay(record, into: &changes) }
        self.nextOffset = nextOffset
    }

    package mutating func replay(
        _ record: MetadataRecord, into changes: inout [MetadataChange]
    ) throws(MetadataError) {
        let offset = nextOffset
        switch record {
        case .beginTransaction:
            if let transactionStart {
                throw .transaction("begun at \(offset) inside the one begun at \(transactionStart)")
            }
            transactionStart = offset
        case .endTransaction:
            guard transactionStart != nil else { throw .transaction("ended, but none was begun") }
            let records = held
            endTransaction()
            for record in records { try image.apply(record, into: &changes) }
        case .abortTransaction:
            guard transactionStart != nil else { throw .transaction("aborted, but none was begun") }
            endTransaction()
        default:
            if transactionStart == nil {
                try image.apply(record, into: &changes)
            } else {
                guard held.count < image.limits.recordsPerTransaction else {
                    throw .tooMany(
                        "records of a transaction", limit: image.limits.recordsPerTransaction)
                }
                held.append(record)
            }
        }
        nextOffset += 1
    }

    /// The open transaction was ended by a record that was not replayed here.
    mutating func dropTransaction() { endTransaction() }

    private mutating func endTransaction() {
        transactionStart = nil
        held = []
    }
}
