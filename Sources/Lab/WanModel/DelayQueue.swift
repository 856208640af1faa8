import Timing

/// Packets on their way, by arrival and, at the same instant, by the order they came in: a
/// binary heap of bounded size whose memory is taken once. A train is one entry.
package struct DelayQueue: Sendable {
    package struct Entry: Hashable, Sendable {
        package var arrival: Instant
        package var sequence: UInt64
        package var packet: Int32
        package var link: Int32
        package var cutNumber: UInt32
        package var load: WireLoad

        @inline(__always) func isBefore(_ other: Entry) -> Bool {
            arrival == other.arrival ? sequence < other.sequence : arrival < other.arrival
        }
    }

    package let packetLimit: Int
    package let byteLimit: Int
    package private(set) var bytes = 0
    package private(set) var packets = 0
    package private(set) var mostPackets = 0
    private var heap: [Entry] = []
    private var nextSequence: UInt64 = 0

    package init(packetLimit: Int, byteLimit: Int) {
        self.packetLimit = packetLimit
        self.byteLimit = byteLimit
        heap.reserveCapacity(packetLimit)
    }

    package var nextArrival: Instant? { heap.first?.arrival }

    /// Why this would not fit, or nil if it does.
    func refusal(of load: WireLoad) -> DropReason? {
        if packets + load.packets > packetLimit { return .packetLimit }
        return bytes + load.bytes > byteLimit ? .byteLimit : nil
    }

    /// The caller has asked `refusal` before.
    mutating func push(
        packet: Int32, load: WireLoad, link: Int, cutNumber: UInt32, arrival: Instant
    ) {
        precondition(packets < packetLimit)
        let entry = Entry(
            arrival: arrival, sequence: nextSequence, packet: packet, link: Int32(link),
            cutNumber: cutNumber, load: load)
        nextSequence += 1
        bytes += load.bytes
        packets += load.packets
        heap.append(entry)
        mostPackets = max(mostPackets, packets)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.isBefore(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    /// The next packet whose time has come.
    mutating func pop(at now: Instant) -> Entry? {
        guard let first = heap.first, first.arrival <= now else { return nil }
        bytes -= first.load.bytes
        packets -= first.load.packets
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(last) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return first
    }
}
