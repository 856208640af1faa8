import Addresses
import CLinux
import Glibc

/// The underlay socket of one tunnel: dual stack where the host has IPv6, so one thread waits
/// for one descriptor. It stays in the network namespace in which it was opened.
package final class UDPSocket: Sendable {
    package let descriptor: Int32
    /// 6 (dual stack) or 4.
    package let family: Int32
    package let port: UInt16
    /// Whether one send may carry many messages (UDP_SEGMENT, kernel 4.18).
    package let canSegment: Bool
    /// Whether one receive may carry many messages (UDP_GRO, kernel 5.0).
    package let canCoalesce: Bool

    /// Opens on every address of the host. Port 0 lets the kernel choose.
    package convenience init(port: UInt16) throws(LinuxError) {
        try self.init(port: port, besideOthers: false)
    }

    private init(port: UInt16, besideOthers: Bool) throws(LinuxError) {
        var family: Int32 = 6
        var fd = clinux_udp_open(6, port, besideOthers ? 1 : 0)
        if fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL {
            family = 4
            fd = clinux_udp_open(4, port, besideOthers ? 1 : 0)
        }
        guard fd >= 0 else {
            throw LinuxError("open UDP port", "\(port)", errno: -fd)
        }
        descriptor = fd
        self.family = family
        self.port = UInt16(clamping: clinux_udp_port(fd))
        canSegment = clinux_udp_probe_segment(fd) == 0
        canCoalesce = clinux_udp_enable_gro(fd) == 0
        _ = clinux_udp_enable_tos(fd, family)
        _ = clinux_udp_set_buffers(fd, Self.bufferBytes, Self.bufferBytes)
    }

    deinit { close(descriptor) }

    /// Several sockets at one port (SO_REUSEPORT, socket(7)); `divide` says which gets what.
    /// EADDRINUSE as with one: the first is bound alone.
    ///
    /// The option stays on: the kernel looks at it with each datagram, and without it gives all to
    /// one of them. So another program of the same user may join later, if it asks for that. On
    /// every address it gets nothing, as none of it is for a socket of its number.
    package static func open(port: UInt16, count: Int) throws(LinuxError) -> [UDPSocket] {
        let first = try UDPSocket(port: port)
        guard count > 1 else { return [first] }
        var all = [first]
        try first.share()
        for _ in 1..<count {
            all.append(try UDPSocket(port: first.port, besideOthers: true))
        }
        return all
    }

    private static let bufferBytes: Int32 = 4 << 20
    /// So many a buffer holds at most: the kernel takes twice its size, and at least 768 bytes for
    /// a datagram.
    package static let mostDatagrams = 2 * Int(bufferBytes) / 768

    private func share() throws(LinuxError) {
        let result = clinux_udp_share_port(descriptor)
        if result < 0 {
            throw LinuxError("share UDP port", "\(port)", errno: -result)
        }
    }

    /// Marks what is sent for the host's policy routing (SO_MARK). 0 is no mark.
    package func setFirewallMark(_ mark: UInt32) throws(LinuxError) {
        let result = clinux_udp_set_mark(descriptor, mark)
        if result < 0 {
            throw LinuxError("set firewall mark of UDP port", "\(port)", errno: -result)
        }
    }
}

extension clinux_address {
    package init(_ endpoint: IPEndpoint) {
        self.init()
        port = endpoint.port
        scope = endpoint.scope
        switch endpoint.address {
        case .v4(let a):
            family = 4
            withUnsafeMutableBytes(of: &bytes) {
                $0.storeBytes(of: a.value.bigEndian, as: UInt32.self)
            }
        case .v6(let a):
            family = 6
            withUnsafeMutableBytes(of: &bytes) {
                $0.storeBytes(of: a.high.bigEndian, as: UInt64.self)
                $0.storeBytes(of: a.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
        }
    }

    package var endpoint: IPEndpoint {
        withUnsafeBytes(of: bytes) { raw in
            if family == 4 {
                let value = UInt32(bigEndian: raw.loadUnaligned(as: UInt32.self))
                return IPEndpoint(.v4(IPv4Address(value)), port: port)
            }
            let high = UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self))
            let low = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            return IPEndpoint(
                .v6(IPv6Address(high: high, low: low)), port: port,
                scope: high >> 54 == 0xfe80 >> 6 ? scope : 0)
        }
    }
}
