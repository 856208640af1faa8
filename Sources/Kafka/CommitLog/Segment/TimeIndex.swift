import NIOCore

/// The largest timestamp so far at some offsets of a segment.
///
/// On disk twelve bytes an entry: a timestamp, and the last offset, relative to the base, of the
/// batch that has it. Nothing up to and including that batch is later than the timestamp.
package struct TimeIndex: Equatable, Sendable {
    package static let entrySize = 12

    package struct Entry: Equatable, Sendable {
        package var timestamp: Int64
        package var offset: Int64
    }

    let baseOffset: Int64
    package private(set) var entries: [Entry] = []
    private(set) var written = 0
    private(set) var needsTruncation = false

    package init(baseOffset: Int64) { self.baseOffset = baseOffset }

    /// Empty, in place of a file with something in it.
    init(rewriting baseOffset: Int64) {
        self.baseOffset = baseOffset
        needsTruncation = true
    }

    package var last: Entry? { entries.last }
    var sizeInBytes: Int { entries.count * Self.entrySize }

    /// The last entry with a timestamp that is not above the asked one.
    package func entry(notAbove timestamp: Int64) -> Entry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].timestamp <= timestamp { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : entries[low - 1]
    }

    mutating func append(timestamp: Int64, offset: Int64) {
        let relative = offset - baseOffset
        guard timestamp >= 0, relative >= 0, relative <= Int64(Int32.max) else { return }
        if let last, timestamp <= last.timestamp || offset < last.offset { return }
        entries.append(Entry(timestamp: timestamp, offset: offset))
    }

    /// Forgets offsets from `offset` on.
    mutating func truncate(to offset: Int64) {
        var count = entries.count
        while count > 0, entries[count - 1].offset >= offset { count -= 1 }
        shrink(to: count)
    }

    mutating func removeAll() { shrink(to: 0) }

    private mutating func shrink(to count: Int) {
        guard count < entries.count else { return }
        entries.removeLast(entries.count - count)
        if written > count {
            written = count
            needsTruncation = true
        }
    }

    func unwritten() -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity((entries.count - written) * Self.entrySize)
        for entry in entries[written...] {
            bytes.writeInteger(entry.timestamp)
            bytes.writeInteger(Int32(truncatingIfNeeded: entry.offset - baseOffset))
        }
        return bytes
    }

    mutating func didWrite() {
        written = entries.count
        needsTruncation = false
    }

    /// A file's bytes. Nil where they cannot be a time index.
    package init?(baseOffset: Int64, bytes: ByteBuffer) {
        self.init(baseOffset: baseOffset)
        var bytes = bytes
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        while let timestamp = bytes.readInteger(as: Int64.self),
            let relative = bytes.readInteger(as: Int32.self)
        {
            let (offset, overflow) = baseOffset.addingReportingOverflow(Int64(relative))
            guard timestamp >= 0, relative >= 0, !overflow else { return nil }
            if let last, timestamp <= last.timestamp || offset < last.offset { return nil }
            entries.append(Entry(timestamp: timestamp, offset: offset))
        }
        written = entries.count
    }
}
