import Glibc
import LinuxNet
import SliceAudit
import Timing

/// The files of an audit log, in the hands of one thread. What was begun is finished before
/// anything else: a line that a full disk cut in two gets its other half later.
final class AuditWriter {
    private let path: String
    private let cluster: String
    private let options: AuditLog.Options
    private let warn: (String) -> Void

    private var file: AppendFile?
    private var chain: AuditChain?
    /// Of the file, if that is known.
    private var place: AuditFilePlace?
    /// Lines that are chained, and not yet on the disk.
    private var pending: ArraySlice<UInt8> = []
    private var pendingEntries: UInt64 = 0
    /// Written, and perhaps not yet synchronized, or not yet in the head file.
    private var isDirty = false

    private var cannotRotate = false
    /// An fsync failed for so many entries; the log has yet to say so.
    private var isDoubtful = false
    private var doubtful: UInt64 = 0

    /// Of this process, on the disk.
    private(set) var entries: UInt64 = 0
    /// Of what is on the disk.
    private(set) var head: AuditHead?

    init(
        path: String, cluster: String, options: AuditLog.Options, warn: @escaping (String) -> Void
    ) {
        self.path = path
        self.cluster = cluster
        self.options = options
        self.warn = warn
    }

    /// Opens, finishes and rotates. After it `append` is allowed.
    func prepare(at time: WallTime) throws(LinuxError) {
        if file == nil { try open(at: time) }
        try finish()
        if isDoubtful {
            isDoubtful = false
            try append([
                AuditEvent(
                    .lost, time: time, cluster: cluster,
                    reason: "the disk failed: the entries before this one may be gone after a "
                        + "restart", count: doubtful)
            ])
        }
        guard let file else { return }
        if !file.isInPlace {
            // Somebody renamed or removed it, as logrotate(8) does: the chain goes on.
            warn("\(path) was replaced by somebody else")
            try reopen(at: time)
        } else if file.size >= options.fileBytes {
            do throws(LinuxError) {
                try rotate(at: time)
                cannotRotate = false
            } catch {
                // A log that is too long is better than none.
                if self.file == nil { throw error }
                if !cannotRotate { warn("cannot begin a new file: \(error)") }
                cannotRotate = true
            }
        }
        // The first line of a new file.
        try finish()
    }

    /// Once this is called the events are the writer's, also if it throws.
    func append(_ events: [AuditEvent]) throws(LinuxError) {
        guard var chain else { return }
        for event in events {
            pending += chain.append(event)
            pendingEntries += 1
        }
        self.chain = chain
        try finish()
    }

    // MARK: Opening

    private func open(at time: WallTime) throws(LinuxError) {
        try Directory.create(File.split(path).directory, mode: 0o700)
        // Lines that wait, because the file went away before they were written, stay chained.
        if chain != nil { return try reopen(at: time) }
        let file = try AppendFile(path)
        let bytes = try file.tail(limitBytes: AuditTail.maximumBytes)
        var tail = bytes.isEmpty ? nil : AuditTail(bytes)
        var begun = try beginning(of: path)
        var isNew = false
        if tail?.last == nil {
            // A crash may have come between two files.
            let older = try newestOlder()
            tail = tail?.behind(older?.tail) ?? older?.tail
            if let older {
                begun = (older.place ?? unknownPlace()).next(keeping: options.olderFiles)
                isNew = true
            }
        }
        let new = unknownPlace()
        let resumption = AuditResumption(
            tail: tail, head: keptHead(), id: new.id, time: time, cluster: cluster,
            beginning: isNew ? begun : nil)
        place = resumption.isNew ? new : begun
        chain = resumption.chain
        pending = resumption.opening[...]
        pendingEntries = UInt64(pending.dropFirst().count { $0 == 0x0a })
        if let warning = resumption.warning { warn("\(path): \(warning)") }
        // What is there may never have been synchronized.
        isDirty = file.size > 0
        self.file = file
        try Directory.synchronize(File.split(path).directory)
    }

