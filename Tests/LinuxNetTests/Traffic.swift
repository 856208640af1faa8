import Addresses
import Glibc
import LinuxNet
import Testing

/// Sockets in a namespace, closed in the end.
final class Traffic {
    static let datagram: Int32 = 2
    static let raw: Int32 = 3

    let namespace: NetworkNamespace
    private var descriptors: [Int32] = []

    init(in namespace: NetworkNamespace) { self.namespace = namespace }

    deinit { for fd in descriptors { close(fd) } }

    private func open(_ address: IPAddress, _ type: Int32, _ number: Int32 = 0) throws -> Int32 {
        let fd = try namespace.socket(address.isIPv4 ? AF_INET : AF_INET6, type, number)
        descriptors.append(fd)
        return fd
    }

    /// A UDP socket bound there, at any port for 0, and the port.
    func udp(_ address: String, port: UInt16 = 0) throws -> (fd: Int32, port: UInt16) {
        let address = try #require(IPAddress(address))
        let fd = try open(address, Self.datagram)
        try #require(Self.with(address, port) { bind(fd, $0, $1) } == 0)
        return (fd, Self.port(of: fd))
    }

    @discardableResult
    func send(_ fd: Int32, _ bytes: [UInt8], to address: String, port: UInt16 = 0) throws -> Int32 {
        let address = try #require(IPAddress(address))
        let sent = Self.with(address, port) { sendto(fd, bytes, bytes.count, 0, $0, $1) }
        return sent < 0 ? errno : 0
    }

    /// A connection over loopback, and the port it came from and went to.
    func tcp(_ address: String) throws -> (source: UInt16, destination: UInt16) {
        let address = try #require(IPAddress(address))
        let listener = try open(address, streamSocket)
        try #require(Self.with(address, 0) { bind(listener, $0, $1) } == 0)
        try #require(listen(listener, 4) == 0)
        let client = try open(address, streamSocket)
        let port = Self.port(of: listener)
        try #require(Self.with(address, port) { connect(client, $0, $1) } == 0)
        return (Self.port(of: client), port)
    }

    /// An ICMP message of eight bytes: 8 asks for an echo, 0 is an answer (RFC 792).
    func icmp(type: UInt8, identifier: UInt16, to address: String) throws {
        let fd = try open(try #require(IPAddress(address)), Self.raw, Int32(IPPROTO_ICMP))
        var words = [UInt16(type) << 8, 0, identifier, 1]
        let sum = words.reduce(UInt32(0)) { $0 + UInt32($1) }
        words[1] = ~UInt16(truncatingIfNeeded: (sum >> 16) + (sum & 0xffff))
        let bytes = words.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
        #expect(try send(fd, bytes, to: address) == 0)
    }

    /// What came, or nil when nothing does for some seconds.
    static func receive(_ fd: Int32) -> [UInt8]? {
        var wait = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, 5_000) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(fd, &bytes, bytes.count, 0)
        return count < 0 ? nil : Array(bytes[..<count])
    }

    private static func port(of fd: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(fd, $0, &length)
            }
        }
        // sockaddr_in and sockaddr_in6 have the port at 2.
        return withUnsafeBytes(of: storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    private static func with<T>(
        _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T
    ) -> T {
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.isIPv4 ? AF_INET : AF_INET6)
        withUnsafeMutableBytes(of: &storage) { raw in
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
