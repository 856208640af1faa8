import Addresses

/// Consecutive sealed messages of one size to one place: what one UDP_SEGMENT send carries.
package struct SendGroup: BitwiseCopyable {
    package var peer: UnsafeMutablePointer<PeerPath>
    package var endpoint: IPEndpoint
    /// The outer TOS or traffic class: ECN bits (RFC 6040), and whether the flow is sparse.
    package var tos: UInt8
    /// A shorter message came: it must be the last (udp(7), UDP_SEGMENT).
    package var ended: Bool
    package var segments: Int32
    package var offset: Int
    package var count: Int
    package var segmentSize: Int

    /// Whether a message of so many bytes may be the next.
    @inline(__always)
    fileprivate func hasRoom(for message: Int) -> Bool {
        !ended && message <= segmentSize && segments < SendBatch.maxSegments
            && count + message <= SendBatch.maxGroupBytes
    }
}

/// A slab of sealed messages laid out for UDP_SEGMENT, and the groups in it. Allocated once.
package struct SendBatch: ~Copyable {
    /// UDP_MAX_SEGMENTS of kernels before 6.10; later ones allow 128.
    package static let maxSegments: Int32 = 64
    /// The largest UDP payload over IPv6 without jumbograms; IPv4 allows twenty bytes more.
    package static let maxGroupBytes = 65_535 - 40 - 8

    package let slab: UnsafeMutableRawPointer
    package let capacity: Int
    package private(set) var used = 0
    package let groups: UnsafeMutablePointer<SendGroup>
    package let groupCapacity: Int
    package private(set) var groupCount = 0

    package init(capacity: Int, groups groupCapacity: Int) {
        self.capacity = capacity
        self.groupCapacity = groupCapacity
        slab = .allocate(byteCount: capacity, alignment: 4096)
        groups = .allocate(capacity: groupCapacity)
    }

    deinit {
        slab.deallocate()
        groups.deallocate()
    }

    package var isEmpty: Bool { groupCount == 0 }

    package mutating func reset() {
        used = 0
        groupCount = 0
    }

    /// How many groups, counted from the first, will not grow: all, but for a last one that has
    /// room for another message of its size.
    package var fullGroups: Int {
        guard groupCount > 0 else { return 0 }
        let size = groups[groupCount - 1].segmentSize
        let grows = used + size <= capacity && groups[groupCount - 1].hasRoom(for: size)
        return grows ? groupCount - 1 : groupCount
    }

    /// The first `count` groups have been sent; the others stay where they are in the slab, whose
    /// end is reached sooner for that.
    package mutating func removeFirst(_ count: Int) {
        precondition(count >= 0 && count <= groupCount)
        if count == groupCount { return reset() }
        for i in count..<groupCount { groups[i - count] = groups[i] }
        groupCount -= count
    }

    /// Where to seal the next message of `count` bytes, or nil when the batch is full: send and
    /// reset, then ask again.
    package mutating func place(
        _ count: Int, for peer: UnsafeMutablePointer<PeerPath>, to endpoint: IPEndpoint, tos: UInt8
    ) -> UnsafeMutableRawPointer? {
        guard used + count <= capacity else { return nil }
        if groupCount > 0 {
            let last = groups + (groupCount - 1)
            if last.pointee.hasRoom(for: count), last.pointee.peer == peer,
                last.pointee.tos == tos, last.pointee.endpoint == endpoint
            {
                last.pointee.segments += 1
                last.pointee.count += count
                last.pointee.ended = count < last.pointee.segmentSize
                defer { used += count }
                return slab + used
            }
        }
        guard groupCount < groupCapacity else { return nil }
        (groups + groupCount).initialize(
            to: SendGroup(
                peer: peer, endpoint: endpoint, tos: tos, ended: false, segments: 1, offset: used,
                count: count, segmentSize: count))
        groupCount += 1
        defer { used += count }
        return slab + used
    }
}
