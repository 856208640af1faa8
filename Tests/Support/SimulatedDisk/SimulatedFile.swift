import CommitLog
import NIOCore

/// A change of a file that is not synced yet.
enum FileChange {
    case write(offset: Int, ByteBuffer)
    case truncate(Int)

    func apply(to bytes: inout ByteBuffer) {
        switch self {
        case .write(let offset, let data):
            if bytes.writerIndex < offset {
                bytes.writeRepeatingByte(0, count: offset - bytes.writerIndex)
            }
            let end = max(bytes.writerIndex, offset + data.readableBytes)
            bytes.setBuffer(data, at: offset)
            bytes.moveWriterIndex(to: end)
        case .truncate(let size):
            if size < bytes.writerIndex {
                bytes.moveWriterIndex(to: size)
            } else {
                bytes.writeRepeatingByte(0, count: size - bytes.writerIndex)
            }
        }
    }
}

/// What a file is, whatever its names are.
final class FileContent {
    var now = ByteBuffer()
    /// As of the last sync, and what has happened since. Never the same storage as `now`: a
    /// write would copy all of the file.
    private(set) var synced = ByteBuffer()
    private(set) var unsynced: [FileChange] = []

    func apply(_ change: FileChange, isRemembered: Bool) {
        change.apply(to: &now)
        if isRemembered { unsynced.append(change) }
    }

    func sync() {
        for change in unsynced { change.apply(to: &synced) }
        unsynced.removeAll()
    }

    /// A file as it is now, all of it durable.
    static func settled(_ bytes: ByteBuffer) -> FileContent {
        let content = FileContent()
        content.now.writeImmutableBuffer(bytes)
        content.synced.writeImmutableBuffer(bytes)
        return content
    }

    /// What a loss of power leaves: the synced bytes, and of what came after either a beginning,
    /// the last change torn, or any part, as disks reorder what they are not told to sync.
    func torn(_ draw: () -> UInt64) -> FileContent {
        var bytes = ByteBuffer()
        bytes.writeImmutableBuffer(synced)
        if draw() % 2 == 0 {
            let count = Int(draw() % UInt64(unsynced.count + 1))
            for (index, change) in unsynced.prefix(count).enumerated() {
                let isLast = index == count - 1
                (isLast ? Self.prefix(of: change, draw) : change).apply(to: &bytes)
            }
        } else {
            for change in unsynced {
                switch draw() % 4 {
                case 0: continue
                case 1: Self.prefix(of: change, draw).apply(to: &bytes)
                case 2: for part in Self.sectors(of: change, draw) { part.apply(to: &bytes) }
                default: change.apply(to: &bytes)
                }
            }
        }
        return .settled(bytes)
    }

    private static func prefix(of change: FileChange, _ draw: () -> UInt64) -> FileChange {
        guard case .write(let offset, let data) = change else { return change }
        let part = Int(draw() % UInt64(data.readableBytes + 1))
        return .write(
            offset: offset, data.getSlice(at: data.readerIndex, length: part) ?? ByteBuffer())
    }

    /// Half of the 512-byte pieces of a write; the others keep what was there, or zeros.
    private static func sectors(of change: FileChange, _ draw: () -> UInt64) -> [FileChange] {
        guard case .write(let offset, let data) = change else { return [change] }
        return stride(from: 0, to: data.readableBytes, by: 512).compactMap { start in
            guard draw() % 2 == 0 else { return nil }
            let length = min(512, data.readableBytes - start)
            return data.getSlice(at: data.readerIndex + start, length: length).map {
                .write(offset: offset + start, $0)
            }
        }
    }
}

/// A handle on a file of a simulated disk.
final class SimulatedFile: DiskFile, @unchecked Sendable {
    let path: String
    private let content: FileContent
    private let disk: SimulatedDisk

    init(_ path: String, _ content: FileContent, _ disk: SimulatedDisk) {
        self.path = path
        self.content = content
        self.disk = disk
    }

    func size() throws(DiskError) -> Int64 { Int64(content.now.writerIndex) }

    func read(at offset: Int64, count: Int) throws(DiskError) -> ByteBuffer {
        try disk.check(.read, path)
        let available = max(0, content.now.writerIndex - Int(offset))
        let length = min(count, available)
        // A copy: later writes must not show in what was read.
        var copy = ByteBuffer()
        if let slice = content.now.getSlice(at: Int(offset), length: length) {
            copy.writeImmutableBuffer(slice)
        }
        disk.bytesRead += length
        return copy
    }

    func write(at offset: Int64, _ bytes: ByteBuffer) throws(DiskError) {
        do {
            try disk.check(.write, path)
            let growth = Int(offset) + bytes.readableBytes - content.now.writerIndex
            try disk.checkRoom(for: max(0, growth), path)
        } catch {
            // As real ones do, a write that fails has often written something.
            let part = disk.part(of: bytes.readableBytes)
            if let slice = bytes.getSlice(at: bytes.readerIndex, length: part) {
                content.apply(
                    .write(offset: Int(offset), slice), isRemembered: disk.remembersUnsynced)
            }
            throw error
        }
        content.apply(.write(offset: Int(offset), bytes), isRemembered: disk.remembersUnsynced)
    }

    func truncate(to size: Int64) throws(DiskError) {
        try disk.check(.truncate, path)
        content.apply(.truncate(Int(size)), isRemembered: disk.remembersUnsynced)
    }

    func sync() throws(DiskError) {
        try disk.check(.sync, path)
        disk.didSync(content)
    }
}
