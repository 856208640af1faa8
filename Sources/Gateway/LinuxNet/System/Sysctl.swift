import Glibc

/// Kernel settings under /proc/sys. Those of `net` are the ones of the namespace of the thread
/// that reads them, whoever mounted /proc, so it is enough to be on a thread inside.
package enum Sysctl {
    /// `key` with slashes, `net/ipv4/conf/v0/rp_filter`: interface names may hold dots.
    package static func read(
        _ key: String, in namespace: NetworkNamespace? = nil
    ) throws(LinuxError) -> String {
        let path = try path(of: key, "read")
        let bytes: [UInt8]
        if let namespace {
            bytes = try namespace.perform { () throws(LinuxError) in try File.read(path) }
        } else {
            bytes = try File.read(path)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.last == "\n" ? String(text.dropLast()) : text
    }

    package static func write(
        _ key: String, _ value: String, in namespace: NetworkNamespace? = nil
    ) throws(LinuxError) {
        let path = try path(of: key, "write")
        if let namespace {
            try namespace.perform { () throws(LinuxError) in try File.overwrite(path, value) }
        } else {
            try File.overwrite(path, value)
        }
    }

    private static func path(of key: String, _ operation: String) throws(LinuxError) -> String {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && !$0.contains("\0") })
        else { throw LinuxError(operation, "sysctl \(key)", errno: EINVAL) }
        return "/proc/sys/\(key)"
    }
}
