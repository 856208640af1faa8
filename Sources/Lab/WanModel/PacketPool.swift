/// Room for the packets in flight: equal slots in one block, taken once. The slot given back
/// last is handed out first, so no more memory is touched than was ever in flight at once.
package struct PacketPool: ~Copyable {
    package let slotSize: Int
    package let slotCount: Int
    private let block: UnsafeMutableRawPointer
    private let free: UnsafeMutablePointer<Int32>
    private let holders: UnsafeMutablePointer<UInt8>
    private let lengths: UnsafeMutablePointer<Int32>
    private var freeCount: Int

    package init(slotCount: Int, slotSize: Int) {
        precondition(slotCount > 0 && slotCount <= Int(Int32.max) && slotSize > 0)
        self.slotCount = slotCount
        self.slotSize = slotSize
        block = .allocate(byteCount: slotCount * slotSize, alignment: 64)
        free = .allocate(capacity: slotCount)
        holders = .allocate(capacity: slotCount)
        holders.initialize(repeating: 0, count: slotCount)
        lengths = .allocate(capacity: slotCount)
        lengths.initialize(repeating: 0, count: slotCount)
        for i in 0..<slotCount { free[i] = Int32(slotCount - 1 - i) }
        freeCount = slotCount
    }

    deinit {
        block.deallocate()
        free.deallocate()
        holders.deallocate()
        lengths.deallocate()
    }

    package var slotsInUse: Int { slotCount - freeCount }

    /// A slot with one holder, or nil when all are in use.
    package mutating func take() -> Int32? {
        guard freeCount > 0 else { return nil }
        freeCount -= 1
        let slot = free[freeCount]
        holders[Int(slot)] = 1
        return slot
    }

    package mutating func addHolder(_ slot: Int32) {
        precondition(slot >= 0 && Int(slot) < slotCount && (1...254).contains(holders[Int(slot)]))
        holders[Int(slot)] += 1
    }

    /// The slot is free again when its last holder gives it back.
    package mutating func giveBack(_ slot: Int32) {
        precondition(slot >= 0 && Int(slot) < slotCount && holders[Int(slot)] > 0)
        holders[Int(slot)] -= 1
        guard holders[Int(slot)] == 0 else { return }
        free[freeCount] = slot
        freeCount += 1
    }

    /// Says how much of a slot's room its content takes.
    package func setLength(_ slot: Int32, _ length: Int) {
        precondition(slot >= 0 && Int(slot) < slotCount && (0...slotSize).contains(length))
        lengths[Int(slot)] = Int32(length)
    }

    /// Where a slot's room begins; valid while the pool lives, as are the next two.
    package func start(_ slot: Int32) -> UnsafeMutableRawPointer {
        precondition(slot >= 0 && Int(slot) < slotCount)
        return block + Int(slot) * slotSize
    }

    /// The room of a slot.
    package func bytes(_ slot: Int32) -> UnsafeMutableRawBufferPointer {
        .init(start: start(slot), count: slotSize)
    }

    /// What was put into a slot.
    package func content(_ slot: Int32) -> UnsafeMutableRawBufferPointer {
        .init(start: start(slot), count: Int(lengths[Int(slot)]))
    }
}
