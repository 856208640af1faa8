import NIOCore

/// The sparse index of a segment: offset -> position in the file.
///
/// On disk eight bytes an entry: the last offset of a batch, relative to the segment's base, and
/// where that batch begins. What precedes that position has smaller offsets, so a search begins
/// at the largest entry that is not above the wanted offset. A hint, never the truth: readers
/// check what they find, and rebuild an index that lies.
package struct OffsetIndex: Equatable, Sendable {
    package static let entrySize = 8

    package struct Entry: Equatable, Sendable {
        package var offset: Int64
        package var position: Int64
    }

    let baseOffset: Int64
    /// Relative offset above, position below: both rise, so the words rise.
    private var words: [UInt64] = []
    /// Entries that the file holds already.
    private(set) var written = 0
    private(set) var needsTruncation = false

    package init(baseOffset: Int64) { self.baseOffset = baseOffset }

    /// Empty, in place of a file with something in it.
    init(rewriting baseOffset: Int64) {
        self.baseOffset = baseOffset
        needsTruncation = true
    }

    package var count: Int { words.count }
    var sizeInBytes: Int { words.count * Self.entrySize }

    package subscript(_ index: Int) -> Entry {
        let word = words[index]
        return Entry(offset: baseOffset + Int64(word >> 32), position: Int64(word & 0xffff_ffff))
    }

    package var last: Entry? { words.isEmpty ? nil : self[words.count - 1] }

    /// The largest entry not above the offset, or the segment's beginning.
    package func entry(notAbove offset: Int64) -> Entry {
        var low = 0
        var high = words.count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].offset <= offset { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? Entry(offset: baseOffset, position: 0) : self[low - 1]
    }

    mutating func append(offset: Int64, position: Int64) {
        let relative = offset - baseOffset
        guard relative >= 0, relative <= Int64(Int32.max), position >= 0,
            position <= Int64(Int32.max)
        else { return }
        if let last, offset <= last.offset || position <= last.position { return }
        words.append(UInt64(relative) << 32 | UInt64(position))
    }

    /// Forgets what points at or behind a position.
    mutating func truncate(toPosition position: Int64) {
        var count = words.count
        while count > 0, self[count - 1].position >= position { count -= 1 }
        shrink(to: count)
    }

    mutating func removeAll() { shrink(to: 0) }

    private mutating func shrink(to count: Int) {
        guard count < words.count else { return }
        words.removeLast(words.count - count)
        if written > count {
            written = count
            needsTruncation = true
        }
    }

    /// The entries that are not in the file yet, as they go there.
    func unwritten() -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity((words.count - written) * Self.entrySize)
        for word in words[written...] { bytes.writeInteger(word) }
        return bytes
    }

    mutating func didWrite() {
        written = words.count
        needsTruncation = false
    }

    /// A file's bytes. Nil where they cannot be an index of a segment of that size.
    package init?(baseOffset: Int64, bytes: ByteBuffer, segmentSize: Int64) {
        self.init(baseOffset: baseOffset)
        var bytes = bytes
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        words.reserveCapacity(bytes.readableBytes / Self.entrySize)
        while let word = bytes.readInteger(as: UInt64.self) {
            let position = Int64(word & 0xffff_ffff)
            guard word >> 32 <= UInt64(Int32.max), position < segmentSize else { return nil }
            if let last = words.last,
                word >> 32 <= last >> 32 || word & 0xffff_ffff <= last & 0xffff_ffff
            {
                return nil
            }
            words.append(word)
        }
        written = words.count
    }
}

extension OffsetIndex {
    /// The largest position that is not above the given one.
    func position(notAbove position: Int64) -> Int64 {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : self[low - 1].position
    }
}
