import NIOCore

/// The last offset of every key in the part of a log that is about to be compacted.
///
/// Of the keys only hashes are kept, as in Kafka; here of 128 bits under a secret. The table is in
/// many small parts that grow one by one, so that no slice of the work has to move all of it.
package struct KeyOffsets {
    private struct Slot {
        var hash: SipHash.Value
        /// -1: empty.
        var offset: Int64
    }

    /// At most three quarters of the slots are used; a key is at its place or in one of the next.
    private struct Part {
        var slots: [Slot] = []
        var count = 0

        func place(of hash: SipHash.Value) -> Int {
            let mask = slots.count - 1
            var index = Int(truncatingIfNeeded: hash.low) & mask
            while slots[index].offset >= 0, slots[index].hash != hash {
                index = (index + 1) & mask
            }
            return index
        }

        mutating func makeRoom() {
            guard count >= slots.count / 4 * 3 else { return }
            let old = slots
            let empty = Slot(hash: .init(low: 0, high: 0), offset: -1)
            slots = Array(repeating: empty, count: max(16, old.count * 2))
            for slot in old where slot.offset >= 0 { slots[place(of: slot.hash)] = slot }
        }
    }

    private static let partCount = 256
    /// What a key takes at the worst of times, just after its part has grown.
    package static let bytesPerKey = 64

    private let hash: SipHash
    private var parts = Array(repeating: Part(), count: partCount)
    /// More keys than this are not taken.
    private let capacity: Int
    package private(set) var count = 0
    /// The last record that was looked at, whether it had a key or not.
    package private(set) var latestOffset: Int64 = -1

    package init(capacity: Int, hash: SipHash) {
        self.hash = hash
        self.capacity = max(1, capacity)
    }

    /// False where there is no room for another key; then nothing has changed.
    package mutating func put(_ key: ByteBuffer, _ offset: Int64) -> Bool {
        let hash = key.withUnsafeReadableBytes { self.hash.hash($0) }
        let part = Self.part(of: hash)
        parts[part].makeRoom()
        let place = parts[part].place(of: hash)
        if parts[part].slots[place].offset < 0 {
            guard count < capacity else { return false }
            count += 1
            parts[part].count += 1
        }
        parts[part].slots[place] = Slot(hash: hash, offset: offset)
        latestOffset = max(latestOffset, offset)
        return true
    }

    mutating func sawOffset(_ offset: Int64) { latestOffset = max(latestOffset, offset) }

    package func offset(of key: ByteBuffer) -> Int64? {
        let hash = key.withUnsafeReadableBytes { self.hash.hash($0) }
        let part = parts[Self.part(of: hash)]
        guard part.count > 0 else { return nil }
        let offset = part.slots[part.place(of: hash)].offset
        return offset < 0 ? nil : offset
    }

    private static func part(of hash: SipHash.Value) -> Int {
        Int(truncatingIfNeeded: hash.high) & (partCount - 1)
    }
}
