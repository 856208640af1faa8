import NIOCore

/// A transaction that was aborted: whose, and where its records and its marker are.
package struct AbortedTransaction: Equatable, Sendable {
    package var producerId: Int64
    package var firstOffset: Int64
    /// Of the abort marker.
    package var lastOffset: Int64
    /// Of the log when the marker was written: no earlier fetch needs to look further.
    package var lastStableOffset: Int64

    package init(
        producerId: Int64, firstOffset: Int64, lastOffset: Int64, lastStableOffset: Int64
    ) {
        self.producerId = producerId
        self.firstOffset = firstOffset
        self.lastOffset = lastOffset
        self.lastStableOffset = lastStableOffset
    }
}

/// The aborted transactions whose markers stand in a segment (`.txnindex`, only where there are
/// any): 34 bytes an entry, version 0 first.
package struct TransactionIndex: Equatable, Sendable {
    package static let entrySize = 34
    /// A segment cannot hold more markers than this many bytes of index tell of.
    static let maxBytes = 1 << 30

    package private(set) var entries: [AbortedTransaction] = []
    private(set) var written = 0
    private(set) var needsTruncation = false

    package init() {}

    /// Empty, in place of a file with something in it.
    static var rewriting: TransactionIndex {
        var index = TransactionIndex()
        index.needsTruncation = true
        return index
    }

    mutating func append(_ entry: AbortedTransaction) {
        if let last = entries.last, entry.lastOffset <= last.lastOffset { return }
        entries.append(entry)
    }

    mutating func truncate(to offset: Int64) {
        var count = entries.count
        while count > 0, entries[count - 1].lastOffset >= offset { count -= 1 }
        guard count < entries.count else { return }
        entries.removeLast(entries.count - count)
        if written > count {
            written = count
            needsTruncation = true
        }
    }

    func unwritten() -> ByteBuffer {
        var bytes = ByteBuffer()
        for entry in entries[written...] {
            bytes.writeMultipleIntegers(
                Int16(0), entry.producerId, entry.firstOffset, entry.lastOffset,
                entry.lastStableOffset)
        }
        return bytes
    }

    mutating func didWrite() {
        written = entries.count
        needsTruncation = false
    }

    package init?(baseOffset: Int64, bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        while let (version, producer, first, last, stable) = bytes.readMultipleIntegers(
            as: (Int16, Int64, Int64, Int64, Int64).self)
        {
            guard version == 0, last >= baseOffset, first >= 0, first <= last else { return nil }
            if let previous = entries.last, last <= previous.lastOffset { return nil }
            entries.append(
                AbortedTransaction(
                    producerId: producer, firstOffset: first, lastOffset: last,
                    lastStableOffset: stable))
        }
        written = entries.count
    }
}
