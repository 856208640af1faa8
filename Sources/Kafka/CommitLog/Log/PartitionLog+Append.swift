import KafkaRecords
import NIOCore

/// Where an append went.
package struct AppendResult: Equatable, Sendable {
    package var firstOffset: Int64
    package var lastOffset: Int64
    /// The time that was given to the records, or -1 where they keep their own.
    package var logAppendTimeMs: Int64 = -1
    package var logStartOffset: Int64
    package var bytes: Int
    /// The batch had been appended before; the offsets are those of then.
    package var isDuplicate = false
    /// `flush.messages` or `flush.ms` ask for a flush now.
    package var isFlushDue = false
}

extension PartitionLog {
    /// Appends what a producer, a coordinator or the Raft leader sends: gives offsets and the
    /// leader's epoch, and checks all that Kafka's leaders check of the batches' headers.
    ///
    /// Hand the buffer over (`consume`): if nobody else has it, it is changed in place.
    package func appendAsLeader(
        _ batches: consuming ByteBuffer, leaderEpoch: Int32, nowMs: Int64, origin: AppendOrigin
    ) throws(LogError) -> AppendResult {
        if let reason = brokenReason ?? directory.offlineReason { throw .offline(reason) }
        if let duplicate = try validate(batches, origin: origin, nowMs: nowMs, epoch: leaderEpoch) {
            return duplicate
        }
        return try place(consume batches, leaderEpoch: leaderEpoch, nowMs: nowMs)
    }

    private func place(
        _ batches: consuming ByteBuffer, leaderEpoch: Int32, nowMs: Int64
    ) throws(LogError) -> AppendResult {
        var buffer = Self.trimmed(consume batches)
        let isStamped = config.timestampType == .logAppendTime
        var next = logEndOffset
        var index = buffer.readerIndex
        var largest: Int64 = -1
        while index < buffer.writerIndex {
            let header = try header(at: index, in: buffer)
            RecordBatches.rewrite(
                baseOffset: next, leaderEpoch: leaderEpoch, at: index, in: &buffer)
            if isStamped, !header.isControl {
                BatchStamp.set(nowMs, on: header, at: index, in: &buffer)
            }
            largest = max(largest, isStamped ? nowMs : header.maxTimestamp)
            next += Int64(header.lastOffsetDelta) + 1
            index += header.sizeInBytes
        }
        var result = try write(
            buffer, firstOffset: logEndOffset, lastOffset: next - 1, largestTimestamp: largest,
            nowMs: nowMs)
        if isStamped { result.logAppendTimeMs = nowMs }
        return result
    }

    /// Appends what a leader has sent, offsets and epochs as they are. A batch that is cut off
    /// at the end is left out: a leader may fill an answer to the last byte.
    package func appendAsFollower(
        _ batches: consuming ByteBuffer, nowMs: Int64
    ) throws(LogError) -> AppendResult {
        if let reason = brokenReason ?? directory.offlineReason { throw .offline(reason) }
        var buffer = batches
        let start = buffer.readerIndex
        var index = start
        var next = logEndOffset
        var first: Int64?
        var largest: Int64 = -1
        while buffer.writerIndex - index >= RecordBatchHeader.size {
            let header = try header(at: index, in: buffer)
            guard header.sizeInBytes <= buffer.writerIndex - index else { break }
            try checkBytes(buffer, at: index, header)
            guard header.baseOffset >= next else {
                throw .unexpectedOffset(first: header.baseOffset, expected: next)
            }
            first = first ?? header.baseOffset
            next = header.lastOffset + 1
            largest = max(largest, header.maxTimestamp)
            index += header.sizeInBytes
        }
        guard let first else {
            return AppendResult(
                firstOffset: logEndOffset, lastOffset: logEndOffset - 1,
                logStartOffset: logStartOffset, bytes: 0)
        }
        if index < buffer.writerIndex {
            buffer = buffer.getSlice(at: start, length: index - start) ?? buffer
        }
        return try write(
            Self.trimmed(consume buffer), firstOffset: first, lastOffset: next - 1,
            largestTimestamp: largest,
            nowMs: nowMs)
    }

