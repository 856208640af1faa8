/// What was read from a TUN queue and waits for its turn, in the order in which it came: reading on
/// shows whether a sparse flow's packet is behind it. Each read stays where it was put. For one
/// thread.
package struct ReadAhead: ~Copyable {
    /// A packet of 64 KiB and its virtio header.
    package static let readBytes = 65_536 + 64
    /// Two senders' buffers, as Linux has them at most by default (tcp_wmem).
    package static let capacity = 8 << 20
    package static let most = 256

    /// So far from its start reads go again once what is kept is as little as `little`, rather than
    /// once through all of it.
    private static let near = 512 << 10
    private static let little = 64 << 10

    package let memory: UnsafeMutableRawPointer
    private let reads: UnsafeMutablePointer<UnsafeMutableRawBufferPointer>
    /// Counted on for ever; their places are these modulo `most`.
    private var first = 0
    private var end = 0
    /// Where the next read goes.
    private var offset = 0
    /// The end of what was kept furthest from the start since this was last set to 0.
    package var reach = 0

    package init() {
        memory = .allocate(byteCount: Self.capacity, alignment: 4096)
        reads = .allocate(capacity: Self.most)
        reads.initialize(
            repeating: UnsafeMutableRawBufferPointer(start: nil, count: 0), count: Self.most)
    }

    deinit {
        memory.deallocate()
        reads.deallocate()
    }

    package var isEmpty: Bool { first == end }

    /// Reads are numbered for ever: the oldest that is kept, or the next if none is.
    package var placeOfOldest: Int { first }
    package var placeOfNext: Int { end }

    /// Where `readBytes` may be read to; nil: what is there has to go first.
    package var place: UnsafeMutableRawPointer? {
        guard !isEmpty else { return memory + offset }
        guard end - first < Self.most else { return nil }
        let start = startOfOldest
        return offset > start || offset + Self.readBytes <= start ? memory + offset : nil
    }

    /// The first `count` bytes at `place`.
    package func read(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory + offset, count: count)
    }

    /// Keeps the first `count` bytes at `place`.
    package mutating func keep(_ count: Int) {
        reads[end % Self.most] = read(count)
        end += 1
        offset += (count + 63) & ~63
        reach = max(reach, offset)
        let start = startOfOldest
        let isNear = start >= Self.near && offset > start && offset - start <= Self.little
        if isNear || offset + Self.readBytes > Self.capacity { offset = 0 }
    }

    package var oldest: UnsafeMutableRawBufferPointer? {
        isEmpty ? nil : reads[first % Self.most]
    }

    package mutating func removeOldest() {
        first += 1
        if isEmpty { offset = 0 }
    }

    private var startOfOldest: Int {
        reads[first % Self.most].baseAddress.map { UnsafeMutableRawPointer($0) - memory } ?? 0
    }
}
