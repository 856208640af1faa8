import NIOCore

/// The last offset of every key in the part of a log that is about to be compacted.
///
/// Of the keys only hashes are kept, as in Kafka; here of 128 bits under a secret. 24 bytes a key
/// in a table that is made once, so that no slice of the work has to move all of it.
package struct KeyOffsets {
    private struct Slot {
        var hash: SipHash.Value
        /// -1: empty.
        var offset: Int64
    }

    static let bytesPerKey = 24

    private let hash: SipHash
    private var slots: [Slot]
    private let mask: Int
    /// More keys than this are not taken.
    let capacity: Int
    package private(set) var count = 0
    /// The last record that was looked at, whether it had a key or not.
    package private(set) var latestOffset: Int64 = -1

    /// Room for so many keys.
    package init(capacity: Int, hash: SipHash) {
        self.hash = hash
        self.capacity = max(1, capacity)
        var size = 16
        // At most three quarters are used.
        while size / 4 * 3 < self.capacity { size *= 2 }
        mask = size - 1
        slots = Array(repeating: Slot(hash: .init(low: 0, high: 0), offset: -1), count: size)
    }

    /// False where there is no room for another key; then nothing has changed.
    package mutating func put(_ key: ByteBuffer, _ offset: Int64) -> Bool {
        let place = place(of: key)
        if slots[place.index].offset < 0 {
            guard count < capacity else { return false }
            count += 1
        }
        slots[place.index] = Slot(hash: place.hash, offset: offset)
        latestOffset = max(latestOffset, offset)
        return true
    }

    mutating func sawOffset(_ offset: Int64) { latestOffset = max(latestOffset, offset) }

    package func offset(of key: ByteBuffer) -> Int64? {
        let offset = slots[place(of: key).index].offset
        return offset < 0 ? nil : offset
    }

    private func place(of key: ByteBuffer) -> (index: Int, hash: SipHash.Value) {
        let value = key.withUnsafeReadableBytes { hash.hash($0) }
        var index = Int(truncatingIfNeeded: value.low) & mask
        while slots[index].offset >= 0, slots[index].hash != value { index = (index + 1) & mask }
        return (index, value)
    }
}
