import Bytes

/// Cuts what one read of a TUN queue returned into complete, valid IP packets.
///
/// Nothing is copied but headers: the header of each segment is written in front of its payload,
/// over the end of the segment before it. So a segment must be used up before the next is asked
/// for; its bytes may be overwritten (encrypted in place) without harm to those that follow.
package struct Segmenter {
    /// 65,535 bytes in segments of 32: more than any MSS that TCP agrees on.
    package static let maximumSegments = 2048
    /// IPv4 and TCP with all options take 120; IPv6 may have some extension headers.
    private typealias Template = (SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>, SIMD64<UInt8>)
    static let maximumHeader = 256

    private let base: UnsafeMutableRawPointer
    private let length: Int
    private let kind: SegmentLayout.Kind
    private let isIPv4: Bool
    /// Where the transport header starts.
    private let transport: Int
    /// All headers.
    private let header: Int
    private let segmentSize: Int
    /// Where the next payload starts.
    private var offset: Int

    /// The headers as they came, because segments overwrite them.
    private var template: Template
    /// Sums of the template without the fields that differ from segment to segment.
    private var headerSum: UInt64 = 0
    private var transportSum: UInt64 = 0
    private var sequence: UInt32 = 0
    private var identification: UInt16 = 0
    private var identificationStep: UInt16 = 0
    private var tcpFlags: UInt8 = 0
    private var hasChecksum = true

    /// How many packets `next` will give in all.
    package let count: Int

    /// `packet` is what follows the virtio header in the read buffer; it is modified.
    package init(
        _ packet: UnsafeMutableRawBufferPointer, _ virtio: VirtioNetHeader,
        limit: Int = maximumSegments
    ) throws(PacketProblem) {
        let ip = try IPPacket(UnsafeRawBufferPointer(packet))
        let layout = try SegmentLayout(ip, virtio, limit: limit)
        base = UnsafeMutableRawPointer(mutating: ip.base)
        isIPv4 = ip.isIPv4
        length = layout.length
        kind = layout.kind
        transport = layout.transport
        header = layout.header
        segmentSize = layout.segmentSize
        count = layout.count
        offset = header
        let none = SIMD64<UInt8>()
        template = (none, none, none, none)
        if kind != .whole {
            prepare(layout.protocolNumber, virtio)
        } else if virtio.needsChecksum {
            try Self.completeChecksum(base, ip, virtio)
        }
    }

    /// Completes a lone packet's checksum, of which the kernel left the pseudo header's sum in
    /// the field (as `skb_checksum_help` of Linux does).
    private static func completeChecksum(
        _ base: UnsafeMutableRawPointer, _ ip: IPPacket, _ virtio: VirtioNetHeader
    ) throws(PacketProblem) {
        let start = Int(virtio.checksumStart)
        let place = start &+ Int(virtio.checksumOffset)
        guard start >= ip.headerLength, place &+ 2 <= ip.totalLength else {
            throw .badChecksumPlace
        }
        let sum = InternetChecksum.sum(base + start, count: ip.totalLength &- start)
        var checksum = ~InternetChecksum.fold(sum)
        // RFC 768: a UDP checksum of zero means there is none.
        if checksum == 0, virtio.checksumOffset == 6 { checksum = 0xffff }
        base.storeBytes(of: checksum, toByteOffset: place, as: UInt16.self)
    }

    private mutating func prepare(_ protocolNumber: UInt8, _ virtio: VirtioNetHeader) {
        let start = base + transport
        if isIPv4 {
            identification = base.loadBig(4, as: UInt16.self)
            identificationStep = Self.identificationStep(of: base)
            base.storeBytes(of: 0, toByteOffset: 2, as: UInt32.self)  // length, identification
            base.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)  // checksum
            headerSum = InternetChecksum.sum(base, count: transport)
        }
        if kind == .tcp {
            sequence = start.loadBig(4, as: UInt32.self)
            tcpFlags = start.load(fromByteOffset: 13, as: UInt8.self)
            start.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
            start.storeBytes(of: 0, toByteOffset: 13, as: UInt8.self)
            start.storeBytes(of: 0, toByteOffset: 16, as: UInt16.self)
        } else {
            // A datagram that was sent without checksum (RFC 768) stays so; IPv6 has none such.
            hasChecksum =
                !isIPv4 || virtio.needsChecksum
                || start.loadUnaligned(fromByteOffset: 6, as: UInt16.self) != 0
            start.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)  // length, checksum
        }
        transportSum =
            InternetChecksum.sum(start, count: header &- transport)
            &+ InternetChecksum.pseudoHeader(base, isIPv4: isIPv4, protocolNumber: protocolNumber)
        let (source, count) = (base, header)
        withUnsafeMutableBytes(of: &template) {
            $0.baseAddress!.copyMemory(from: source, byteCount: count)
        }
    }

    /// How the IPv4 identification goes on from segment to segment: by one, but a packet that
    /// may not be fragmented and has zero comes from a sender that gives no identifications
    /// (RFC 6864 section 4.1), and its segments have zero too.
    static func identificationStep(of header: UnsafeRawPointer) -> UInt16 {
        let dontFragment = header.load(fromByteOffset: 6, as: UInt8.self) & 0x40 != 0
        return dontFragment && header.loadBig(4, as: UInt16.self) == 0 ? 0 : 1
    }

    /// The next packet, or nil after the last. Valid until `next` is called again.
    package mutating func next() -> UnsafeMutableRawBufferPointer? {
        guard offset < length else { return nil }
        if kind == .whole {
            offset = length
            return UnsafeMutableRawBufferPointer(start: base, count: length)
        }
        let payload = min(segmentSize, length &- offset)
        let isFirst = offset == header
        let isLast = offset &+ payload == length
        let segment = base + (offset &- header)
        let total = header &+ payload
        let count = header
        withUnsafeMutableBytes(of: &template) {
            segment.copyMemory(from: $0.baseAddress!, byteCount: count)
        }
        writeIPHeader(segment, total)

        let start = segment + transport
        let own = total &- transport
        var sum =
            transportSum &+ InternetChecksum.word(UInt32(truncatingIfNeeded: own))
            &+ InternetChecksum.sum(segment + header, count: payload)
        if kind == .tcp {
            var flags = tcpFlags
            if !isFirst { flags &= ~TCPFlag.cwr }
            if !isLast { flags &= ~(TCPFlag.fin | TCPFlag.psh) }
            start.storeBig(sequence, 4)
            start.storeBytes(of: flags, toByteOffset: 13, as: UInt8.self)
            sum &+= InternetChecksum.word(sequence) &+ InternetChecksum.word(UInt16(flags))
            start.storeBytes(of: ~InternetChecksum.fold(sum), toByteOffset: 16, as: UInt16.self)
            sequence &+= UInt32(truncatingIfNeeded: payload)
        } else {
            let length = UInt16(truncatingIfNeeded: own)
            start.storeBig(length, 4)
            sum &+= InternetChecksum.word(length)
            let checksum = ~InternetChecksum.fold(sum)
            if hasChecksum {
                start.storeBytes(
                    of: checksum == 0 ? 0xffff : checksum, toByteOffset: 6, as: UInt16.self)
            }
        }
        offset &+= payload
        return UnsafeMutableRawBufferPointer(start: segment, count: total)
    }

    @inline(__always)
    private mutating func writeIPHeader(_ segment: UnsafeMutableRawPointer, _ total: Int) {
        guard isIPv4 else {
            segment.storeBig(UInt16(truncatingIfNeeded: total &- 40), 4)
            return
        }
        let length = UInt16(truncatingIfNeeded: total)
        segment.storeBig(length, 2)
        segment.storeBig(identification, 4)
        let sum =
            headerSum &+ InternetChecksum.word(length) &+ InternetChecksum.word(identification)
        segment.storeBytes(of: ~InternetChecksum.fold(sum), toByteOffset: 10, as: UInt16.self)
        identification &+= identificationStep
    }
}

/// The flags in byte 13 of a TCP header (RFC 9293 section 3.1).
package enum TCPFlag {
    package static let fin: UInt8 = 0x01
    package static let syn: UInt8 = 0x02
    package static let rst: UInt8 = 0x04
    package static let psh: UInt8 = 0x08
    package static let ack: UInt8 = 0x10
    package static let urg: UInt8 = 0x20
    package static let ece: UInt8 = 0x40
    package static let cwr: UInt8 = 0x80
}
