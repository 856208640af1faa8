/// Entry points for fuzzing: pure, deterministic, and trapping where a law of this room is
/// broken. The returned number depends on all output, so that two runs can be compared.
package enum PacketsFuzz {
    /// Parses as one packet, padded and not.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var digest = Digest()
        for padded in [false, true] {
            guard let ip = try? IPPacket(bytes, padded: padded) else { continue }
            precondition(ip.headerLength <= ip.totalLength && ip.totalLength <= bytes.count)
            precondition(ip.transport.map { $0.offset <= ip.totalLength } ?? true)
            digest.add(UInt64(ip.totalLength) << 8 | UInt64(ip.trafficClass))
            _ = (ip.source, ip.destination, ip.isFragment)
        }
        digest.add(EchoReply(bytes) == nil ? 0 : 1)
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        for outer in UInt8(0)...3 {
            copy.copyMemory(from: bytes)
            digest.add(ECN.apply(outer: outer, to: copy) ? 1 : 0)
            digest.add(UnsafeRawBufferPointer(copy))
        }
        return digest.value
    }

    /// Ten bytes of virtio header, then a packet. Every segment must be a whole packet inside of
    /// the buffer.
    package static func segment(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var digest = Digest()
        guard bytes.count >= VirtioNetHeader.size, let base = bytes.baseAddress else { return 0 }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[VirtioNetHeader.size...])
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: rest.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyMemory(from: rest)
        do throws(PacketProblem) {
            var segmenter = try Segmenter(copy, VirtioNetHeader(base))
            var count = 0
            while let segment = segmenter.next() {
                count += 1
                precondition(segment.baseAddress! >= copy.baseAddress!)
                precondition(
                    segment.baseAddress! + segment.count <= copy.baseAddress! + copy.count)
                precondition((try? IPPacket(UnsafeRawBufferPointer(segment))) != nil)
                digest.add(UnsafeRawBufferPointer(segment))
                // A user may encrypt in place: what follows must not depend on it.
                segment.initializeMemory(as: UInt8.self, repeating: 0xa5)
            }
            precondition(count == segmenter.count && count <= Segmenter.maximumSegments)
        } catch {
            digest.add(UInt64(error.rawValue))
        }
        return digest.value
    }

    /// Packets, each behind two bytes of length (big endian); a length beyond the end takes the
    /// rest. Cutting the groups again must give the same packets. The first byte's lowest bit
    /// turns UDP on.
    package static func coalesce(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let flags = bytes.first else { return 0 }
        var packets: [[UInt8]] = []
        var offset = 1
        while offset + 2 <= bytes.count {
            let length = Int(bytes[offset]) << 8 | Int(bytes[offset + 1])
            offset += 2
            let end = min(bytes.count, offset + length)
            if end > offset { packets.append(Array(bytes[offset..<end])) }
            offset = end
        }
        let groups = coalesceAndSegment(packets, coalesceUDP: flags & 1 != 0)
        let output = groups.flatMap { $0 }
        precondition(output.sorted(by: Self.precedes) == packets.sorted(by: Self.precedes))
        var digest = Digest()
        for packet in output { packet.withUnsafeBytes { digest.add($0) } }
        return digest.value
    }

    /// Puts packets through a coalescer, gathers each group as the kernel would, and cuts it
    /// again. One list of packets for each group.
    package static func coalesceAndSegment(
        _ packets: [[UInt8]], coalesceUDP: Bool
    ) -> [[[UInt8]]] {
        let buffers = packets.map { packet in
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: packet.count, alignment: 1)
            buffer.copyBytes(from: packet)
            return buffer
        }
        defer { buffers.forEach { $0.deallocate() } }
        var coalescer = Coalescer(capacity: packets.count, coalesceUDP: coalesceUDP)
        for buffer in buffers { precondition(coalescer.add(buffer)) }
        coalescer.close()
        return (0..<coalescer.groupCount).map { index in
            var gathered: [UInt8] = []
            for slice in coalescer.group(index) {
                gathered += UnsafeRawBufferPointer(start: slice.base, count: slice.count)
            }
            return cut(&gathered, expecting: coalescer.packetCount(ofGroup: index))
        }
    }

    /// Cuts what a TUN queue would read. A packet that no segmentation was asked for need not
    /// be one at all, and comes back as it is.
    private static func cut(_ read: inout [UInt8], expecting count: Int) -> [[UInt8]] {
        read.withUnsafeMutableBytes { bytes in
            let virtio = VirtioNetHeader(bytes.baseAddress!)
            let packet = UnsafeMutableRawBufferPointer(rebasing: bytes[VirtioNetHeader.size...])
            guard virtio != VirtioNetHeader() else { return [Array(packet)] }
            do throws(PacketProblem) {
                var segmenter = try Segmenter(packet, virtio)
                var output: [[UInt8]] = []
                while let segment = segmenter.next() { output.append(Array(segment)) }
                precondition(output.count == count)
                return output
            } catch {
                preconditionFailure("the segmenter refuses a group: \(error)")
            }
        }
    }

    private static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.lexicographicallyPrecedes(b)
    }

    /// FNV-1a.
    private struct Digest {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325

        mutating func add(_ number: UInt64) { value = (value ^ number) &* 0x100_0000_01b3 }
        mutating func add(_ bytes: UnsafeRawBufferPointer) {
            for byte in bytes { add(UInt64(byte)) }
        }
    }
}
