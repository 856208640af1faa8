import CommitLog
import Glibc
import NIOCore

/// The system's files and directories.
package final class PosixDisk: Disk {
    package init() {}

    package func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
        try PosixFile(path: path, create: create)
    }

    package func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        guard let directory = opendir(path) else { throw DiskError(.list, path, errno: errno) }
        defer { closedir(directory) }
        var entries: [DiskEntry] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw DiskError(.list, path, errno: errno) }
                break
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            var status = stat()
            guard fstatat(dirfd(directory), name, &status, 0) == 0 else {
                if errno == ENOENT { continue }
                throw DiskError(.stat, DiskPath.join(path, name), errno: errno)
            }
            entries.append(
                DiskEntry(
                    name: name, isDirectory: status.st_mode & S_IFMT == S_IFDIR,
                    size: Int64(status.st_size),
                    modifiedMs: Int64(status.st_mtim.tv_sec) * 1000
                        + Int64(status.st_mtim.tv_nsec) / 1_000_000))
        }
        return entries.sorted { $0.name < $1.name }
    }

    package func createDirectory(_ path: String) throws(DiskError) {
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else {
            throw DiskError(.createDirectory, path, errno: errno)
        }
    }

    package func rename(_ from: String, to: String) throws(DiskError) {
        guard Glibc.rename(from, to) == 0 else { throw DiskError(.rename, from, errno: errno) }
    }

    package func remove(_ path: String) throws(DiskError) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw DiskError(.remove, path, errno: errno)
        }
    }

    package func removeDirectory(_ path: String) throws(DiskError) {
        guard rmdir(path) == 0 || errno == ENOENT else {
            throw DiskError(.removeDirectory, path, errno: errno)
        }
    }

    package func syncDirectory(_ path: String) throws(DiskError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError(.syncDirectory, path, errno: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DiskError(.syncDirectory, path, errno: errno) }
    }

    package func space(_ path: String) throws(DiskError) -> DiskSpace {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw DiskError(.stat, path, errno: errno) }
        let block = Int64(status.f_frsize)
        return DiskSpace(
            totalBytes: Int64(status.f_blocks) * block, freeBytes: Int64(status.f_bavail) * block)
    }
}
