import KafkaRecords
import NIOCore

extension PartitionLog {
    /// No batch begins above this, so that no sum of offsets is too large for its type.
    static let largestOffset = Int64.max - 1 << 40

    /// Checks everything before anything changes. Returns the earlier result where a client
    /// sends a batch for the second time.
    func validate(
        _ buffer: ByteBuffer, origin: AppendOrigin, nowMs: Int64, epoch: Int32
    ) throws(LogError) -> AppendResult? {
        if let latest = epochs.latest, epoch < latest {
            throw .staleLeaderEpoch(epoch: epoch, latest: latest)
        }
        guard buffer.readableBytes > 0 else { throw .invalidRecord("no batches") }
        guard logEndOffset <= Self.largestOffset else { throw .invalidRecord("no offset is left") }
        guard buffer.readableBytes <= config.segmentBytes else {
            throw .largerThanSegment(size: buffer.readableBytes, limit: config.segmentBytes)
        }
        var index = buffer.readerIndex
        while index < buffer.writerIndex {
            let header: RecordBatchHeader
            do {
                header = try RecordBatchHeader(at: index, in: buffer)
            } catch {
                throw .corruptBatch("\(error)")
            }
            guard header.sizeInBytes <= buffer.writerIndex - index else {
                throw .corruptBatch("batch of \(header.sizeInBytes) bytes is cut off")
            }
            guard header.sizeInBytes <= config.maxMessageBytes || origin == .raft else {
                throw .messageTooLarge(size: header.sizeInBytes, limit: config.maxMessageBytes)
            }
            try checkBytes(buffer, at: index, header)
            if origin == .client {
                guard header.sizeInBytes == buffer.readableBytes else {
                    throw .invalidRecord("more than one batch in an append")
                }
                try checkClient(header)
            }
            try checkTimestamps(header, nowMs: nowMs, origin: origin)
            if origin == .client, config.isCompacted { try checkKeys(buffer, at: index, header) }
            if let earlier = try checkProducer(buffer, at: index, header, origin) { return earlier }
            index += header.sizeInBytes
        }
        return nil
    }

    /// What must hold of any batch that is written.
    func checkBytes(
        _ buffer: ByteBuffer, at index: Int, _ header: RecordBatchHeader
    ) throws(LogError) {
        do {
            try RecordBatch(at: index, in: buffer).checkCRC()
        } catch {
            throw .corruptBatch("\(error)")
        }
        do {
            try header.checkCounts()
        } catch {
            throw .invalidRecord("\(error)")
        }
        guard header.baseOffset <= Self.largestOffset else {
            throw .invalidRecord("offset \(header.baseOffset)")
        }
    }

    /// Kafka's LogValidator for clients: offsets from 0, as many as there are records, no
    /// control batches, and sequences where there is a producer.
    private func checkClient(_ header: RecordBatchHeader) throws(LogError) {
        guard header.baseOffset == 0 else {
            throw .invalidRecord("base offset \(header.baseOffset) from a client")
        }
        do {
            try header.checkProducedCounts()
        } catch {
            throw .invalidRecord("\(error)")
        }
        guard !header.isControl else { throw .invalidRecord("control batch from a client") }
        guard header.producerId < 0 || header.baseSequence >= 0 else {
            throw .invalidRecord("sequence \(header.baseSequence) of producer \(header.producerId)")
        }
        guard header.producerId < 0 || header.producerEpoch >= 0 else {
            throw .invalidRecord("epoch \(header.producerEpoch) of producer \(header.producerId)")
        }
    }

    /// The header's timestamps stand for those of the records, which are not looked at.
    private func checkTimestamps(
        _ header: RecordBatchHeader, nowMs: Int64, origin: AppendOrigin
    ) throws(LogError) {
        guard origin == .client, config.timestampType == .createTime else { return }
        guard !header.isLogAppendTime else {
            throw .invalidTimestamp("a producer cannot set the time of the append")
        }
        let (ahead, tooFar) = header.maxTimestamp.subtractingReportingOverflow(nowMs)
        guard header.maxTimestamp < 0 || (!tooFar && ahead <= config.timestampAfterMaxMs) else {
            throw .invalidTimestamp(
                "\(header.maxTimestamp) is more than \(config.timestampAfterMaxMs) ms ahead")
        }
        let (behind, tooOld) = nowMs.subtractingReportingOverflow(header.baseTimestamp)
        guard header.baseTimestamp < 0 || (!tooOld && behind <= config.timestampBeforeMaxMs) else {
            throw .invalidTimestamp(
                "\(header.baseTimestamp) is more than \(config.timestampBeforeMaxMs) ms behind")
        }
    }

    /// A compacted topic needs keys: this is the one check that looks at records.
    private func checkKeys(
        _ buffer: ByteBuffer, at index: Int, _ header: RecordBatchHeader
    ) throws(LogError) {
        guard let batch = buffer.getSlice(at: index, length: header.sizeInBytes) else { return }
        if try LogRecords.first(batch, where: { $0.key == nil }) != nil {
            throw .invalidRecord("a compacted topic takes no records without a key")
        }
    }

    private func checkProducer(
        _ buffer: ByteBuffer, at index: Int, _ header: RecordBatchHeader, _ origin: AppendOrigin
    ) throws(LogError) -> AppendResult? {
        guard header.producerId >= 0 else { return nil }
        if origin == .client, let entry = producers.forgetful(header) {
            producers.recall(
                try batches(of: header.producerId, before: entry), of: header.producerId)
        }
        if origin == .client, let batch = producers.duplicate(of: header) {
            return AppendResult(
                firstOffset: batch.firstOffset, lastOffset: batch.lastOffset,
                logAppendTimeMs: config.timestampType == .logAppendTime ? batch.timestamp : -1,
                logStartOffset: logStartOffset, bytes: 0, isDuplicate: true)
        }
        try producers.check(header, origin: origin)
        if header.isControl, let batch = buffer.getSlice(at: index, length: header.sizeInBytes),
            case .end(_, let coordinatorEpoch, _) = try ControlMarker(batch, header: header)
        {
            try producers.checkMarker(header, coordinatorEpoch: coordinatorEpoch, origin: origin)
        }
        return nil
    }
}
