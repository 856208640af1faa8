/// How one large packet of the kernel's falls into segments. Nothing is modified: this says what
/// `Segmenter` would do.
///
/// The kernel's `hdr_len` is not believed: it is wrong for packets that it forwards. All
/// lengths come from the packet's own headers.
package struct SegmentLayout {
    enum Kind: UInt8 { case whole, tcp, udp }

    let kind: Kind
    let protocolNumber: UInt8
    /// The packet as it came.
    let length: Int
    /// Where the transport header starts.
    let transport: Int
    /// All headers.
    package let header: Int
    /// Payload of each segment but the last.
    package let segmentSize: Int
    package let count: Int

    /// The segments together, each with headers of its own.
    package var totalLength: Int { length &+ (count &- 1) &* header }

    /// `packet` is what follows the virtio header in the read buffer.
    package init(
        _ packet: UnsafeRawBufferPointer, _ virtio: VirtioNetHeader,
        limit: Int = Segmenter.maximumSegments
    ) throws(PacketProblem) {
        try self.init(IPPacket(packet), virtio, limit: limit)
    }

    @inline(__always)
    init(_ ip: IPPacket, _ virtio: VirtioNetHeader, limit: Int) throws(PacketProblem) {
        length = ip.totalLength
        let type = virtio.gsoType & ~VirtioNetHeader.GSO.ecnBit
        if type == VirtioNetHeader.GSO.none {
            kind = .whole
            protocolNumber = 0
            (transport, header, segmentSize, count) = (0, 0, length, 1)
            return
        }
        guard let (transport, protocolNumber) = ip.transport else {
            throw .unsupportedSegmentation
        }
        let room = length &- transport
        switch (type, protocolNumber, ip.isIPv4) {
        case (VirtioNetHeader.GSO.tcpV4, IPProtocol.tcp, true),
            (VirtioNetHeader.GSO.tcpV6, IPProtocol.tcp, false):
            kind = .tcp
            guard room >= 20 else { throw .badTransportHeader }
            let own = Int(ip.base.load(fromByteOffset: transport &+ 12, as: UInt8.self) >> 4) &* 4
            guard own >= 20, own <= room else { throw .badTransportHeader }
            header = transport &+ own
        case (VirtioNetHeader.GSO.udpL4, IPProtocol.udp, _):
            kind = .udp
            guard room >= 8 else { throw .badTransportHeader }
            header = transport &+ 8
        default:
            throw .unsupportedSegmentation
        }
        guard header <= Segmenter.maximumHeader else { throw .unsupportedSegmentation }
        self.protocolNumber = protocolNumber
        self.transport = transport
        segmentSize = Int(virtio.segmentSize)
        let payload = length &- header
        guard segmentSize > 0, segmentSize <= payload else { throw .badSegmentSize }
        count = (payload &+ segmentSize &- 1) / segmentSize
        guard count <= limit else { throw .tooManySegments }
    }
}
