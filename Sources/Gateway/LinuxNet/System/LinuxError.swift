import CLinux
import Glibc

/// What the kernel refused, on which object, and why. Everything this room throws is one of these.
package struct LinuxError: Error, Hashable, Sendable {
    /// What was tried, as a verb: `move`, `add route`.
    package var operation: String
    /// On what: an interface, a namespace, a path.
    package var object: String
    /// The rest of the sentence, such as `into namespace kafka-0`. May be empty.
    package var context: String
    package var errno: Int32
    /// What the kernel or a library said in words (netlink extended acknowledgement, nft).
    package var detail: String?

    package init(
        _ operation: String, _ object: String, _ context: String = "", errno: Int32,
        detail: String? = nil
    ) {
        self.operation = operation
        self.object = object
        self.context = context
        self.errno = errno
        self.detail = detail
    }

    /// Such as `ENODEV`.
    package var errnoName: String {
        clinux_error_name(errno).map { String(cString: $0) } ?? "errno \(errno)"
    }

    package var exists: Bool { errno == EEXIST }
    /// The object is not there: interface, address, route, namespace or file.
    package var isAbsent: Bool {
        [ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL, ENXIO].contains(errno)
    }
    package var isPermission: Bool { errno == EPERM || errno == EACCES }

    /// What the reader can do about it, where that is known.
    package var hint: String? {
        switch errno {
        case EPERM where object.hasPrefix("/proc/sys/"):
            "needs root in this namespace, and /proc/sys mounted writable"
        case EPERM where operation.contains("namespace") || context.contains("namespace"):
            "needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run as root"
        case EPERM where operation == "attach" || operation.contains("device"):
            "needs CAP_NET_ADMIN in the namespace"
        case EPERM:
            "needs CAP_NET_ADMIN: run as root or give the process that capability"
        case EACCES:
            "check the owner and mode of the file, and that the process runs as root"
        case ENOENT where object == "/dev/net/tun":
            "load the module with `modprobe tun`, or give the container the device"
        case ENODEV where object == "/dev/net/tun":
            "the kernel has no TUN driver: load it with `modprobe tun`"
        case EBUSY where operation == "attach":
            "another process holds the device: stop it first"
        case EOPNOTSUPP, EAFNOSUPPORT, EPROTONOSUPPORT:
            "the kernel was built without this feature, or its module is not loaded"
        case ENOSPC, EDQUOT: "free some space: nothing was changed"
        case EROFS: "the file system is mounted read-only"
        case EMFILE: "too many open files: raise LimitNOFILE"
        default: nil
        }
    }
}

extension LinuxError: CustomStringConvertible {
    package var description: String {
        let reason =
            clinux_error_text(errno).map { "\(String(cString: $0)) (\(errnoName))" } ?? errnoName
        var text = "cannot \(operation) \(object)"
        if !context.isEmpty { text += " \(context)" }
        text += ": \(reason)"
        if let detail, !detail.isEmpty { text += ": \(detail)" }
        if let hint { text += "; \(hint)" }
        return text
    }
}

/// Repeats a call while a signal interrupts it. The result is not negative, or the negated errno.
@inline(__always)
func system(_ call: () -> Int) -> Int {
    while true {
        let result = call()
        if result >= 0 { return result }
        let code = errno
        if code != EINTR { return -Int(code) }
    }
}

/// The same for calls of CLinux, which negate the errno themselves.
@inline(__always)
func shim(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result != -EINTR { return result }
    }
}

@discardableResult
func check<T: BinaryInteger>(
    _ result: T, _ operation: String, _ object: @autoclosure () -> String,
    _ context: @autoclosure () -> String = "", detail: @autoclosure () -> String? = nil
) throws(LinuxError) -> T {
    guard result < 0 else { return result }
    throw LinuxError(
        operation, object(), context(), errno: Int32(truncatingIfNeeded: -Int(result)),
        detail: detail())
}
