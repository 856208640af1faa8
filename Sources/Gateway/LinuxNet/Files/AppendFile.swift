import Glibc

/// A file that only ever grows: O_APPEND, for its owner alone.
package final class AppendFile {
    package let path: String
    private let fd: Int32
    private let identity: FileIdentity
    /// As far as it was written or found.
    package private(set) var size: Int

    /// Makes it unless it is there; nothing but a regular file will do.
    package init(_ path: String, mode: mode_t = 0o600) throws(LinuxError) {
        self.path = path
        // Not to hang on a pipe that somebody put there.
        let flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let fd = Int32(try check(system { Int(open(path, flags, mode)) }, "open", path))
        do throws(LinuxError) {
            var info = stat()
            try check(system { Int(fstat(fd, &info)) }, "inspect", path)
            guard info.st_mode & S_IFMT == S_IFREG else {
                throw LinuxError(
                    "open", path, errno: EINVAL, detail: "it is not a regular file")
            }
            if info.st_mode & 0o7777 != mode {
                try check(system { Int(fchmod(fd, mode)) }, "set the mode of", path)
            }
            identity = FileIdentity(info)
            size = Int(info.st_size)
        } catch {
            close(fd)
            throw error
        }
        self.fd = fd
    }

    deinit { close(fd) }

    /// In one write. Returns how many bytes went in, which may be fewer.
    package func append(_ bytes: ArraySlice<UInt8>) throws(LinuxError) -> Int {
        let count = bytes.withUnsafeBytes { bytes in
            system { write(fd, bytes.baseAddress, bytes.count) }
        }
        try check(count, "write", path)
        size += count
        return count
    }

    /// Returns when what was written is on the disk.
    package func synchronize() throws(LinuxError) {
        try check(system { Int(fsync(fd)) }, "synchronize", path)
    }

    /// The last bytes of it, at most so many.
    package func tail(limitBytes: Int) throws(LinuxError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: min(size, limitBytes))
        let start = size - bytes.count
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeMutableBytes { rest in
                system { pread(fd, rest.baseAddress, rest.count, start + done) }
            }
            try check(count, "read", path)
            if count == 0 { break }
            done += count
        }
        bytes.removeLast(bytes.count - done)
        return bytes
    }

    /// False once the path names another file, or none.
    package var isInPlace: Bool { FileIdentity(of: path) == identity }
}

/// One file, whatever it is called.
package struct FileIdentity: Hashable, Sendable {
    private let device: UInt
    private let inode: UInt

    init(_ info: stat) {
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
    }

    /// Nil if there is none.
    package init?(of path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        self.init(info)
    }
}

/// Reads a file of any size from its beginning, in pieces.
package final class FileReader {
    package let path: String
    private let fd: Int32
    package let identity: FileIdentity

    package init(_ path: String) throws(LinuxError) {
        self.path = path
        let fd = try File.openForReading(path)
        var info = stat()
        do throws(LinuxError) {
            try check(system { Int(fstat(fd, &info)) }, "inspect", path)
            guard info.st_mode & S_IFMT == S_IFREG else {
                throw LinuxError("read", path, errno: EINVAL, detail: "it is not a regular file")
            }
        } catch {
            close(fd)
            throw error
        }
        self.fd = fd
        identity = FileIdentity(info)
    }

    deinit { close(fd) }

    /// Goes on this far from the end, or at the beginning if that is nearer.
    package func seek(fromEnd bytes: Int) throws(LinuxError) {
        var info = stat()
        try check(system { Int(fstat(fd, &info)) }, "inspect", path)
        try check(lseek(fd, max(0, Int(info.st_size) - bytes), SEEK_SET), "read", path)
    }

    /// Empty at the end.
    package func read(limitBytes: Int = 65_536) throws(LinuxError) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: limitBytes)
        let count = try check(
            system { Glibc.read(fd, &chunk, chunk.count) }, "read", path)
        chunk.removeLast(chunk.count - count)
        return chunk
    }
}