    private func reopen(at time: WallTime) throws(LinuxError) {
        file = nil
        let new = try AppendFile(path)
        try Directory.synchronize(File.split(path).directory)
        file = new
        guard var chain else { return }
        let next = (place ?? unknownPlace()).next(keeping: options.olderFiles)
        pending += chain.begin(next, time: time, cluster: cluster)
        pendingEntries += 1
        (self.chain, place) = (chain, next)
    }

    /// The first file of another log.
    private func unknownPlace() -> AuditFilePlace {
        AuditFilePlace(id: options.makeID(), filesBefore: 0, kept: options.olderFiles)
    }

    private func beginning(of path: String) throws(LinuxError) -> AuditFilePlace? {
        do throws(LinuxError) {
            let reader = try FileReader(path)
            let bytes = try read(reader, limitBytes: AuditTail.maximumBytes)
            return AuditFilePlace(beginning: bytes, kept: options.olderFiles)
        } catch {
            if error.isAbsent { return nil }
            throw error
        }
    }

    private func read(_ reader: FileReader, limitBytes: Int) throws(LinuxError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < limitBytes {
            let piece = try reader.read()
            if piece.isEmpty { break }
            bytes += piece
        }
        return bytes
    }

    /// The end of the newest file with an entry in it that was put aside.
    private func newestOlder() throws(LinuxError) -> (tail: AuditTail, place: AuditFilePlace?)? {
        for number in 1...max(1, options.olderFiles) {
            let older = AuditPaths.older(path, number)
            do throws(LinuxError) {
                let reader = try FileReader(older)
                try reader.seek(fromEnd: AuditTail.maximumBytes)
                let bytes = try read(reader, limitBytes: AuditTail.maximumBytes)
                guard let tail = AuditTail.closed(bytes) else { continue }
                return (tail, try beginning(of: older))
            } catch {
                if !error.isAbsent { throw error }
            }
        }
        return nil
    }

    private func keptHead() -> AuditHead? {
        let path = AuditPaths.head(path)
        do throws(LinuxError) {
            let bytes = try File.read(path, limitBytes: 256)
            let text = String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
            if let head = AuditHead(text) { return head }
            warn("\(path) holds no head of an audit log")
        } catch {
            if !error.isAbsent { warn("\(error)") }
        }
        return nil
    }

    // MARK: Writing

    private func finish() throws(LinuxError) {
        guard let file, let chain else { return }
        while !pending.isEmpty {
            // A test's full disk: what fits goes in, as on a real one.
            let space = options.space()
            let piece = pending.prefix(min(AuditLines.maximumWriteBytes, space))
            guard !piece.isEmpty else { throw LinuxError("write", path, errno: ENOSPC) }
            isDirty = true
            pending.removeFirst(try file.append(piece))
        }
        // So that no memory of a long outage is held.
        pending = []
        guard isDirty else { return }
        do throws(LinuxError) {
            try file.synchronize()
        } catch {
            // The kernel may have dropped the pages, and says so only once (fsync(2), ERRORS).
            isDoubtful = true
            doubtful = max(1, pendingEntries)
            throw error
        }
        entries += pendingEntries
        pendingEntries = 0
        head = chain.head
        // After the log, so that the head is never ahead of it.
        try AtomicFile.write(AuditPaths.head(path), text: "\(chain.head)\n", mode: 0o600)
        isDirty = false
    }

    private func rotate(at time: WallTime) throws(LinuxError) {
        // A name that is missing leaves a gap that the next one fills.
        for number in stride(from: options.olderFiles - 1, through: 1, by: -1) {
            try move(AuditPaths.older(path, number), to: AuditPaths.older(path, number + 1))
        }
        try move(path, to: AuditPaths.older(path, 1))
        try reopen(at: time)
    }

    private func move(_ old: String, to new: String) throws(LinuxError) {
        do throws(LinuxError) {
            try File.rename(old, to: new)
        } catch {
            if !error.isAbsent { throw error }
        }
    }
}