    /// A small part of a large request would keep all of the request in memory.
    private static func trimmed(_ buffer: consuming ByteBuffer) -> ByteBuffer {
        guard buffer.storageCapacity > 2 * buffer.readableBytes + 1024 else { return buffer }
        var copy = ByteBuffer()
        copy.reserveCapacity(buffer.readableBytes)
        copy.writeImmutableBuffer(buffer)
        return copy
    }

    // MARK: Writing

    private func header(at index: Int, in buffer: ByteBuffer) throws(LogError) -> RecordBatchHeader
    {
        do {
            return try RecordBatchHeader(at: index, in: buffer)
        } catch {
            throw .corruptBatch("\(error)")
        }
    }

    /// One write for all, then memory learns of it.
    private func write(
        _ buffer: ByteBuffer, firstOffset: Int64, lastOffset: Int64, largestTimestamp: Int64,
        nowMs: Int64
    ) throws(LogError) -> AppendResult {
        try guarded { () throws(LogError) in
            // What control batches say is read before anything is written.
            let markers = try markers(in: buffer)
            if try shouldRoll(
                bytes: buffer.readableBytes, lastOffset: lastOffset,
                largestTimestamp: largestTimestamp, nowMs: nowMs)
            {
                // A segment begins where the one before it ends, though a leader's compaction may
                // have left a gap: so that after a crash a gap tells of something lost.
                let fits = lastOffset - logEndOffset <= Int64(Int32.max)
                try roll(at: fits ? nil : firstOffset, nowMs: nowMs)
            }
            let segment = active
            // Before the first append after a start: what is larger is not known otherwise.
            _ = try segment.largestTimestamp()
            try segment.loadIndexes()
            let position = segment.size
            try writeWhole(buffer, to: segment, at: position)
            segment.size += Int64(buffer.readableBytes)
            segment.modifiedMs = nowMs
            segment.isUnsynced = true
            bytesSinceSnapshot += buffer.readableBytes
            try learn(buffer, in: segment, at: position, markers: markers)
            logEndOffset = lastOffset + 1
            keep(buffer, firstOffset: firstOffset, lastOffset: lastOffset)
            return AppendResult(
                firstOffset: firstOffset, lastOffset: lastOffset, logStartOffset: logStartOffset,
                bytes: buffer.readableBytes, isFlushDue: isFlushDue(nowMs: nowMs))
        }
    }

    /// Writes all or leaves the file as it was; where not even that works the log is done for.
    private func writeWhole(
        _ buffer: ByteBuffer, to segment: LogSegment, at position: Int64
    ) throws(LogError) {
        let file = try segment.file()
        do {
            try file.write(at: position, buffer)
        } catch {
            do {
                try file.truncate(to: position)
            } catch let second {
                brokenReason = "\(error); then \(second)"
            }
            throw .storage(error)
        }
    }

    private func learn(
        _ buffer: ByteBuffer, in segment: LogSegment, at position: Int64,
        markers: [ControlMarker]
    ) throws(LogError) {
        var index = buffer.readerIndex
        var position = position
        var controls = 0
        while index < buffer.writerIndex {
            let header = try header(at: index, in: buffer)
            segment.note(
                .init(header: header, position: position), interval: config.indexIntervalBytes)
            epochs.assign(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset)
            if header.isControl {
                try learn(markers[controls], header, in: segment)
                controls += 1
            } else {
                producers.didAppend(header)
            }
            index += header.sizeInBytes
            position += Int64(header.sizeInBytes)
        }
        if segment.loadedOffsets.map({ $0.count - $0.written >= 512 }) ?? false {
            try segment.writeIndexes()
        }
    }

