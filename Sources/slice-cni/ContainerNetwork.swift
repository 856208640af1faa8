import Addresses
import CLinux
import CNIModel
import Glibc

/// Looks into a container's network namespace. The whole process moves there: it has one thread,
/// and ends soon.
enum ContainerNetwork {
    static func view(_ path: String) throws(CNIError) -> NamespaceView {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CNIError(
                errno == ENOENT ? .unknownContainer : .inputOutput,
                "cannot open the network namespace \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let entered = clinux_enter_network(descriptor)
        guard entered == 0 else {
            throw CNIError(
                .inputOutput,
                "cannot enter the network namespace \(path): \(String(cString: strerror(-entered)))"
            )
        }
        var view = NamespaceView()
        view.interfaces = addresses()
        // /proc/net is that of the process's first thread, which is the one that moved.
        view.routes =
            RouteTables.v4(try text("/proc/thread-self/net/route"))
            + RouteTables.v6((try? text("/proc/thread-self/net/ipv6_route")) ?? "")
        return view
    }

    private static func addresses() -> [String: [IPAddress]] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [:] }
        defer { freeifaddrs(list) }
        var found: [String: [IPAddress]] = [:]
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard entry.pointee.ifa_flags & UInt32(IFF_UP) != 0 else { continue }
            let name = String(cString: entry.pointee.ifa_name)
            found[name, default: []] += entry.pointee.ifa_addr.flatMap(address).map { [$0] } ?? []
        }
        return found
    }

    private static func address(_ pointer: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        let raw = UnsafeRawPointer(pointer)
        switch Int32(pointer.pointee.sa_family) {
        case AF_INET:
            return raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { socket in
                withUnsafeBytes(of: socket.pointee.sin_addr) { IPAddress(bytes: $0) }
            }
        case AF_INET6:
            return raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { socket in
                withUnsafeBytes(of: socket.pointee.sin6_addr) { IPAddress(bytes: $0) }
            }
        default: return nil
        }
    }

    private static func text(_ path: String) throws(CNIError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CNIError(
                .inputOutput, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < RouteTables.maximumBytes {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count <= 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
