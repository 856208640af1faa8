/// At which offset each leader epoch began: the history by which two replicas find where their
/// logs part (KIP-101, KIP-279). Epochs rise strictly, start offsets never fall.
package struct LeaderEpochs: Equatable, Sendable {
    package struct Entry: Equatable, Sendable {
        package var epoch: Int32
        package var startOffset: Int64

        package init(epoch: Int32, startOffset: Int64) {
            self.epoch = epoch
            self.startOffset = startOffset
        }
    }

    package private(set) var entries: [Entry]
    /// Changed since the checkpoint was last written.
    var isDirty = false

    package init(_ entries: [Entry] = []) { self.entries = entries }

    package var latest: Int32? { entries.last?.epoch }
    package var earliest: Entry? { entries.first }

    /// An epoch begins at an offset. Later entries that contradict it give way.
    package mutating func assign(epoch: Int32, startOffset: Int64) {
        guard epoch >= 0, startOffset >= 0 else { return }
        if let last = entries.last, last.epoch == epoch, startOffset >= last.startOffset { return }
        while let last = entries.last, last.epoch >= epoch || last.startOffset >= startOffset {
            entries.removeLast()
        }
        entries.append(Entry(epoch: epoch, startOffset: startOffset))
        isDirty = true
    }

    /// A batch of an epoch is in the log, from its base offset to its last. Entries that
    /// contradict it give way: epochs do not begin inside a batch, and do not fall.
    package mutating func found(epoch: Int32, at offset: Int64, through last: Int64) {
        guard epoch >= 0, self.epoch(at: offset) != epoch || self.epoch(at: last) != epoch else {
            return
        }
        isDirty = true
        entries.removeAll { entry in
            if entry.startOffset < offset { return entry.epoch > epoch }
            if entry.startOffset > last { return entry.epoch <= epoch }
            return true
        }
        guard self.epoch(at: offset) != epoch else { return }
        let place = entries.firstIndex { $0.startOffset > offset } ?? entries.count
        entries.insert(Entry(epoch: epoch, startOffset: offset), at: place)
    }

    /// Where the asked epoch ends here, and the epoch that the answer is for: the largest one
    /// not above it. Nil when the asked epoch is above all that is known.
    package func endOffset(
        forEpoch asked: Int32, logEndOffset: Int64
    ) -> (epoch: Int32, endOffset: Int64)? {
        guard asked >= 0, let latest = entries.last else { return nil }
        if latest.epoch == asked { return (asked, logEndOffset) }
        let next = firstIndex(above: asked)
        guard next < entries.count else { return nil }
        // Below the first known epoch: the asked one, ending where the first known begins.
        let epoch = next == 0 ? asked : entries[next - 1].epoch
        return (epoch, entries[next].startOffset)
    }

    /// The epoch of the leader that wrote an offset.
    package func epoch(at offset: Int64) -> Int32? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].startOffset <= offset { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : entries[low - 1].epoch
    }

    package mutating func truncateEnd(to offset: Int64) {
        while let last = entries.last, last.startOffset >= offset {
            entries.removeLast()
            isDirty = true
        }
    }

    /// The log now begins at `offset`: the epoch that holds it begins there.
    package mutating func truncateStart(to offset: Int64) {
        let covered = entries.prefix { $0.startOffset <= offset }.count
        guard covered > 0 else { return }
        guard covered > 1 || entries[0].startOffset != offset else { return }
        let epoch = entries[covered - 1].epoch
        entries.replaceSubrange(0..<covered, with: [Entry(epoch: epoch, startOffset: offset)])
        isDirty = true
    }

    package mutating func removeAll() {
        isDirty = isDirty || !entries.isEmpty
        entries = []
    }

    private func firstIndex(above epoch: Int32) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].epoch <= epoch { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
