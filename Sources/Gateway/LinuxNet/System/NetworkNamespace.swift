import CLinux
import Glibc

/// An open network namespace. Holding it keeps the namespace alive.
package final class NetworkNamespace: Sendable {
    /// Which namespace it is, however it was reached: nsfs device and inode.
    package struct Identity: Hashable, Sendable {
        package let device: UInt64
        package let inode: UInt64

        package init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    package let fd: Int32
    package let identity: Identity
    /// How it was named when it was opened, for messages.
    package let label: String

    /// Takes over `fd`.
    private init(fd: Int32, label: String) throws(LinuxError) {
        var info = stat()
        let result = system { Int(fstat(fd, &info)) }
        if result < 0 { close(fd) }
        try check(result, "inspect", "namespace \(label)")
        self.fd = fd
        self.label = label
        identity = Identity(device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
    }

    deinit { close(fd) }

    /// Not /proc/self: that shows the main thread, which may be elsewhere.
    private static let ownPath = "/proc/thread-self/ns/net"

    /// The calling thread's.
    package static func current() throws(LinuxError) -> NetworkNamespace {
        try NetworkNamespace(path: ownPath, label: "of this process")
    }

    package convenience init(path: String) throws(LinuxError) {
        try self.init(path: path, label: path)
    }

    package convenience init(pid: Int32) throws(LinuxError) {
        try self.init(path: "/proc/\(pid)/ns/net", label: "of process \(pid)")
    }

    /// One that `ip netns` knows.
    package static func named(_ name: String) throws(LinuxError) -> NetworkNamespace {
        try checkName(name, "open")
        return try NetworkNamespace(path: path(of: name), label: name)
    }

    private convenience init(path: String, label: String) throws(LinuxError) {
        let fd = try Self.open(path, label: label)
        try self.init(fd: fd, label: label)
    }

    private static func open(_ path: String, label: String) throws(LinuxError) -> Int32 {
        let fd = Int32(
            try check(
                system { Int(Glibc.open(path, O_RDONLY | O_CLOEXEC)) }, "open",
                "namespace \(label)"))
        // NSFS_MAGIC of linux/magic.h: a plain file at that path is litter, not a namespace.
        guard clinux_filesystem_type(fd) == 0x6e73_6673 else {
            close(fd)
            throw LinuxError(
                "open", "namespace \(label)", errno: EINVAL, detail: "\(path) is not a namespace")
        }
        return fd
    }

    /// A fresh namespace without a name: it lives as long as something holds it. Its loopback
    /// is up.
    package static func anonymous() throws(LinuxError) -> NetworkNamespace {
        try onFreshThread { () throws(LinuxError) in
            try check(clinux_unshare_network(), "create", "network namespace")
            try bringLoopbackUp()
            return try NetworkNamespace(path: ownPath, label: "without a name")
        }
    }

    /// Runs `body` inside the namespace, on a thread made for it, and returns what it returned.
    package func run<T>(_ body: () throws -> T) throws -> T {
        try PosixThread.runToEnd(name: "netns") {
            try enter()
            return try body()
        }
    }

    /// As `run`, for bodies that throw only this room's errors.
    package func perform<T>(_ body: () throws(LinuxError) -> T) throws(LinuxError) -> T {
        try Self.onFreshThread { () throws(LinuxError) in
            try enter()
            return try body()
        }
    }

    /// A socket that belongs to this namespace for its whole life, whoever uses it.
    package func socket(
        _ family: Int32, _ type: Int32, _ number: Int32 = 0
    ) throws(LinuxError) -> Int32 {
        try perform { () throws(LinuxError) in
            Int32(
                try check(
                    system { Int(Glibc.socket(family, type | Int32(clinux_sock_cloexec), number)) },
                    "open", "socket", "in namespace \(label)"))
        }
    }

    /// For a thread of our own that stays inside for as long as it lives. No other thread may
    /// call it: whoever comes later would run in the wrong place.
    package func enterForGood() throws(LinuxError) { try enter() }

    private func enter() throws(LinuxError) {
        try check(clinux_enter_network(fd), "enter", "namespace \(label)")
    }

    static func onFreshThread<T>(
        _ body: () throws(LinuxError) -> T
    ) throws(LinuxError) -> T {
        do {
            return try PosixThread.runToEnd(name: "netns", body)
        } catch let error as LinuxError {
            throw error
        } catch {
            preconditionFailure("the body throws only LinuxError")
        }
    }

    static func bringLoopbackUp() throws(LinuxError) {
        try Netlink().setUp("lo", true)
    }
}

extension NetworkNamespace: Hashable {
    package static func == (a: NetworkNamespace, b: NetworkNamespace) -> Bool {
        a.identity == b.identity
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(identity) }
}

extension NetworkNamespace: CustomStringConvertible {
    package var description: String { "namespace \(label)" }
}
