import Glibc

/// Files that hold keys.
package enum SecretFile {
    /// Refuses a file that others could have read (group or others have any right to it) or
    /// written (it belongs neither to root nor to this user).
    package static func read(
        _ path: String, limitBytes: Int = 65_536
    ) throws(LinuxError) -> [UInt8] {
        let fd = try File.openForReading(path)
        defer { close(fd) }
        var info = stat()
        try check(system { Int(fstat(fd, &info)) }, "inspect", path)
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw LinuxError("use secret", path, errno: EINVAL, detail: "it is not a regular file")
        }
        guard info.st_uid == 0 || info.st_uid == geteuid() else {
            throw LinuxError(
                "use secret", path, errno: EACCES,
                detail: "it belongs to user \(info.st_uid): run `chown root \(path)`")
        }
        guard info.st_mode & 0o077 == 0 else {
            throw LinuxError(
                "use secret", path, errno: EACCES,
                detail: "others can read or change it: run `chmod 600 \(path)`")
        }
        return try File.read(fd, path, limitBytes: limitBytes)
    }

    package static func write(_ path: String, _ bytes: [UInt8]) throws(LinuxError) {
        try AtomicFile.write(path, bytes, mode: 0o600)
    }
}
