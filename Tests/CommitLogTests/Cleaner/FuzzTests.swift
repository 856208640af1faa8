import CommitLog
import KafkaRecords
import NIOCore
import SimulatedDisk
import Testing

@Suite struct FuzzTests {
    // Kinds as `fuzzSegmentRecovery` has them: five kinds of files in four stages each, then
    // others.
    private static let log: UInt8 = 0
    private static let index: UInt8 = 4
    private static let timeIndex: UInt8 = 8
    private static let transactionIndex: UInt8 = 12
    private static let snapshot: UInt8 = 16
    private static let epochs: UInt8 = 20
    private static let recoveryPoints: UInt8 = 22
    private static let cleanShutdown: UInt8 = 26

    private struct File {
        var kind: UInt8
        var offset: UInt8
        var bytes: [UInt8]

        var encoded: [UInt8] {
            [kind, offset, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes
        }
    }

    /// A folder with some of everything.
    private static func folder() throws -> [File] {
        var config = LogConfig()
        config.indexIntervalBytes = 50
        let test = try TestLog(config)
        for index in 0..<3 {
            _ = try test.log.appendAsLeader(
                makeBatch(
                    [("a", "\(index)")], producer: (7, 0, Int32(index)), isTransactional: true),
                leaderEpoch: Int32(index), nowMs: startMs, origin: .client)
        }
        _ = try test.log.appendAsLeader(
            makeMarker(producer: 7, isAbort: true), leaderEpoch: 3, nowMs: startMs,
            origin: .coordinator)
        for index in 0..<6 { try test.append("v\(index)", key: "b", epoch: 4) }
        try test.log.roll(nowMs: startMs)
        try test.append("last", epoch: 5)
        try test.directory.close()
        func file(_ name: String) -> [UInt8] {
            test.disk["\(topicFolder)/\(name)"].map { Array($0.readableBytesView) } ?? []
        }
        let zero = String(repeating: "0", count: 20)
        return [
            File(kind: log, offset: 0, bytes: file("\(zero).log")),
            File(kind: index, offset: 0, bytes: file("\(zero).index")),
            File(kind: timeIndex, offset: 0, bytes: file("\(zero).timeindex")),
            File(kind: transactionIndex, offset: 0, bytes: file("\(zero).txnindex")),
            File(kind: log, offset: 4, bytes: file("\(zero.dropLast(2))10.log")),
            File(kind: snapshot, offset: 4, bytes: file("\(zero.dropLast(2))10.snapshot")),
            File(kind: epochs, offset: 0, bytes: file("leader-epoch-checkpoint")),
        ]
    }

    @Test func aWholeFolderIsServed() throws {
        let files = try Self.folder()
        #expect(files.allSatisfy { !$0.bytes.isEmpty })
        files.flatMap(\.encoded).withUnsafeBytes { fuzzSegmentRecovery($0) }
        let closed = files + [File(kind: Self.cleanShutdown, offset: 0, bytes: [])]
        closed.flatMap(\.encoded).withUnsafeBytes { fuzzSegmentRecovery($0) }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func foldersTakeAnything(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let whole = try Self.folder()
        for _ in 0..<120 {
            var files = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<files.count, using: &random)
                switch Int.random(in: 0..<9, using: &random) {
                case 0: files[place].kind |= 0x80
                case 1: files.remove(at: place)
                case 2: files[place].kind = UInt8.random(in: 0...255, using: &random)
                case 3: files[place].offset = UInt8.random(in: 0...9, using: &random)
                case 4: files.append(files[place])
                case 5:
                    files.append(
                        File(
                            kind: Self.recoveryPoints, offset: 0,
                            bytes: Array(
                                "0\n1\nf 0 \(UInt64.random(in: 0...20, using: &random))\n".utf8)))
                default:
                    let count = files[place].bytes.count
                    guard count > 0 else { continue }
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        let index = Int.random(in: 0..<count, using: &random)
                        files[place].bytes[index] =
                            [0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())]
                            .randomElement(using: &random) ?? 0
                    }
                    if random.next() % 2 == 0 { files[place].kind |= 0x80 }
                    if random.next() % 4 == 0 { files[place].bytes.removeLast(count / 3) }
                }
                if files.isEmpty { break }
            }
            files.flatMap(\.encoded).withUnsafeBytes { fuzzSegmentRecovery($0) }
        }
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            bytes.withUnsafeBytes { fuzzSegmentRecovery($0) }
        }
    }
}
