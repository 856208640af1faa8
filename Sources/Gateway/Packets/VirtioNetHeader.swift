/// The 10 bytes in front of every packet on a TUN queue opened with `IFF_VNET_HDR`:
/// `struct virtio_net_hdr` of linux/virtio_net.h, in the byte order of this machine.
package struct VirtioNetHeader: Hashable, Sendable, BitwiseCopyable {
    package static let size = 10

    package var flags: UInt8 = 0
    package var gsoType: UInt8 = GSO.none
    /// Length of all headers. What the kernel says here may be wrong when it forwards.
    package var headerLength: UInt16 = 0
    /// Payload bytes of each segment but the last.
    package var segmentSize: UInt16 = 0
    /// Where the sum starts, and where the checksum stands, counted from there.
    package var checksumStart: UInt16 = 0
    package var checksumOffset: UInt16 = 0

    package enum Flag {
        /// The checksum field holds only the pseudo header's sum.
        package static let needsChecksum: UInt8 = 1
        /// The kernel (or a device) found the checksum right.
        package static let dataValid: UInt8 = 2
    }

    package enum GSO {
        package static let none: UInt8 = 0
        package static let tcpV4: UInt8 = 1
        /// UDP fragmentation offload, which we never offer.
        package static let udp: UInt8 = 3
        package static let tcpV6: UInt8 = 4
        /// UDP segmentation offload: each segment its own datagram.
        package static let udpL4: UInt8 = 5
        /// The first segment alone carries CWR (RFC 3168).
        package static let ecnBit: UInt8 = 0x80
    }

    package init() {}

    /// Reads 10 bytes. The caller vouches for them.
    package init(_ base: UnsafeRawPointer) {
        flags = base.load(as: UInt8.self)
        gsoType = base.load(fromByteOffset: 1, as: UInt8.self)
        headerLength = base.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
        segmentSize = base.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        checksumStart = base.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        checksumOffset = base.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
    }

    /// Writes 10 bytes. The caller vouches for the room.
    package func store(to base: UnsafeMutableRawPointer) {
        base.storeBytes(of: flags, as: UInt8.self)
        base.storeBytes(of: gsoType, toByteOffset: 1, as: UInt8.self)
        base.storeBytes(of: headerLength, toByteOffset: 2, as: UInt16.self)
        base.storeBytes(of: segmentSize, toByteOffset: 4, as: UInt16.self)
        base.storeBytes(of: checksumStart, toByteOffset: 6, as: UInt16.self)
        base.storeBytes(of: checksumOffset, toByteOffset: 8, as: UInt16.self)
    }

    package var needsChecksum: Bool { flags & Flag.needsChecksum != 0 }
}
