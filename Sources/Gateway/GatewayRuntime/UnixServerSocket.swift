import Glibc

/// Why a Unix socket could not be opened, with what to do about it.
package enum UnixServerError: Error, Equatable, CustomStringConvertible {
    case pathTooLong(String)
    case inUse(String)
    case notASocket(String)
    case system(operation: String, path: String, errno: Int32)

    package var description: String {
        switch self {
        case .pathTooLong(let path):
            "\(path): a socket path may have \(UnixServerSocket.maximumPathBytes) bytes at most"
        case .inUse(let path):
            "\(path): another process is listening there; stop it first, or give this one "
                + "another name"
        case .notASocket(let path):
            "\(path): something that is not a socket is in the way; remove it"
        case .system(let operation, let path, let errno):
            "\(path): \(operation): \(String(cString: strerror(errno)))"
        }
    }
}

/// A listening Unix socket and its file. The file has its mode from the first moment on: Linux
/// gives a bound socket's file the mode of the socket itself (less the umask), so it is set
/// before the bind and no other thread's umask is touched.
package struct UnixServerSocket: Sendable {
    /// sun_path has 108 bytes, the last of them a zero (unix(7)).
    package static let maximumPathBytes = 107

    package let path: String
    package let descriptor: CInt
    private let identity: Identity

    /// Which file it was that we made: another may stand there when we go. The time is part of
    /// it, because file systems give the numbers of removed files out again.
    private struct Identity: Equatable {
        var device: UInt64
        var inode: UInt64
        var seconds: Int
        var nanoseconds: Int

        init?(_ path: String) {
            var info = stat()
            guard lstat(path, &info) == 0 else { return nil }
            device = UInt64(info.st_dev)
            inode = UInt64(info.st_ino)
            // Of content, which a socket's file never gets: chmod(2) leaves it.
            seconds = info.st_mtim.tv_sec
            nanoseconds = info.st_mtim.tv_nsec
        }
    }

    /// Opens `path`, making its directory if need be. What a dead process left there is
    /// replaced; what a live one listens on is not.
    package init(path: String, mode: mode_t = 0o600, directoryMode: mode_t = 0o755) throws {
        guard path.utf8.count <= Self.maximumPathBytes, path.utf8.first == 0x2f else {
            throw UnixServerError.pathTooLong(path)
        }
        try Self.makeDirectory(of: path, mode: directoryMode)
        let descriptor = try Self.makeSocket(path)
        // Its name comes when it listens: `wg` removes a socket file at which it is refused, and
        // between bind and listen everybody is.
        let early = Self.earlyName(path, descriptor)
        do {
            guard fchmod(descriptor, mode) == 0 else { throw Self.failed("fchmod", path) }
            unlink(early)
            guard Self.withAddress(early, { bind(descriptor, $0, $1) }) == 0 else {
                throw Self.failed("bind", path)
            }
            defer { unlink(early) }
            guard listen(descriptor, 128) == 0 else { throw Self.failed("listen", path) }
            if link(early, path) != 0 {
                guard errno == EEXIST else { throw Self.failed("bind", path) }
                try Self.removeStale(path)
                guard link(early, path) == 0 else { throw Self.failed("bind", path) }
            }
            guard let identity = Identity(path) else { throw Self.failed("stat", path) }
            // A umask may only have taken bits away; the owner's must be there.
            guard chmod(path, mode) == 0 else { throw Self.failed("chmod", path) }
            self.path = path
            self.descriptor = descriptor
            self.identity = identity
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Whether the file is still the one we made.
    package var isInPlace: Bool { Identity(path) == identity }

    /// Removes the file, unless it is somebody else's by now.
    package func removeFile() {
        if isInPlace { unlink(path) }
    }

    private static func makeDirectory(of path: String, mode: mode_t) throws {
        var index = path.index(after: path.startIndex)
        while let slash = path[index...].firstIndex(of: "/") {
            let directory = String(path[..<slash])
            if mkdir(directory, mode) != 0, errno != EEXIST {
                // A directory above may be unwritable or on a read-only file system and yet be
                // there, which is all that matters.
                let error = errno
                var info = stat()
                guard stat(directory, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
                    throw UnixServerError.system(
                        operation: "mkdir", path: directory, errno: error)
                }
            }
            index = path.index(after: slash)
        }
    }

    /// A short name in the same directory, of this socket of this process alone, which `wg` does
    /// not take for a socket of an interface. Paths have little room.
    private static func earlyName(_ path: String, _ descriptor: CInt) -> String {
        let directory = path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex)
        let name = "\(directory).\(getpid())-\(descriptor)"
        return name.utf8.count <= maximumPathBytes ? name : "\(directory).~"
    }

    private static func makeSocket(_ path: String) throws -> CInt {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(AF_UNIX, CInt(type), 0)
        guard descriptor >= 0 else { throw failed("socket", path) }
        return descriptor
    }

    /// Nobody answers at a dead process's socket: connect(2) says ECONNREFUSED.
    private static func removeStale(_ path: String) throws {
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT { return }
            throw failed("stat", path)
        }
        guard info.st_mode & S_IFMT == S_IFSOCK else { throw UnixServerError.notASocket(path) }
        let probe = try makeSocket(path)
        defer { close(probe) }
        let connected = withAddress(path) { connect(probe, $0, $1) }
        // EAGAIN: its backlog is full, so there is somebody.
        if connected == 0 || errno == EAGAIN { throw UnixServerError.inUse(path) }
        guard errno == ECONNREFUSED else { throw failed("connect", path) }
        guard unlink(path) == 0 || errno == ENOENT else { throw failed("unlink", path) }
    }

    private static func failed(_ operation: String, _ path: String) -> UnixServerError {
        .system(operation: operation, path: path, errno: errno)
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
