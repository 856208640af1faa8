/// One piece of a scattered write, laid out as `struct iovec`.
package struct PacketSlice: BitwiseCopyable {
    package var base: UnsafeMutableRawPointer
    package var count: Int
}

/// Gathers decrypted packets into groups that the kernel takes as one large packet each.
///
/// `add` what one batch of datagrams held, `close`, hand each `group(i)` to one `writev` on the
/// TUN queue, `reset`. Packets stay where they are, and must stay until `reset`; only the header
/// of a group's first packet is modified, by `close`.
///
/// The law: cutting the groups again gives every packet byte for byte, in an order that is that
/// of arrival within each flow. Whatever a merge would lose keeps packets apart. A packet with a
/// wrong checksum goes out alone, as it is.
///
/// Everything is allocated at `init`; afterwards neither allocation nor reference counting.
package struct Coalescer: ~Copyable {
    /// Flows that can have a group open at the same time.
    package static let maximumOpenGroups = 16
    /// IOV_MAX of Linux is 1,024, the virtio header takes one.
    package static let maximumGroupPackets = 1_000
    /// UDP_MAX_SEGMENTS of Linux before 6.9; later kernels take 128.
    package static let maximumDatagrams = 64
    /// Room for the link headers that a veth adds: a packet whose frame passes 65,536 bytes
    /// would be cut by the CPU (gso_max_size).
    package static let maximumLength = 65_535 - 64

    private struct Item {
        var base: UnsafeMutableRawPointer
        var count: Int
        /// The following packet of the same group, or -1.
        var next: Int
    }

    /// Slots for virtio headers, aligned.
    private static let virtioStride = 16

    package let capacity: Int
    private let coalesceUDP: Bool
    private let items: UnsafeMutablePointer<Item>
    private let groups: UnsafeMutablePointer<CoalescerGroup>
    private let slices: UnsafeMutablePointer<PacketSlice>
    private let virtioHeaders: UnsafeMutableRawPointer
    /// Open groups, oldest first.
    private let open: UnsafeMutablePointer<Int>
    private var openCount = 0
    private var isClosed = false
    /// The group that last took a packet: the next packet is mostly of the same flow.
    private var recent = -1

    package private(set) var packetCount = 0
    package private(set) var groupCount = 0

    /// Room for `capacity` packets between two resets.
    package init(capacity: Int = 1_024, coalesceUDP: Bool = false) {
        let capacity = max(1, capacity)
        self.capacity = capacity
        self.coalesceUDP = coalesceUDP
        items = .allocate(capacity: capacity)
        groups = .allocate(capacity: capacity)
        slices = .allocate(capacity: 2 * capacity)
        virtioHeaders = .allocate(byteCount: capacity * Self.virtioStride, alignment: 16)
        open = .allocate(capacity: Self.maximumOpenGroups)
    }

    deinit {
        items.deallocate()
        groups.deallocate()
        slices.deallocate()
        virtioHeaders.deallocate()
        open.deallocate()
    }

    /// Takes a packet: exactly as long as its IP header says, padding removed. False if there is
    /// no room (or `close` was called): write out, reset, and add it again.
    package mutating func add(_ packet: UnsafeMutableRawBufferPointer) -> Bool {
        guard packetCount < capacity, !isClosed else { return false }
        guard let base = packet.baseAddress, packet.count > 0 else { return true }
        let flow = Flow(packet, base, udp: coalesceUDP)
        let item = packetCount
        items[item] = Item(base: base, count: packet.count, next: -1)
        packetCount &+= 1
        switch flow.kind {
        case .tcp, .udp: addToFlow(flow, item)
        case .other: start(flow, item, isOpen: false)
        case .unusual:
            // It may be part of any flow between these two: nothing may overtake it.
            closeOpenGroups(matching: flow)
            start(flow, item, isOpen: false)
        case .garbage:
            closeOpenGroups(matching: nil)
            start(flow, item, isOpen: false)
        }
        return true
    }

    private mutating func addToFlow(_ flow: Flow, _ item: Int) {
        guard let index = findOpen(flow) else {
            start(flow, item, isOpen: flow.canLead)
            return
        }
        let isUDP = flow.kind == .udp
        let limit = isUDP ? Self.maximumDatagrams : Self.maximumGroupPackets
        guard
            groups[index].continues(
                with: flow, maximumPackets: limit, maximumLength: Self.maximumLength),
            verifyFirst(index)
        else {
            // The rest of the flow must come after this packet.
            closeGroup(index)
            start(flow, item, isOpen: flow.canLead)
            return
        }
        guard flow.hasValidChecksums else {
            closeGroup(index)
            start(flow, item, isOpen: false)
            return
        }
        items[groups[index].lastItem].next = item
        groups[index].append(flow, item: item)
        recent = index
        if flow.payload < groups[index].first.payload || groups[index].lastFlags != 0 {
            closeGroup(index)
        }
    }

    /// The first packet's checksums, looked at only when there is something to merge with.
    private mutating func verifyFirst(_ index: Int) -> Bool {
        if !groups[index].isVerified {
            groups[index].isVerified = groups[index].first.hasValidChecksums
        }
        return groups[index].isVerified
    }

    private func findOpen(_ flow: Flow) -> Int? {
        if recent >= 0, groups[recent].isOpen, groups[recent].isSameFlow(flow) { return recent }
        var i = 0
        while i < openCount {
            if groups[open[i]].isSameFlow(flow) { return open[i] }
            i &+= 1
        }
        return nil
    }

    private mutating func start(_ flow: Flow, _ item: Int, isOpen: Bool) {
        (groups + groupCount).initialize(to: CoalescerGroup(flow, item: item, isOpen: isOpen))
        if isOpen {
            if openCount == Self.maximumOpenGroups { closeGroup(open[0]) }
            open[openCount] = groupCount
            openCount &+= 1
            recent = groupCount
        }
        groupCount &+= 1
    }

    /// No more packets for this group.
    private mutating func closeGroup(_ index: Int) {
        groups[index].isOpen = false
        var kept = 0
        var i = 0
        while i < openCount {
            if open[i] != index {
                open[kept] = open[i]
                kept &+= 1
            }
            i &+= 1
        }
        openCount = kept
    }

    private mutating func closeOpenGroups(matching flow: Flow?) {
        var kept = 0
        var i = 0
        while i < openCount {
            let index = open[i]
            if let flow, !groups[index].sameAddresses(flow) {
                open[kept] = index
                kept &+= 1
            } else {
                groups[index].isOpen = false
            }
            i &+= 1
        }
        openCount = kept
    }

    /// Writes the headers and lays out the slices. After this, only `group` and `reset`.
    package mutating func close() {
        guard !isClosed else { return }
        isClosed = true
        var slice = 0
        var index = 0
        while index < groupCount {
            let virtio = virtioHeaders + index &* Self.virtioStride
            groups[index].finish().store(to: virtio)
            groups[index].firstSlice = slice
            slices[slice] = PacketSlice(base: virtio, count: VirtioNetHeader.size)
            slice &+= 1
            // The first packet is whole, the others leave their headers out.
            var skip = 0
            var item = groups[index].firstItem
            while item >= 0 {
                let packet = items[item]
                slices[slice] = PacketSlice(base: packet.base + skip, count: packet.count &- skip)
                slice &+= 1
                skip = groups[index].first.header
                item = packet.next
            }
            index &+= 1
        }
    }

    /// The slices of one group for one `writev`; valid from `close` to `reset`.
    package func group(_ index: Int) -> UnsafeBufferPointer<PacketSlice> {
        precondition(isClosed && index >= 0 && index < groupCount)
        let group = groups[index]
        return UnsafeBufferPointer(
            start: slices + group.firstSlice, count: group.packetCount &+ 1)
    }

    /// How many packets a group holds.
    package func packetCount(ofGroup index: Int) -> Int {
        precondition(index >= 0 && index < groupCount)
        return groups[index].packetCount
    }

    /// Ready for the next batch. The slices given out are no longer valid.
    package mutating func reset() {
        packetCount = 0
        groupCount = 0
        openCount = 0
        isClosed = false
        recent = -1
    }
}
