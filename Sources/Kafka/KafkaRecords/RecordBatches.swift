import NIOCore

/// One whole batch, as it stands in a buffer.
package struct RecordBatch: Sendable {
    package let header: RecordBatchHeader
    /// Where the batch starts in the buffer that it was read from.
    package let index: Int
    /// The batch, header included; shares the storage of the buffer.
    package let bytes: ByteBuffer

    /// The whole batch that starts at an index of the buffer.
    package init(at index: Int, in buffer: ByteBuffer) throws(RecordError) {
        header = try RecordBatchHeader(at: index, in: buffer)
        guard let bytes = buffer.getSlice(at: index, length: header.sizeInBytes) else {
            throw .torn(
                at: index, needed: header.sizeInBytes, available: buffer.writerIndex - index)
        }
        self.bytes = bytes
        self.index = index
    }

    /// That the bytes are those that the producer sent.
    package func checkCRC() throws(RecordError) {
        let computed = bytes.withUnsafeReadableBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0.dropFirst(RecordBatchHeader.checkedOffset)))
        }
        guard computed == header.crc else {
            throw .checksumMismatch(
                baseOffset: header.baseOffset, stored: header.crc, computed: computed)
        }
    }
}

/// The batches of a buffer, one behind the other, as they are produced, fetched and stored.
package struct RecordBatches: Sendable {
    private let buffer: ByteBuffer
    /// The index in the buffer behind the last batch that was read.
    package private(set) var index: Int

    package init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        index = buffer.readerIndex
    }

    /// The bytes of the batches that were read.
    package var bytesRead: Int { index - buffer.readerIndex }

    /// The next batch, or nil at the end. A batch that is not there whole is an error
    /// (`torn`): whoever expects one, as a fetch may end in one, asks for `wholeBytes` first.
    package mutating func next() throws(RecordError) -> RecordBatch? {
        guard index < buffer.writerIndex else { return nil }
        let batch = try RecordBatch(at: index, in: buffer)
        index += batch.header.sizeInBytes
        return batch
    }

    /// The next header, with the whole of its batch in the buffer: no slice is made.
    package mutating func nextHeader() throws(RecordError) -> RecordBatchHeader? {
        guard index < buffer.writerIndex else { return nil }
        let header = try RecordBatchHeader(at: index, in: buffer)
        guard header.sizeInBytes <= buffer.writerIndex - index else {
            throw .torn(
                at: index, needed: header.sizeInBytes, available: buffer.writerIndex - index)
        }
        index += header.sizeInBytes
        return header
    }

    /// How many of the buffer's first bytes are whole batches. A torn tail is not an error here.
    package static func wholeBytes(in buffer: ByteBuffer) throws(RecordError) -> Int {
        var batches = RecordBatches(buffer)
        do {
            while try batches.nextHeader() != nil {}
        } catch .torn {
        }
        return batches.bytesRead
    }
}

/// What a broker may change in a batch.
extension RecordBatches {
    /// Gives the batch at an index its place in the log. The checksum does not cover these fields.
    /// Where there are no bytes for them, nothing happens.
    package static func rewrite(
        baseOffset: Int64, leaderEpoch: Int32, at index: Int, in buffer: inout ByteBuffer
    ) {
        guard contains(index, 16, buffer) else { return }
        buffer.setInteger(baseOffset, at: index)
        buffer.setInteger(leaderEpoch, at: index + RecordBatchHeader.lengthPrefix)
    }

    /// Gives all records of the batch the time of their arrival, as topics with
    /// `message.timestamp.type=LogAppendTime` want it. The checksum covers this: it is made anew.
    package static func rewrite(
        logAppendTime: Int64, at index: Int, in buffer: inout ByteBuffer
    ) throws(RecordError) {
        let batch = try RecordBatch(at: index, in: buffer)
        let attributes = batch.header.attributes.union(.logAppendTime)
        buffer.setInteger(attributes.rawValue, at: index + 21)
        buffer.setInteger(logAppendTime, at: index + 35)
        resetCRC(of: batch.header, at: index, in: &buffer)
    }

    static func resetCRC(
        of header: RecordBatchHeader, at index: Int, in buffer: inout ByteBuffer
    ) {
        let start = index - buffer.readerIndex
        let crc = buffer.withUnsafeReadableBytes { bytes in
            crc32c(
                UnsafeRawBufferPointer(
                    rebasing: bytes[
                        (start + RecordBatchHeader.checkedOffset)..<(start + header.sizeInBytes)]))
        }
        buffer.setInteger(crc, at: index + RecordBatchHeader.crcOffset)
    }

    private static func contains(_ index: Int, _ count: Int, _ buffer: ByteBuffer) -> Bool {
        index >= buffer.readerIndex && index <= buffer.writerIndex - count
    }
}
