import BrokerCore
import CommitLog
import KafkaRecords
import KafkaWire
import NIOCore
import SimulatedDisk
import Timing

// What a node finds in its directory when it starts: its vote, the metadata log and its snapshots.
extension FuzzTarget {
    static let nodeFiles = FuzzTarget(
        "kafka-node-files", maximumBytes: 8192, replays: 6,
        words: [
            "leaderId", "leaderEpoch", "votedId", "votedDirectoryId", "data_version", "\":",
        ],
        seeds: { NodeFiles.seeds }
    ) { NodeFiles.run($0) }
}

/// A script of files. With the highest bit of the operation the checksums of batches are put
/// right, so that what is behind them is reached too.
private enum NodeFiles {
    private static let metadata = FuzzedNode.directory + "/__cluster_metadata-0"
    private static let numbers: [Int64] = [0, 1, 2, 3, 4, 5, 6, 8, 10, 1 << 31, Int64.max]

    private static func path(_ kind: UInt8, _ choice: UInt8) -> String {
        let offset = numbers[Int(choice & 0xf) % numbers.count]
        let epoch = numbers[Int(choice >> 4) % numbers.count]
        switch kind % 8 {
        case 0: return metadata + "/quorum-state"
        case 1: return metadata + "/" + digits(offset, 20) + ".log"
        case 2: return metadata + "/\(digits(offset, 20))-\(digits(epoch, 10)).checkpoint"
        case 3: return metadata + "/leader-epoch-checkpoint"
        case 4: return metadata + "/\(digits(offset, 20)).index"
        case 5: return metadata + "/partition.metadata"
        case 6: return FuzzedNode.directory + "/.kafka_cleanshutdown"
        default: return metadata + "/\(digits(offset, 20))-\(digits(epoch, 10)).checkpoint.part"
        }
    }

    private static func digits(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    static func run(_ bytes: UnsafeRawBufferPointer) {
        let disk = SimulatedDisk()
        guard (try? disk.createDirectory(FuzzedNode.directory)) != nil,
            (try? disk.createDirectory(metadata)) != nil
        else { preconditionFailure("an empty disk refuses a directory") }
        var script = FuzzScript(bytes)
        while let step = script.next() {
            var content = ByteBuffer(bytes: step.bytes)
            if step.operation & 0x80 != 0 { fuzzMendChecksums(of: &content) }
            let path = path(step.operation & 0x7f, step.argument)
            try? disk.replace(path, with: content)
        }
        // Twice: what the first start has made of it must be readable too.
        guard let node = start(on: disk, after: 1) else { return }
        guard node.failure == nil else { return }
        let epoch = node.quorum.epoch
        guard let again = start(on: disk.afterCrash(losesUnsynced: true), after: 100) else {
            preconditionFailure("a node that ran does not start again")
        }
        precondition(again.quorum.epoch >= epoch, "an epoch was forgotten")
    }

    private static func start(on disk: SimulatedDisk, after seconds: Int64) -> FuzzedNode? {
        let node = try? FuzzedNode(
            on: disk, voters: "1@n1:9093", at: Instant(nanoseconds: 0) + .seconds(seconds))
        for _ in 0..<8 { node?.pass(.milliseconds(250)) }
        return node
    }

    // MARK: Seeds

    /// The directory of a node that has run for a while, and the same with a snapshot of it in
    /// place of its log.
    static let seeds: [[UInt8]] = {
        guard let node = start(on: SimulatedDisk(), after: 1),
            let state = node.disk[metadata + "/quorum-state"],
            let log = node.disk[metadata + "/" + digits(0, 20) + ".log"]
        else { return [] }
        func file(_ kind: UInt8, _ choice: UInt8, _ bytes: ByteBuffer) -> [UInt8] {
            FuzzScript.step(kind, choice, Array(bytes.readableBytesView))
        }
        let records = log.getSlice(at: 0, length: min(log.readableBytes, 4000)) ?? log
        return [
            file(0, 0, state), file(0, 0, state) + file(0x81, 0, records),
            file(0x82, 0x15, snapshot(of: records)) + file(0, 0, state),
            file(0, 0, ByteBuffer(string: #"{"leaderId":-1,"leaderEpoch":4,"votedId":2,"#))
                + file(7, 0, records),
        ]
    }()

    private static func snapshot(of records: ByteBuffer) -> ByteBuffer {
        func control(_ type: ControlRecordType, _ value: ByteBuffer) -> ByteBuffer {
            var builder = RecordBatchBuilder()
            builder.isControl = true
            builder.append(key: type.key, value: value, timestamp: 1)
            return (try? builder.build()) ?? ByteBuffer()
        }
        var whole = control(
            .snapshotHeader, SnapshotHeaderRecord(version: 0).encoded(version: 0))
        whole.writeImmutableBuffer(records)
        whole.writeImmutableBuffer(
            control(.snapshotFooter, SnapshotFooterRecord(version: 0).encoded(version: 0)))
        return whole
    }
}
