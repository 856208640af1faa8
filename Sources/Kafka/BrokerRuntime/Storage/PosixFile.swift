import CommitLog
import Glibc
import NIOCore

/// An open file of the system. The descriptor is closed with the last reference.
final class PosixFile: DiskFile {
    let path: String
    private let handle: NIOFileHandle
    private let descriptor: CInt

    init(path: String, create: Bool) throws(DiskError) {
        self.path = path
        let flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0)
        descriptor = Glibc.open(path, flags, 0o640)
        guard descriptor >= 0 else { throw DiskError(.open, path, errno: errno) }
        handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: descriptor)
    }

    deinit { try? handle.close() }

    /// For sendfile(2).
    func region(_ offset: Int64, _ length: Int) -> NIOCore.FileRegion {
        NIOCore.FileRegion(
            fileHandle: handle, readerIndex: Int(offset), endIndex: Int(offset) + length)
    }

    func size() throws(DiskError) -> Int64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw DiskError(.stat, path, errno: errno) }
        return Int64(status.st_size)
    }

    func read(at offset: Int64, count: Int) throws(DiskError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: CInt = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
            var done = 0
            while done < count {
                let result = pread(
                    descriptor, space.baseAddress.map { $0 + done }, count - done,
                    off_t(offset) + off_t(done))
                if result > 0 {
                    done += result
                } else if result == 0 {
                    break
                } else if errno != EINTR {
                    failure = errno
                    break
                }
            }
            return done
        }
        guard failure == 0 else { throw DiskError(.read, path, errno: failure) }
        return buffer
    }

    func write(at offset: Int64, _ bytes: ByteBuffer) throws(DiskError) {
        let failure: CInt = bytes.withUnsafeReadableBytes { data in
            var done = 0
            while done < data.count {
                let result = pwrite(
                    descriptor, data.baseAddress.map { $0 + done }, data.count - done,
                    off_t(offset) + off_t(done))
                if result >= 0 {
                    done += result
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
        guard failure == 0 else { throw DiskError(.write, path, errno: failure) }
    }

    func truncate(to size: Int64) throws(DiskError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw DiskError(.truncate, path, errno: errno)
        }
    }

    func sync() throws(DiskError) {
        // The size is metadata that reading needs, so fdatasync(2) writes it too.
        guard fdatasync(descriptor) == 0 else { throw DiskError(.sync, path, errno: errno) }
    }
}
