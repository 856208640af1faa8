import Addresses
import Packets
import Testing

let v4 = PacketBuilder(from: IPAddress("10.1.0.2")!, to: IPAddress("10.2.0.3")!)
let v6 = PacketBuilder(from: IPAddress("fd00:1::2")!, to: IPAddress("fd00:2::3")!)

/// Cuts a copy; what comes out is checked to be inside of it, and is overwritten after use, as
/// by encryption in place.
func cut(
    _ packet: [UInt8], _ virtio: VirtioNetHeader, limit: Int = Segmenter.maximumSegments
) throws(PacketProblem) -> [[UInt8]] {
    // The end of the memory is the end of the packet: address sanitizer sees what goes beyond.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count, alignment: 1)
    defer { buffer.deallocate() }
    buffer.copyBytes(from: packet)
    let layout = try SegmentLayout(UnsafeRawBufferPointer(buffer), virtio, limit: limit)
    #expect(Array(buffer) == packet)
    var segmenter = try Segmenter(buffer, virtio, limit: limit)
    var output: [[UInt8]] = []
    while let segment = segmenter.next() {
        output.append(Array(segment))
        segment.initializeMemory(as: UInt8.self, repeating: 0xa5)
    }
    #expect(output.count == segmenter.count && output.count == layout.count)
    #expect(output.reduce(0) { $0 + $1.count } == layout.totalLength)
    #expect(segmenter.next() == nil)
    return output
}

func gso(_ type: UInt8, _ size: Int) -> VirtioNetHeader {
    var header = VirtioNetHeader()
    header.flags = VirtioNetHeader.Flag.needsChecksum
    header.gsoType = type
    header.segmentSize = UInt16(size)
    // As the kernel does when it forwards: nonsense that nobody may believe.
    header.headerLength = 3
    return header
}

func gsoType(of packet: [UInt8]) -> UInt8 {
    if Reference.proto(packet) == 17 { return VirtioNetHeader.GSO.udpL4 }
    return packet[0] >> 4 == 4 ? VirtioNetHeader.GSO.tcpV4 : VirtioNetHeader.GSO.tcpV6
}

/// What one group hands to the kernel.
struct Written: Equatable {
    var virtio: VirtioNetHeader
    var packet: [UInt8]
    var packetCount: Int
}

func coalesce(_ packets: [[UInt8]], udp: Bool = false) -> [Written] {
    let buffers = packets.map { packet in
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count, alignment: 1)
        buffer.copyBytes(from: packet)
        return buffer
    }
    defer { buffers.forEach { $0.deallocate() } }
    var coalescer = Coalescer(capacity: packets.count, coalesceUDP: udp)
    for buffer in buffers {
        let taken = coalescer.add(buffer)
        #expect(taken)
    }
    coalescer.close()
    return (0..<coalescer.groupCount).map { index in
        let slices = coalescer.group(index)
        let bytes = slices.flatMap {
            Array(UnsafeRawBufferPointer(start: $0.base, count: $0.count))
        }
        #expect(slices[0].count == VirtioNetHeader.size)
        #expect(slices.count == coalescer.packetCount(ofGroup: index) + 1)
        let virtio = bytes.withUnsafeBytes { VirtioNetHeader($0.baseAddress!) }
        return Written(
            virtio: virtio, packet: Array(bytes[VirtioNetHeader.size...]),
            packetCount: slices.count - 1)
    }
}

/// Nothing lost, nothing changed, and in order within each flow.
func sameInEachFlow(_ a: [[UInt8]], _ b: [[UInt8]]) -> Bool {
    guard a.count == b.count else { return false }
    return Dictionary(grouping: a, by: Reference.flow)
        == Dictionary(grouping: b, by: Reference.flow)
}
