import NIOCore

/// For fuzzing: whatever the bytes are, batches and records are read or refused, and what was read
/// can be written and read again.
package func fuzzRecordBatches(_ bytes: UnsafeRawBufferPointer) {
    let limit = 1 << 20
    var buffer = ByteBuffer()
    // Not at the start of its storage, so that a confusion of indices shows.
    buffer.writeRepeatingByte(0xee, count: 5)
    buffer.moveReaderIndex(to: 5)
    buffer.writeBytes(bytes)

    let whole = try? RecordBatches.wholeBytes(in: buffer)
    if let whole { precondition(whole <= bytes.count) }
    var batches = RecordBatches(buffer)
    while let batch = try? batches.next() {
        try? batch.checkCRC()
        try? batch.header.checkCounts()
        try? batch.header.checkProducedCounts()
        _ = (batch.header.lastOffset, batch.header.lastSequence, batch.header.nextOffset)
        let moved = fuzzRewrite(buffer, batch)
        precondition(moved.crc == batch.header.crc && moved.baseOffset == 7)
        guard let records = try? batch.allRecords(limit: limit) else { continue }
        precondition(records.count == Int(batch.header.recordCount))
        fuzzRebuild(records, of: batch)
    }
}

private func fuzzRewrite(_ buffer: ByteBuffer, _ batch: RecordBatch) -> RecordBatchHeader {
    var copy = buffer
    RecordBatches.rewrite(baseOffset: 7, leaderEpoch: 8, at: batch.index, in: &copy)
    guard let header = try? RecordBatchHeader(at: batch.index, in: copy) else {
        preconditionFailure("a rewritten batch is no batch")
    }
    return header
}

private func fuzzRebuild(_ records: [Record], of batch: RecordBatch) {
    var builder = RecordBatchBuilder(baseOffset: batch.header.baseOffset)
    builder.lastOffset = batch.header.lastOffset
    for record in records {
        builder.append(record)
        if let type = try? ControlRecordType(key: record.key) { _ = type.description }
        _ = try? EndTransactionMarker(record)
    }
    // Only offsets that pass the end of their range cannot be built.
    guard let built = try? builder.build() else { return }
    guard let again = try? RecordBatch(at: 0, in: built), (try? again.checkCRC()) != nil,
        (try? again.allRecords(limit: built.readableBytes)) == records
    else { preconditionFailure("a rebuilt batch is another one") }
}

/// For fuzzing: gives whole batches the checksums that their bytes have, so that what is behind
/// the check is reached too.
package func fuzzMendChecksums(of bytes: inout ByteBuffer) {
    var index = bytes.readerIndex
    while let header = try? RecordBatchHeader(at: index, in: bytes),
        header.sizeInBytes <= bytes.writerIndex - index
    {
        let checked = bytes.getSlice(
            at: index + RecordBatchHeader.checkedOffset,
            length: header.sizeInBytes - RecordBatchHeader.checkedOffset)
        let sum = (checked ?? ByteBuffer()).withUnsafeReadableBytes { crc32c($0) }
        bytes.setInteger(sum, at: index + RecordBatchHeader.crcOffset)
        index += header.sizeInBytes
    }
}

/// For fuzzing: the first byte picks a codec, the second a limit, the rest is decompressed or
/// refused; then it is compressed, and comes back.
package func fuzzDecompress(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 2 else { return }
    let codecs = Compression.allCases
    let codec = codecs[Int(bytes[0]) % codecs.count]
    let limit = 1 << (Int(bytes[1]) % 24)
    let rest = ByteBuffer(bytes: bytes.dropFirst(2))
    if let plain = try? codec.decompress(rest, limit: limit) {
        precondition(plain.readableBytes <= limit)
    }
    var compressed = ByteBuffer()
    guard (try? codec.compress(rest, into: &compressed)) != nil,
        (try? codec.decompress(compressed, limit: rest.readableBytes)) == rest
    else { preconditionFailure("\(codec) does not bring back what it was given") }
}
