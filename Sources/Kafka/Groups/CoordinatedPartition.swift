import NIOCore

/// One partition of `__consumer_offsets` that this broker leads, and its groups.
final class CoordinatedPartition {
    let index: Int32
    let epoch: Int32
    var isLoading = true
    private(set) var groups: [String: Group] = [:]
    /// The groups in an order that does not depend on hashing, for walks that can stop and go on.
    private(set) var slots: [Group] = []
    /// The search for expired offsets goes from the end of `slots` to the start, so that a removal
    /// (which moves the last one into the gap) makes it miss none.
    var expirationCursor = -1

    init(index: Int32, epoch: Int32) {
        self.index = index
        self.epoch = epoch
    }

    func insert(_ group: Group) {
        group.slot = slots.count
        slots.append(group)
        groups[group.id] = group
    }

    func remove(_ group: Group) {
        guard groups[group.id] === group else { return }
        groups[group.id] = nil
        let last = slots.removeLast()
        if last !== group {
            slots[group.slot] = last
            last.slot = group.slot
        }
    }
}
