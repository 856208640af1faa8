import Addresses
import Glibc
import LinuxNet
import NIOCore

/// Sockets that are born in a router namespace and stay there, whichever thread reads them.
enum NameSockets {
    // linux/in.h and linux/in6.h
    private static let ipFreebind: Int32 = 15
    private static let ipv6Freebind: Int32 = 78
    // SOCK_STREAM, SOCK_DGRAM and SOCK_NONBLOCK (socket(2))
    private static let stream: Int32 = 1
    private static let datagram: Int32 = 2
    private static let nonblocking: Int32 = 0o4000

    /// A bound socket; of a stream, it listens.
    static func bound(
        in namespace: NetworkNamespace, to address: IPAddress, port: UInt16, isStream: Bool
    ) throws(LinuxError) -> Int32 {
        let family = address.isIPv4 ? AF_INET : AF_INET6
        let kind = isStream ? stream : datagram
        let fd = try namespace.socket(family, kind | nonblocking)
        do throws(LinuxError) {
            let object = "\(address) port \(port) for \(isStream ? "TCP" : "UDP")"
            if isStream { try set(fd, SOL_SOCKET, SO_REUSEADDR, "share", object) }
            if !address.isIPv4 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, "bind", object) }
            // The device that has the address may be away just now, and is put back.
            if address.isIPv4 {
                try set(fd, Int32(IPPROTO_IP), ipFreebind, "bind", object)
            } else {
                try set(fd, Int32(IPPROTO_IPV6), ipv6Freebind, "bind", object)
            }
            guard withSocketAddress(address, port: port, { bind(fd, $0, $1) }) == 0 else {
                throw LinuxError("bind", object, "in \(namespace)", errno: errno)
            }
            if isStream {
                guard listen(fd, 128) == 0 else {
                    throw LinuxError("listen on", object, "in \(namespace)", errno: errno)
                }
            }
        } catch {
            close(fd)
            throw error
        }
        return fd
    }

    private static func set(
        _ fd: Int32, _ level: Int32, _ name: Int32, _ operation: String, _ object: String
    ) throws(LinuxError) {
        var on: Int32 = 1
        guard setsockopt(fd, level, name, &on, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw LinuxError(operation, object, errno: errno)
        }
    }

    static func withSocketAddress<T>(
        _ address: IPAddress, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T
    ) -> T {
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.isIPv4 ? AF_INET : AF_INET6)
        withUnsafeMutableBytes(of: &storage) { raw in
            // The port is at 2; sockaddr_in has the address at 4, sockaddr_in6 at 8.
            raw[2] = UInt8(port >> 8)
            raw[3] = UInt8(port & 0xff)
            let offset = address.isIPv4 ? 4 : 8
            for (index, byte) in address.bytes.enumerated() { raw[offset + index] = byte }
        }
        let size =
            address.isIPv4
            ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(size))
            }
        }
    }
}

extension IPAddress {
    /// Nil if it is of neither family.
    init?(_ address: SocketAddress?) {
        let found: IPAddress? = address?.withSockAddr { pointer, size in
            let raw = UnsafeRawBufferPointer(start: pointer, count: size)
            // The address is where `withSocketAddress` puts it.
            switch Int32(pointer.pointee.sa_family) {
            case AF_INET where size >= 8: return IPAddress(bytes: Array(raw[4..<8]))
            case AF_INET6 where size >= 24: return IPAddress(bytes: Array(raw[8..<24]))
            default: return nil
            }
        }
        guard let found else { return nil }
        self = found
    }
}
