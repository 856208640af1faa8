import CommitLog
import NIOCore

/// A disk in memory that fails as disks do: a crash loses what was not synced, or a part of it;
/// writes fail; the disk is full. All chance comes from seeds.
///
/// A crash gives a new disk, so that what the dead process still holds cannot touch it.
package final class SimulatedDisk: Disk, @unchecked Sendable {
    package struct Faults {
        /// Bytes that all files together may have.
        package var capacity = Int.max
        /// Of a thousand writes and syncs, so many fail with EIO.
        package var errorsPerMille = 0
        /// Fails the next so-many-th operation of a kind: 1 is the very next.
        package var failing: (operation: DiskOperation, after: Int, errno: Int32)?
        /// The canary of whoever should sync: syncs do nothing.
        package var ignoresSync = false

        package init() {}
    }

    /// A change of a directory that is not synced yet.
    enum NameChange {
        case set(String, FileContent)
        case remove(String)
        /// In one step, whatever happens.
        case move(String, to: String, FileContent)

        func apply(to names: inout [String: FileContent]) {
            switch self {
            case .set(let path, let content): names[path] = content
            case .remove(let path): names[path] = nil
            case .move(let from, let to, let content):
                names[from] = nil
                names[to] = content
            }
        }

        func moved(_ path: (String) -> String) -> NameChange {
            switch self {
            case .set(let name, let content): .set(path(name), content)
            case .remove(let name): .remove(path(name))
            case .move(let from, let to, let content): .move(path(from), to: path(to), content)
            }
        }
    }

    package var faults = Faults()
    /// Off for measurements: nothing can be lost then, and nothing has to be kept twice.
    package var remembersUnsynced = true
    /// What crashes and errors are drawn from.
    private var random: UInt64
    private var files: [String: FileContent] = [:]
    private var durableFiles: [String: FileContent] = [:]
    /// By directory, in order.
    private var unsyncedNames: [String: [NameChange]] = [:]
    private var directories: Set<String> = ["/"]
    package private(set) var syncCount = 0
    package internal(set) var bytesRead = 0
    /// The clock of modification times, milliseconds since 1970.
    package var nowMs: Int64 = 0

    package init(seed: UInt64 = 1) { random = seed }

    // MARK: Crashes

    /// The disk as the next process finds it.
    /// - Parameter losesUnsynced: the power failed; otherwise only the process ended.
    package func afterCrash(losesUnsynced: Bool) -> SimulatedDisk {
        let next = SimulatedDisk(seed: draw())
        next.nowMs = nowMs
        next.faults.capacity = faults.capacity
        next.remembersUnsynced = remembersUnsynced
        // Directories themselves do not vanish: what is played is the loss of what they hold.
        next.directories = directories
        var names = files
        if losesUnsynced {
            names = durableFiles
            for directory in unsyncedNames.keys.sorted() {
                let changes = unsyncedNames[directory] ?? []
                // A journal keeps changes in order: those up to some point have happened.
                for change in changes.prefix(Int(draw() % UInt64(changes.count + 1))) {
                    change.apply(to: &names)
                }
            }
        }
        for path in names.keys.sorted() {
            guard let content = names[path] else { continue }
            next.files[path] = losesUnsynced ? content.torn(draw) : .settled(content.now)
        }
        next.durableFiles = next.files
        return next
    }

    /// SplitMix64.
    private func draw() -> UInt64 {
        random &+= 0x9e37_79b9_7f4a_7c15
        var z = random
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    // MARK: Faults

    func part(of count: Int) -> Int { Int(draw() % UInt64(count + 1)) }

    func check(_ operation: DiskOperation, _ path: String) throws(DiskError) {
        if var failing = faults.failing, failing.operation == operation {
            failing.after -= 1
            faults.failing = failing.after > 0 ? failing : nil
            if failing.after <= 0 { throw DiskError(operation, path, errno: failing.errno) }
        }
        guard operation == .write || operation == .sync, faults.errorsPerMille > 0 else { return }
        if draw() % 1000 < UInt64(faults.errorsPerMille) {
            throw DiskError(operation, path, errno: DiskError.inputOutput)
        }
    }

    func checkRoom(for bytes: Int, _ path: String) throws(DiskError) {
        guard faults.capacity < Int.max else { return }
        let used = files.values.reduce(0) { $0 + $1.now.writerIndex }
        guard used + bytes <= faults.capacity else {
            throw DiskError(.write, path, errno: DiskError.noSpace)
        }
    }

    func didSync(_ content: FileContent) {
        guard !faults.ignoresSync else { return }
        syncCount += 1
        content.sync()
    }

    private func change(_ change: NameChange, in directory: String) {
        change.apply(to: &files)
        if remembersUnsynced { unsyncedNames[directory, default: []].append(change) }
    }

    // MARK: Disk

    package func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
        try check(.open, path)
        if let content = files[path] { return SimulatedFile(path, content, self) }
        guard create, directories.contains(DiskPath.parent(of: path)) else {
            throw DiskError(.open, path, errno: DiskError.notFound)
        }
        let content = FileContent()
        change(.set(path, content), in: DiskPath.parent(of: path))
        return SimulatedFile(path, content, self)
    }

    package func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        try check(.list, path)
        guard directories.contains(path) else {
            throw DiskError(.list, path, errno: DiskError.notFound)
        }
        let inside = files.keys.filter { DiskPath.parent(of: $0) == path }.map {
            DiskEntry(
                name: DiskPath.name(of: $0), isDirectory: false,
                size: Int64(files[$0]?.now.writerIndex ?? 0), modifiedMs: nowMs)
        }
        let below = directories.filter { $0 != "/" && DiskPath.parent(of: $0) == path }.map {
            DiskEntry(name: DiskPath.name(of: $0), isDirectory: true, size: 0, modifiedMs: nowMs)
        }
        return (inside + below).sorted { $0.name < $1.name }
    }

    package func createDirectory(_ path: String) throws(DiskError) {
        try check(.createDirectory, path)
        guard directories.contains(DiskPath.parent(of: path)) else {
            throw DiskError(.createDirectory, path, errno: DiskError.notFound)
        }
        directories.insert(path)
    }

    package func rename(_ from: String, to: String) throws(DiskError) {
        try check(.rename, from)
        if let content = files[from] {
            change(.move(from, to: to, content), in: DiskPath.parent(of: to))
            return
        }
        guard directories.contains(from) else {
            throw DiskError(.rename, from, errno: DiskError.notFound)
        }
        moveDirectory(from, to)
    }

    private func moveDirectory(_ from: String, _ to: String) {
        let moved = { (path: String) -> String in
            path == from || path.hasPrefix(from + "/") ? to + path.dropFirst(from.count) : path
        }
        directories = Set(directories.map(moved))
        files = Dictionary(uniqueKeysWithValues: files.map { (moved($0), $1) })
        durableFiles = Dictionary(uniqueKeysWithValues: durableFiles.map { (moved($0), $1) })
        unsyncedNames = Dictionary(
            uniqueKeysWithValues: unsyncedNames.map { directory, changes in
                (moved(directory), changes.map { $0.moved(moved) })
            })
    }

    package func remove(_ path: String) throws(DiskError) {
        try check(.remove, path)
        guard files[path] != nil else { return }
        change(.remove(path), in: DiskPath.parent(of: path))
    }

    package func removeDirectory(_ path: String) throws(DiskError) {
        try check(.removeDirectory, path)
        guard !files.keys.contains(where: { DiskPath.parent(of: $0) == path }) else {
            throw DiskError(.removeDirectory, path, errno: 39)
        }
        directories.remove(path)
        unsyncedNames[path] = nil
        for name in durableFiles.keys where DiskPath.parent(of: name) == path {
            durableFiles[name] = nil
        }
    }

    package func syncDirectory(_ path: String) throws(DiskError) {
        try check(.syncDirectory, path)
        guard !faults.ignoresSync else { return }
        for change in unsyncedNames[path] ?? [] { change.apply(to: &durableFiles) }
        unsyncedNames[path] = nil
    }

    package func space(_ path: String) throws(DiskError) -> DiskSpace {
        let used = Int64(files.values.reduce(0) { $0 + $1.now.writerIndex })
        let total = Int64(min(faults.capacity, 1 << 50))
        return DiskSpace(totalBytes: total, freeBytes: max(0, total - used))
    }

    // MARK: For tests

    /// The names of all files.
    package var paths: [String] { files.keys.sorted() }

    package subscript(path: String) -> ByteBuffer? {
        get { files[path].map { FileContent.settled($0.now).now } }
        set {
            let content = newValue.map(FileContent.settled)
            files[path] = content
            durableFiles[path] = content
            for directory in unsyncedNames.keys where path.hasPrefix(directory + "/") {
                unsyncedNames[directory]?.removeAll { change in
                    if case .set(let name, _) = change { return name == path }
                    return false
                }
            }
        }
    }
}