    /// A marker ends a transaction; an aborted one goes into the segment's transaction index.
    func learn(
        _ marker: ControlMarker, _ header: RecordBatchHeader, in segment: LogSegment
    ) throws(LogError) {
        guard case .end(let isAbort, let coordinatorEpoch, let timestamp) = marker,
            header.producerId >= 0
        else { return producers.setEndOffset(header.lastOffset + 1) }
        let completed = producers.didAppendMarker(
            header, coordinatorEpoch: coordinatorEpoch, isAbort: isAbort, timestamp: timestamp)
        guard let completed, completed.isAborted else { return }
        _ = try segment.transactions()
        segment.withTransactions {
            $0.append(
                AbortedTransaction(
                    producerId: completed.producerId, firstOffset: completed.firstOffset,
                    lastOffset: completed.lastOffset,
                    lastStableOffset: producers.lastStableOffset(after: completed)))
        }
    }

    private func markers(in buffer: ByteBuffer) throws(LogError) -> [ControlMarker] {
        var markers: [ControlMarker] = []
        var index = buffer.readerIndex
        while index < buffer.writerIndex {
            let header = try header(at: index, in: buffer)
            if header.isControl, let batch = buffer.getSlice(at: index, length: header.sizeInBytes)
            {
                markers.append(try ControlMarker(batch, header: header))
            }
            index += header.sizeInBytes
        }
        return markers
    }

    private func keep(_ buffer: ByteBuffer, firstOffset: Int64, lastOffset: Int64) {
        let memory = directory.recentMemory
        let append = RecentBatches.Append(
            firstOffset: firstOffset, lastOffset: lastOffset, bytes: buffer)
        appendCount = directory.nextAppendCount()
        if append.cost > memory.limitPerLog {
            dropRecent()
            return
        }
        recent.add(append)
        memory.add(append.cost)
        while recent.cost > memory.limitPerLog { dropOldestRecent() }
        memory.makeRoom(for: self)
    }

    /// Kafka's LogSegment.shouldRoll: by size, by the time between timestamps (or since the
    /// segment was made, where it has none), by full indexes, and where offsets grow too large
    /// for an index entry.
    private func shouldRoll(
        bytes: Int, lastOffset: Int64, largestTimestamp: Int64, nowMs: Int64
    ) throws(LogError) -> Bool {
        let segment = active
        if lastOffset - segment.baseOffset > Int64(Int32.max) { return true }
        guard segment.size > 0 else { return false }
        if segment.size > Int64(config.segmentBytes) - Int64(bytes) { return true }
        let first = try firstTimestamp(of: segment)
        let waited =
            first >= 0
            ? largestTimestamp.subtractingReportingOverflow(first).partialValue
            : nowMs.subtractingReportingOverflow(segment.bornMs).partialValue
        if waited > config.maxSegmentMs - jitter(of: segment) { return true }
        try segment.loadIndexes()
        let offsets = segment.loadedOffsets?.sizeInBytes ?? 0
        let times = segment.loadedTimes?.sizeInBytes ?? 0
        return offsets + OffsetIndex.entrySize > config.segmentIndexBytes
            || times + 2 * TimeIndex.entrySize > config.segmentIndexBytes
    }

    func firstTimestamp(of segment: LogSegment) throws(LogError) -> Int64 {
        if let known = segment.firstTimestamp { return known }
        var cursor = try segment.cursor(from: 0, pieceSize: BatchCursor.headerSize)
        let first = try cursor.next()?.header.maxTimestamp ?? -1
        segment.firstTimestamp = first
        return first
    }

    /// Spread over segments and partitions, but the same after a restart.
    private func jitter(of segment: LogSegment) -> Int64 {
        let bound = min(config.segmentJitterMs, config.maxSegmentMs)
        guard bound > 0 else { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in topicPartition.description.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        hash = (hash ^ UInt64(bitPattern: segment.baseOffset)) &* 0x9e37_79b9_7f4a_7c15
        return Int64((hash >> 1) % UInt64(bound))
    }
}
