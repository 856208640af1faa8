import KafkaRecords
import KafkaWire
import NIOCore

/// Whole batches from a log.
package struct LogRead: Equatable, Sendable {
    package var records: Records
    /// Of the first batch: at or before the offset that was asked for.
    package var firstOffset: Int64
    package var isFromMemory: Bool
    /// Behind the last batch; nil for a stretch of a file, whose batches nobody has looked at.
    package var nextOffset: Int64?

    static func nothing(at offset: Int64) -> LogRead {
        LogRead(records: .empty, firstOffset: offset, isFromMemory: true)
    }
}

extension PartitionLog {
    /// Batches from the one that holds `offset` on, up to `maxBytes`, none that reaches to
    /// `limit` or behind it. With `atLeastOneBatch` the first may be larger than `maxBytes`.
    package func read(
        from offset: Int64, maxBytes: Int, before limit: Int64, atLeastOneBatch: Bool
    ) throws(LogError) -> LogRead {
        guard offset >= logStartOffset, offset <= logEndOffset else {
            throw .offsetOutOfRange(offset: offset, start: logStartOffset, end: logEndOffset)
        }
        return try guarded { () throws(LogError) in
            guard offset < min(limit, logEndOffset) else { return .nothing(at: offset) }
            if let first = recent.firstOffset, offset >= first {
                return readRecent(from: offset, maxBytes, before: limit, atLeastOneBatch)
            }
            return try readFile(from: offset, maxBytes, before: limit, atLeastOneBatch)
        }
    }

    /// As `read`, but always in memory.
    package func readBytes(
        from offset: Int64, maxBytes: Int, before limit: Int64, atLeastOneBatch: Bool = true
    ) throws(LogError) -> ByteBuffer {
        let read = try read(
            from: offset, maxBytes: maxBytes, before: limit, atLeastOneBatch: atLeastOneBatch)
        switch read.records {
        case .bytes(let bytes):
            return bytes
        case .file(let region):
            guard let file = region.file as? any DiskFile else { return ByteBuffer() }
            return try guarded { () throws(LogError) in
                try onDisk { () throws(DiskError) in
                    try file.read(at: region.offset, count: region.length)
                }
            }
        }
    }

    // MARK: From memory

    private func readRecent(
        from offset: Int64, _ maxBytes: Int, before limit: Int64, _ atLeastOneBatch: Bool
    ) -> LogRead {
        var result = LogRead.nothing(at: offset)
        var out = ByteBuffer()
        var place = recent.index(atOrAfter: offset)
        while let append = recent[place], append.firstOffset < limit {
            let room = maxBytes - out.readableBytes
            let isFirst = out.readableBytes == 0
            let part = Self.batches(
                of: append, from: offset, room: room, before: limit,
                atLeastOne: isFirst && atLeastOneBatch)
            guard let part else { break }
            if isFirst {
                result.firstOffset = part.firstOffset
                out = part.bytes
            } else {
                // Several appends in one answer have to lie one behind the other.
                if place == recent.index(atOrAfter: offset) + 1 {
                    out.reserveCapacity(min(maxBytes, out.readableBytes + recent.cost))
                }
                out.writeImmutableBuffer(part.bytes)
            }
            result.nextOffset = part.nextOffset
            if part.isCut { break }
            place += 1
        }
        result.records = .bytes(out)
        return result
    }

    private struct Part {
        var bytes: ByteBuffer
        var firstOffset: Int64
        var nextOffset: Int64
        /// More of the append was there but did not fit, or was behind the limit.
        var isCut: Bool
    }

    private static func batches(
        of append: RecentBatches.Append, from offset: Int64, room: Int, before limit: Int64,
        atLeastOne: Bool
    ) -> Part? {
        let bytes = append.bytes
        // The common case: all of it.
        if offset <= append.firstOffset, append.lastOffset < limit, bytes.readableBytes <= room {
            return Part(
                bytes: bytes, firstOffset: append.firstOffset, nextOffset: append.lastOffset + 1,
                isCut: false)
        }
        var index = bytes.readerIndex
        var start: Int?
        var first = offset
        var next = offset
        while index < bytes.writerIndex {
            guard let header = try? RecordBatchHeader(at: index, in: bytes) else { break }
            let end = index + header.sizeInBytes
            if header.lastOffset >= limit { break }
            if start == nil, header.lastOffset >= offset {
                guard header.sizeInBytes <= room || atLeastOne else { break }
                start = index
                first = header.baseOffset
            } else if let start, end - start > room {
                break
            }
            index = end
            next = header.lastOffset + 1
        }
        guard let start, let slice = bytes.getSlice(at: start, length: index - start) else {
            return nil
        }
        return Part(
            bytes: slice, firstOffset: first, nextOffset: next, isCut: index < bytes.writerIndex)
    }

    // MARK: From the file

    private func readFile(
        from offset: Int64, _ maxBytes: Int, before limit: Int64, _ atLeastOneBatch: Bool
    ) throws(LogError) -> LogRead {
        for index in segmentIndex(for: offset)..<segments.count {
            let segment = segments[index]
            guard segment.size > 0 else { continue }
            let interval = config.indexIntervalBytes
            guard let first = try segment.batch(atOrAfter: offset, interval: interval) else {
                continue
            }
            let size = first.header.sizeInBytes
            guard first.header.lastOffset < limit, size <= maxBytes || atLeastOneBatch else {
                return .nothing(at: offset)
            }
            var end = try Self.end(in: segment, first: first, maxBytes: maxBytes)
            let isLast = index + 1 == segments.count
            let segmentEnd = isLast ? logEndOffset : segments[index + 1].baseOffset
            if limit < segmentEnd, try segment.offsets().entry(notAbove: limit).position < end {
                // A batch that holds the limit, or the first one behind it.
                if let bound = try segment.batch(atOrAfter: limit, interval: interval) {
                    end = min(end, bound.position)
                }
            }
            let region = FileRegion(
                file: try segment.file(), offset: first.position,
                length: Int(end - first.position))
            return LogRead(
                records: .file(region), firstOffset: first.header.baseOffset, isFromMemory: false)
        }
        return .nothing(at: offset)
    }

    /// Where a read ends that may take `maxBytes`: at the segment's end, or at a batch that the
    /// index knows, so that the last batch is whole without a walk over all of them.
    private static func end(
        in segment: LogSegment, first: BatchCursor.Found, maxBytes: Int
    ) throws(LogError) -> Int64 {
        let wanted = first.position + Int64(maxBytes)
        if wanted >= segment.size { return segment.size }
        let known = try segment.offsets().position(notAbove: wanted)
        return max(known, first.end)
    }
}
