import NIOCore

/// The newest appends of a log, kept in memory for the followers that will ask for them next.
///
/// What is kept always ends at the log's end, so a read either finds all it wants here or goes
/// to the file. The buffers are those that were written: nothing is copied to be kept.
struct RecentBatches {
    struct Append {
        var firstOffset: Int64
        var lastOffset: Int64
        var bytes: ByteBuffer
        /// What keeping it holds in memory: a slice keeps all of its storage.
        var cost: Int { bytes.storageCapacity }
    }

    private var appends: [Append?] = []
    private var head = 0
    private(set) var cost = 0

    var isEmpty: Bool { head == appends.count }
    var firstOffset: Int64? { isEmpty ? nil : appends[head]?.firstOffset }
    var count: Int { appends.count - head }

    mutating func add(_ append: Append) {
        appends.append(append)
        cost += append.cost
    }

    /// Forgets the oldest. Returns what that freed.
    mutating func dropFirst() -> Int {
        guard !isEmpty, let freed = appends[head]?.cost else { return 0 }
        appends[head] = nil
        head += 1
        cost -= freed
        if head == appends.count {
            appends.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 64, head * 2 > appends.count {
            appends.removeFirst(head)
            head = 0
        }
        return freed
    }

    mutating func removeAll() -> Int {
        let freed = cost
        self = RecentBatches()
        return freed
    }

    /// The place of the first append that ends at an offset or behind it.
    func index(atOrAfter offset: Int64) -> Int {
        var low = head
        var high = appends.count
        while low < high {
            let middle = (low + high) / 2
            let last = appends[middle]?.lastOffset ?? -1
            if last < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(index: Int) -> Append? { appends.indices.contains(index) ? appends[index] : nil }
}

/// The memory that the logs of one event loop share for their recent batches.
package final class RecentMemory {
    package let limitPerLog: Int
    package let limit: Int
    package private(set) var used = 0
    private var holders: [ObjectIdentifier: Holder] = [:]

    private struct Holder {
        weak var log: PartitionLog?
    }

    package init(limitPerLog: Int = 4 << 20, limit: Int = 64 << 20) {
        self.limitPerLog = limitPerLog
        self.limit = limit
    }

    func register(_ log: PartitionLog) { holders[ObjectIdentifier(log)] = Holder(log: log) }

    func unregister(_ log: PartitionLog) { holders[ObjectIdentifier(log)] = nil }

    func add(_ bytes: Int) { used += bytes }
    func give(_ bytes: Int) { used -= bytes }

    /// Makes room at the expense of the logs that were appended to least recently.
    func makeRoom(for log: PartitionLog) {
        guard used > limit else { return }
        // Sorted by what no two have in common.
        let others = holders.values.compactMap(\.log).filter { $0 !== log && !$0.recent.isEmpty }
            .sorted { $0.appendCount < $1.appendCount }
        for other in others {
            other.dropRecent()
            // Well below the limit, so that this is rare.
            if used <= limit - limit / 4 { return }
        }
        while used > limit, !log.recent.isEmpty { log.dropOldestRecent() }
    }
}
