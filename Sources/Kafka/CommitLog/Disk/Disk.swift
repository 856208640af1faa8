import NIOCore

/// Directories and files by path: all that the log asks of the machine.
///
/// Every call is synchronous and names its path and the system's error when it fails. The shell
/// implements it with system calls; tests implement it in memory, with faults.
package protocol Disk: AnyObject, Sendable {
    /// Opens a file for reading and writing. `create` makes it where it does not exist; without
    /// it a missing file is an error (`DiskError.isNotFound`).
    func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile

    /// What a directory holds, sorted by name, without `.` and `..`.
    func list(_ path: String) throws(DiskError) -> [DiskEntry]

    /// Makes a directory. One that exists already is no error.
    func createDirectory(_ path: String) throws(DiskError)

    /// Moves a file or directory in one step, in place of a file that may be there.
    func rename(_ from: String, to: String) throws(DiskError)

    /// Removes a file. One that does not exist is no error.
    func remove(_ path: String) throws(DiskError)

    /// Removes an empty directory.
    func removeDirectory(_ path: String) throws(DiskError)

    /// Makes what was created, renamed and removed in a directory survive a loss of power.
    func syncDirectory(_ path: String) throws(DiskError)

    /// Bytes in all, and bytes left, of the file system that holds the path.
    func space(_ path: String) throws(DiskError) -> DiskSpace
}

/// An open file. It is closed when the last reference is dropped, so that a reply on its way to
/// a client can still send from a segment that has been deleted in the meantime.
package protocol DiskFile: AnyObject, Sendable {
    var path: String { get }
    func size() throws(DiskError) -> Int64

    /// Up to `count` bytes: fewer only at the end of the file.
    func read(at offset: Int64, count: Int) throws(DiskError) -> ByteBuffer

    /// Writes all readable bytes, or throws; after an error any part of them may be in the file.
    func write(at offset: Int64, _ bytes: ByteBuffer) throws(DiskError)

    func truncate(to size: Int64) throws(DiskError)

    /// Makes the file's bytes and its size survive a loss of power.
    func sync() throws(DiskError)
}

package struct DiskEntry: Equatable, Sendable {
    package var name: String
    package var isDirectory: Bool
    package var size: Int64
    /// Milliseconds since 1970.
    package var modifiedMs: Int64

    package init(name: String, isDirectory: Bool, size: Int64, modifiedMs: Int64) {
        self.name = name
        self.isDirectory = isDirectory
        self.size = size
        self.modifiedMs = modifiedMs
    }
}

package struct DiskSpace: Equatable, Sendable {
    package var totalBytes: Int64
    package var freeBytes: Int64

    package init(totalBytes: Int64, freeBytes: Int64) {
        self.totalBytes = totalBytes
        self.freeBytes = freeBytes
    }
}

extension Disk {
    /// All bytes of a file, or nil where it does not exist or is larger than `limit`.
    package func readWhole(_ path: String, limit: Int) throws(DiskError) -> ByteBuffer? {
        let file: any DiskFile
        do {
            file = try open(path, create: false)
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
        let size = try file.size()
        guard size <= limit else { return nil }
        return try file.read(at: 0, count: Int(size))
    }

    /// Puts a file in place of another so that a crash leaves one of the two, whole.
    package func replace(
        _ path: String, with bytes: ByteBuffer, temporarySuffix: String = ".tmp"
    ) throws(DiskError) {
        let temporary = path + temporarySuffix
        let file = try open(temporary, create: true)
        try file.truncate(to: 0)
        try file.write(at: 0, bytes)
        try file.sync()
        try rename(temporary, to: path)
        try syncDirectory(DiskPath.parent(of: path))
    }
}

package enum DiskPath {
    package static func join(_ directory: String, _ name: String) -> String {
        directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }

    package static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }

    package static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }
}
