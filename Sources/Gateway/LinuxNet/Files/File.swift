import Glibc

/// Whole files, bounded.
package enum File {
    /// EFBIG beyond the limit.
    package static func read(
        _ path: String, limitBytes: Int = 1 << 20
    ) throws(LinuxError) -> [UInt8] {
        let fd = try openForReading(path)
        defer { close(fd) }
        return try read(fd, path, limitBytes: limitBytes)
    }

    /// ENOENT if it is not there.
    package static func remove(_ path: String) throws(LinuxError) {
        try check(system { Int(unlink(path)) }, "remove", path)
    }

    /// Replaces what is called `new`, if there is such a file.
    package static func rename(_ old: String, to new: String) throws(LinuxError) {
        try check(system { Int(Glibc.rename(old, new)) }, "rename", old, "to \(new)")
    }

    static func openForReading(_ path: String) throws(LinuxError) -> Int32 {
        // Not to hang on a pipe that somebody put there.
        let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        return Int32(try check(system { Int(open(path, flags)) }, "open", path))
    }

    static func read(_ fd: Int32, _ path: String, limitBytes: Int) throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = try check(
                system { Glibc.read(fd, &chunk, chunk.count) }, "read", path)
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if bytes.count > limitBytes {
                throw LinuxError(
                    "read", path, errno: EFBIG, detail: "more than \(limitBytes) bytes")
            }
        }
    }

    /// In one write, as /proc wants it.
    static func overwrite(_ path: String, _ text: String) throws(LinuxError) {
        let fd = Int32(
            try check(system { Int(open(path, O_WRONLY | O_CLOEXEC)) }, "open", path))
        defer { close(fd) }
        let bytes = Array(text.utf8)
        try check(system { write(fd, bytes, bytes.count) }, "write", path)
    }

    static func writeAll(
        _ fd: Int32, _ bytes: [UInt8], _ operation: String, _ path: String
    ) throws(LinuxError) {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { rest in
                system { write(fd, rest.baseAddress, rest.count) }
            }
            done += try check(count, operation, path)
        }
    }

    /// The directory that holds `path`, and the name in it.
    package static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        let directory = String(path[..<slash])
        return (directory.isEmpty ? "/" : directory, String(path[path.index(after: slash)...]))
    }
}
