import CLinux
import Glibc

/// One process at a time (flock(2)). The kernel lets go when the process ends, however it ends.
package final class FileLock: Sendable {
    package let path: String
    private let fd: Int32

    /// EWOULDBLOCK, with the holder's process id, if somebody else has it.
    package init(_ path: String) throws(LinuxError) {
        self.path = path
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW
        let fd = Int32(try check(system { Int(open(path, flags, 0o600)) }, "lock", path))
        do throws(LinuxError) {
            let result = Int(shim { clinux_flock_exclusive(fd) })
            if result == -Int(EWOULDBLOCK) {
                let text = (try? File.read(fd, path, limitBytes: 64)) ?? []
                let holder = Int32(
                    String(decoding: text.prefix { $0 != 10 }, as: UTF8.self)
                ).map { "process \($0)" }
                throw LinuxError(
                    "lock", path, errno: EWOULDBLOCK,
                    detail: "held by \(holder ?? "another process")")
            }
            try check(result, "lock", path)
            // The id is a courtesy to the next one: a full disk must not stop a daemon.
            _ = ftruncate(fd, 0)
            let text = Array("\(getpid())\n".utf8)
            _ = pwrite(fd, text, text.count, 0)
        } catch {
            close(fd)
            throw error
        }
        self.fd = fd
    }

    /// The file stays: removing it would let two processes lock two files of one name.
    deinit { close(fd) }
}
