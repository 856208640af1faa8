package enum DiskOperation: String, Sendable {
    case open, list, read, write, truncate, sync, rename, remove, createDirectory
    case removeDirectory, syncDirectory, stat
}

/// What the system refused, where, and its error number.
package struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
    package var operation: DiskOperation
    package var path: String
    package var errno: Int32

    package init(_ operation: DiskOperation, _ path: String, errno: Int32) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    /// Linux's numbers (errno-base.h, errno.h): a pure room has no system headers.
    package static let notFound: Int32 = 2
    package static let inputOutput: Int32 = 5
    package static let noSpace: Int32 = 28

    package var isNotFound: Bool { errno == Self.notFound }
    /// The process, or the system, had no file descriptor or no memory left. Nothing was done, and
    /// it says nothing of the disk: a moment later it may be had.
    package var isShortage: Bool {
        [.open, .list, .syncDirectory].contains(operation) && [12, 23, 24].contains(errno)
    }
    package var isNoSpace: Bool { errno == Self.noSpace || errno == 122 }

    package var description: String {
        "cannot \(operation.rawValue) \(path): \(Self.text(errno))"
    }

    static func text(_ errno: Int32) -> String {
        switch errno {
        case 1: "operation not permitted (EPERM)"
        case 2: "no such file or directory (ENOENT)"
        case 5: "input/output error (EIO)"
        case 9: "bad file descriptor (EBADF)"
        case 12: "out of memory (ENOMEM)"
        case 13: "permission denied (EACCES)"
        case 16: "device or resource busy (EBUSY)"
        case 17: "file exists (EEXIST)"
        case 20: "not a directory (ENOTDIR)"
        case 21: "is a directory (EISDIR)"
        case 22: "invalid argument (EINVAL)"
        case 23: "too many open files in the system (ENFILE)"
        case 24: "too many open files (EMFILE)"
        case 27: "file too large (EFBIG)"
        case 28: "no space left on device (ENOSPC)"
        case 30: "read-only file system (EROFS)"
        case 36: "file name too long (ENAMETOOLONG)"
        case 39: "directory not empty (ENOTEMPTY)"
        case 116: "stale file handle (ESTALE)"
        case 122: "disk quota exceeded (EDQUOT)"
        default: "error \(errno)"
        }
    }
}
