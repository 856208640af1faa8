import CommitLog
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import Raft

/// Snapshots of the metadata beside its log: `00000000000000001234-0000000005.checkpoint`, end
/// offset and epoch (KIP-630). One that is not whole yet has `.part` behind its name.
struct SnapshotFiles {
    private static let suffix = ".checkpoint"
    private static let partSuffix = ".part"
    /// Records go into batches of about this size.
    private static let batchBytes = 256 << 10

    private let directory: String
    private let disk: any Disk
    /// In order.
    private(set) var all: [OffsetAndEpoch] = []
    private var incoming: (id: OffsetAndEpoch, file: any DiskFile, size: Int64)?

    init(directory: String, disk: any Disk) throws(DiskError) {
        self.directory = directory
        self.disk = disk
        for entry in try disk.list(directory) where !entry.isDirectory {
            if entry.name.hasSuffix(Self.partSuffix) {
                try disk.remove(DiskPath.join(directory, entry.name))
            } else if let id = Self.id(of: entry.name) {
                all.append(id)
            }
        }
        all.sort()
    }

    var latest: OffsetAndEpoch? { all.last }

    func path(_ id: OffsetAndEpoch) -> String {
        DiskPath.join(
            directory,
            Self.digits(id.offset, 20) + "-" + Self.digits(Int64(id.epoch), 10)
                + Self.suffix)
    }

    private static func digits(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    private static func id(of name: String) -> OffsetAndEpoch? {
        guard name.hasSuffix(suffix) else { return nil }
        let parts = name.dropLast(suffix.count).split(separator: "-")
        guard parts.count == 2, parts[0].count == 20, parts[1].count == 10,
            let offset = Int64(parts[0]), let epoch = Int32(parts[1]), offset >= 0, epoch >= 0
        else { return nil }
        return OffsetAndEpoch(offset: offset, epoch: epoch)
    }

    func open(_ id: OffsetAndEpoch) throws(DiskError) -> any DiskFile {
        try disk.open(path(id), create: false)
    }

    // MARK: Writing our own

    mutating func write(
        _ id: OffsetAndEpoch, image: MetadataImage, timestamp: Int64
    ) throws(SnapshotError) {
        var offset: Int64 = 0
        var whole = ByteBuffer()
        func add(_ batch: ByteBuffer, records: Int64) {
            var placed = batch
            RecordBatches.rewrite(
                baseOffset: offset, leaderEpoch: id.epoch, at: placed.readerIndex, in: &placed)
            whole.writeImmutableBuffer(placed)
            offset += records
        }
        do {
            add(
                try MetadataLog.controlBatch(
                    .snapshotHeader,
                    SnapshotHeaderRecord(version: 0, lastContainedLogTimestamp: timestamp)
                        .encoded(version: 0), timestamp: timestamp), records: 1)
            var builder = RecordBatchBuilder()
            for record in image.snapshotRecords() {
                builder.append(
                    key: nil, value: record.encoded(for: image.metadataVersion),
                    timestamp: timestamp)
                if builder.sizeInBytes >= Self.batchBytes {
                    let count = Int64(builder.recordCount)
                    add(try builder.build(), records: count)
                    builder = RecordBatchBuilder()
                }
            }
            if builder.recordCount > 0 {
                let count = Int64(builder.recordCount)
                add(try builder.build(), records: count)
            }
            add(
                try MetadataLog.controlBatch(
                    .snapshotFooter, SnapshotFooterRecord(version: 0).encoded(version: 0),
                    timestamp: timestamp), records: 1)
        } catch {
            throw SnapshotError("\(error)")
        }
        do {
            try disk.replace(path(id), with: whole, temporarySuffix: Self.partSuffix)
        } catch {
            throw SnapshotError("\(error)")
        }
        note(id)
    }

    mutating func removeAll(before id: OffsetAndEpoch) throws(DiskError) {
        for old in all where old < id { try disk.remove(path(old)) }
        all.removeAll { $0 < id }
    }

    private mutating func note(_ id: OffsetAndEpoch) {
        guard !all.contains(id) else { return }
        all.append(id)
        all.sort()
    }

    // MARK: Receiving another's

    mutating func begin(_ id: OffsetAndEpoch) throws(DiskError) {
        let file = try disk.open(path(id) + Self.partSuffix, create: true)
        try file.truncate(to: 0)
        incoming = (id, file, 0)
    }

    mutating func append(_ bytes: ByteBuffer) throws(DiskError) {
        guard let (id, file, size) = incoming else { return }
        try file.write(at: size, bytes)
        incoming = (id, file, size + Int64(bytes.readableBytes))
    }

    func received() throws(DiskError) -> (id: OffsetAndEpoch, bytes: ByteBuffer)? {
        guard let (id, file, size) = incoming else { return nil }
        return (id, try file.read(at: 0, count: Int(size)))
    }

    mutating func install() throws(DiskError) {
        guard let (id, file, _) = incoming else { return }
        try file.sync()
        try disk.rename(path(id) + Self.partSuffix, to: path(id))
        try disk.syncDirectory(directory)
        incoming = nil
        note(id)
    }

    mutating func abandon() { incoming = nil }
}

struct SnapshotError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
