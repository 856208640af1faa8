import Glibc
import Synchronization

/// Replaces a file so that after a crash it is either the old or the new one, whole: write beside
/// it, fsync, rename over it, fsync the directory.
package enum AtomicFile {
    private static let serial = Atomic<UInt64>(0)
    private static let suffix = ".tmp"

    package static func write(
        _ path: String, _ bytes: [UInt8], mode: mode_t = 0o644
    ) throws(LinuxError) {
        let (directory, name) = File.split(path)
        guard !name.isEmpty, name != ".", name != ".." else {
            throw LinuxError("write", path, errno: EISDIR)
        }
        let number = serial.add(1, ordering: .relaxed).newValue
        let temporary = "\(directory)/.\(name).\(getpid()).\(number)\(suffix)"
        do {
            try fill(temporary, bytes, mode, for: path)
            try check(system { Int(rename(temporary, path)) }, "replace", path)
        } catch {
            unlink(temporary)
            throw error
        }
        // So that the rename itself is on disk.
        try Directory.synchronize(directory)
    }

    package static func write(
        _ path: String, text: String, mode: mode_t = 0o644
    ) throws(LinuxError) {
        try write(path, Array(text.utf8), mode: mode)
    }

    /// Errors name the file that is being replaced, not the temporary one.
    private static func fill(
        _ temporary: String, _ bytes: [UInt8], _ mode: mode_t, for path: String
    ) throws(LinuxError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let fd = Int32(try check(system { Int(open(temporary, flags, mode)) }, "write", path))
        defer { close(fd) }
        // The umask may have taken bits away.
        try check(system { Int(fchmod(fd, mode)) }, "set the mode of", path)
        try File.writeAll(fd, bytes, "write", path)
        try check(system { Int(fsync(fd)) }, "write", path)
    }

    /// Takes away what writers that were killed left behind. For whoever holds the directory's
    /// lock. Returns the names.
    @discardableResult
    package static func removeLeftovers(in directory: String) throws(LinuxError) -> [String] {
        let names = try Directory.names(directory).filter { name in
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard name.hasPrefix("."), name.hasSuffix(suffix), parts.count >= 5 else {
                return false
            }
            return parts.dropLast().suffix(2).allSatisfy { UInt64($0) != nil }
        }
        for name in names {
            let path = "\(directory)/\(name)"
            try check(system { Int(unlink(path)) }, "remove", path)
        }
        return names
    }
}

package enum Directory {
    /// So that what was renamed, made or removed in it is on disk.
    package static func synchronize(_ directory: String) throws(LinuxError) {
        let fd = Int32(
            try check(
                system { Int(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) }, "open",
                directory))
        defer { close(fd) }
        let result = system { Int(fsync(fd)) }
        // Some file systems have no fsync for directories.
        if result != -Int(EINVAL) { try check(result, "synchronize", directory) }
    }

    /// Sorted, without `.` and `..`.
    package static func names(_ path: String) throws(LinuxError) -> [String] {
        guard let stream = opendir(path) else {
            throw LinuxError("list", path, errno: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Makes it, and the ones above it, unless it is there.
    package static func create(_ path: String, mode: mode_t = 0o755) throws(LinuxError) {
        let result = system { Int(mkdir(path, mode)) }
        if result == -Int(EEXIST) {
            var info = stat()
            if stat(path, &info) == 0, info.st_mode & S_IFMT != S_IFDIR {
                throw LinuxError("create directory", path, errno: ENOTDIR)
            }
            return
        }
        let above = File.split(path).directory
        if result == -Int(ENOENT), above != path, above != "." {
            try create(above)
            try check(system { Int(mkdir(path, mode)) }, "create directory", path)
        } else {
            try check(result, "create directory", path)
        }
    }
}
