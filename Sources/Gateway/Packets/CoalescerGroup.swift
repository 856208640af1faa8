import Bytes

/// Packets that leave in one write. The first one's header stands for all.
struct CoalescerGroup {
    let first: Flow
    /// Places in the coalescer's list of packets.
    let firstItem: Int
    var lastItem: Int
    var packetCount = 1
    /// Payload of all packets.
    var payload: Int
    var nextSequence: UInt32
    var nextIdentification: UInt16 = 0
    var identificationStep: UInt16 = 0
    /// FIN and PSH of the last packet.
    var lastFlags: UInt8 = 0
    var isVerified = false
    var isOpen: Bool
    /// Where the group's slices start, once it is closed.
    var firstSlice = 0

    @inline(__always)
    init(_ flow: Flow, item: Int, isOpen: Bool) {
        first = flow
        firstItem = item
        lastItem = item
        payload = flow.payload
        nextSequence = flow.sequence &+ UInt32(truncatingIfNeeded: flow.payload)
        self.isOpen = isOpen
        if isOpen, flow.isIPv4 {
            identificationStep = Segmenter.identificationStep(of: flow.base)
            nextIdentification =
                flow.base.loadBig(4, as: UInt16.self) &+ identificationStep
        }
    }

    /// Same family, protocol, addresses and ports.
    @inline(__always)
    func isSameFlow(_ flow: Flow) -> Bool {
        guard first.key == flow.key, first.kind == flow.kind, first.isIPv4 == flow.isIPv4 else {
            return false
        }
        return sameAddresses(flow)
            && equal32(first.base, flow.base, at: first.transport)
    }

    /// Also for packets of which only the IP header was read.
    func sameAddresses(_ flow: Flow) -> Bool {
        guard first.isIPv4 == flow.isIPv4 else { return false }
        if first.isIPv4 { return equal64(first.base, flow.base, at: 12) }
        return equal64(first.base, flow.base, at: 8) && equal64(first.base, flow.base, at: 16)
            && equal64(first.base, flow.base, at: 24) && equal64(first.base, flow.base, at: 32)
    }

    /// Whether a packet of the same flow, its checksums aside, is just the one that segmentation
    /// would make next. Everything that segmentation copies from the first must be the same.
    @inline(__always)
    func continues(with flow: Flow, maximumPackets: Int, maximumLength: Int) -> Bool {
        guard flow.header == first.header, flow.payload > 0, flow.payload <= first.payload,
            packetCount < maximumPackets,
            first.header &+ payload &+ flow.payload <= maximumLength
        else { return false }
        let (a, b) = (first.base, flow.base)
        if first.isIPv4 {
            // Version and type of service; flags and fragment offset; time to live and protocol.
            guard equal16(a, b, at: 0), equal16(a, b, at: 6), equal16(a, b, at: 8),
                b.loadBig(4, as: UInt16.self) == nextIdentification
            else { return false }
        } else {
            // Version, traffic class and flow label; next header and hop limit.
            guard equal32(a, b, at: 0), equal16(a, b, at: 6) else { return false }
        }
        if first.kind == .udp { return true }
        guard flow.sequence == nextSequence else { return false }
        let t = first.transport
        // CWR may stand only on the first segment, FIN and PSH only on the last.
        let free = TCPFlag.fin | TCPFlag.psh
        guard flow.flags & ~free == first.flags & ~(free | TCPFlag.cwr),
            equal32(a, b, at: t &+ 8),  // acknowledgment
            equal8(a, b, at: t &+ 12),  // header length, reserved bits
            equal16(a, b, at: t &+ 14),  // window
            equal16(a, b, at: t &+ 18)  // urgent pointer
        else { return false }
        var offset = t &+ 20
        while offset < first.header {
            guard equal32(a, b, at: offset) else { return false }
            offset &+= 4
        }
        return true
    }

    @inline(__always)
    mutating func append(_ flow: Flow, item: Int) {
        lastItem = item
        packetCount &+= 1
        payload &+= flow.payload
        nextSequence &+= UInt32(truncatingIfNeeded: flow.payload)
        nextIdentification &+= identificationStep
        lastFlags = flow.flags & (TCPFlag.fin | TCPFlag.psh)
    }

    /// Makes the first header that of the whole group and describes it to the kernel.
    func finish() -> VirtioNetHeader {
        var virtio = VirtioNetHeader()
        guard packetCount > 1 else { return virtio }
        let base = first.base
        let total = first.header &+ payload
        let own = total &- first.transport
        let start = base + first.transport
        if first.isIPv4 {
            base.storeBig(UInt16(truncatingIfNeeded: total), 2)
            base.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)
            let sum = InternetChecksum.sum(base, count: 20)
            base.storeBytes(of: ~InternetChecksum.fold(sum), toByteOffset: 10, as: UInt16.self)
        } else {
            base.storeBig(UInt16(truncatingIfNeeded: total &- 40), 4)
        }
        let isTCP = first.kind == .tcp
        let pseudo = InternetChecksum.pseudoHeader(
            base, isIPv4: first.isIPv4, protocolNumber: isTCP ? IPProtocol.tcp : IPProtocol.udp,
            length: own)
        let partial = InternetChecksum.fold(pseudo)
        if isTCP {
            start.storeBytes(of: first.flags | lastFlags, toByteOffset: 13, as: UInt8.self)
            start.storeBytes(of: partial, toByteOffset: 16, as: UInt16.self)
            virtio.gsoType = first.isIPv4 ? VirtioNetHeader.GSO.tcpV4 : VirtioNetHeader.GSO.tcpV6
            if first.flags & TCPFlag.cwr != 0 { virtio.gsoType |= VirtioNetHeader.GSO.ecnBit }
            virtio.checksumOffset = 16
        } else {
            start.storeBig(UInt16(truncatingIfNeeded: own), 4)
            start.storeBytes(of: partial, toByteOffset: 6, as: UInt16.self)
            virtio.gsoType = VirtioNetHeader.GSO.udpL4
            virtio.checksumOffset = 6
        }
        virtio.flags = VirtioNetHeader.Flag.needsChecksum
        virtio.headerLength = UInt16(truncatingIfNeeded: first.header)
        virtio.segmentSize = UInt16(truncatingIfNeeded: first.payload)
        virtio.checksumStart = UInt16(truncatingIfNeeded: first.transport)
        return virtio
    }
}

@inline(__always)
private func equal8(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, at offset: Int) -> Bool {
    (a + offset).load(as: UInt8.self) == (b + offset).load(as: UInt8.self)
}

@inline(__always)
private func equal16(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, at offset: Int) -> Bool {
    (a + offset).loadUnaligned(as: UInt16.self) == (b + offset).loadUnaligned(as: UInt16.self)
}

@inline(__always)
private func equal32(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, at offset: Int) -> Bool {
    (a + offset).loadUnaligned(as: UInt32.self) == (b + offset).loadUnaligned(as: UInt32.self)
}

@inline(__always)
private func equal64(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, at offset: Int) -> Bool {
    (a + offset).loadUnaligned(as: UInt64.self) == (b + offset).loadUnaligned(as: UInt64.self)
}
