import Glibc
import GatewayRuntime
import LinuxNet
import Logging
import SliceAudit
import Synchronization
import Testing
import Timing

/// The log's files: what is there after a restart, a rotation, a full disk.
@Suite struct AuditLogTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/audit-tests-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in (try? Directory.names(path)) ?? [] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
        try body(path)
    }

    private func log(
        _ directory: String, _ change: (inout AuditLog.Options) -> Void = { _ in }
    ) throws -> AuditLog {
        var options = AuditLog.Options()
        options.makeID = { "00c0ffee" }
        // A retry comes when the test asks for it.
        options.retry = .seconds(3600)
        change(&options)
        return try AuditLog(
            path: "\(directory)/audit.log", cluster: "west", options: options,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func read(_ path: String) -> [UInt8] {
        (try? File.read(path, limitBytes: 1 << 24)) ?? []
    }

    private func verify(_ directory: String) -> AuditReport {
        let head = AuditHead(
            String(decoding: read("\(directory)/audit.head").dropLast(), as: UTF8.self))
        var verifier = AuditVerifier(heads: head.map { [$0] } ?? [])
        for suffix in (1...20).reversed().map({ ".\($0)" }) + [""] {
            let bytes = read("\(directory)/audit.log\(suffix)")
            if bytes.isEmpty { continue }
            verifier.beginFile()
            verifier.feed(bytes)
            verifier.endFile()
        }
        return verifier.finish()
    }

    private func entries(_ directory: String) -> [AuditEvent] {
        read("\(directory)/audit.log").split(separator: 0x0a).compactMap {
            AuditEntry(line: Array($0))?.event
        }
    }

    private func mode(_ path: String) -> mode_t {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & 0o7777 : 0
    }

    @Test func eventsAreChainedAndFolded() throws {
        try withDirectory { directory in
            let log = try log(directory)
            log.record(.started)
            log.record(.attached, slice: "payments", subject: "kafka/broker-0")
            for _ in 0..<5 {
                log.record(.attachRefused, slice: "payments", subject: "a/b", reason: "no")
            }
            log.flush()
            #expect(log.entries == 4 && log.problem == nil)
            #expect(verify(directory).head == log.head)
            log.stop()
            log.record(.started)
            log.flush()
            let written = entries(directory)
            #expect(
                written.map(\.kind)
                    == [.genesis, .started, .attached, .attachRefused, .attachRefused])
            #expect(written.map(\.count) == [1, 1, 1, 1, 4])
            let report = verify(directory)
            #expect(report.problem == nil && report.entries == 5 && report.id == "00c0ffee")
            #expect(mode("\(directory)/audit.log") == 0o600)
            #expect(mode("\(directory)/audit.head") == 0o600)
        }
    }

    @Test func aRestartGoesOn() throws {
        try withDirectory { directory in
            for _ in 0..<3 {
                let log = try log(directory)
                log.record(.started)
                log.stop()
            }
            #expect(verify(directory).entries == 4 && verify(directory).problem == nil)
            // A crash in the middle of a line.
            let path = "\(directory)/audit.log"
            try AtomicFile.write(path, read(path) + Array("{\"sequence\":4,\"ti".utf8))
            #expect(verify(directory).problem?.reason == .torn)
            let next = try log(directory)
            next.record(.started)
            next.stop()
            let report = verify(directory)
            #expect(report.problem == nil && report.repairs == 1 && report.entries == 6)
            #expect(mode(path) == 0o600)
        }
    }

    @Test func aShorterLogIsNoticedAtTheStart() throws {
        try withDirectory { directory in
            let first = try log(directory)
            for number in 0..<5 { first.record(.attached, subject: "a/\(number)") }
            first.stop()
            let path = "\(directory)/audit.log"
            let lines = read(path).split(separator: 0x0a)
            try AtomicFile.write(path, lines[..<3].flatMap { $0 + [0x0a] })
            #expect(verify(directory).problem?.reason == .cutOff)
            let next = try log(directory)
            next.stop()
            #expect(entries(directory).last?.kind == .lost)
            #expect(verify(directory).problem?.reason == .missing)
        }
    }

    @Test func filesArePutAside() throws {
        try withDirectory { directory in
            let log = try log(directory) {
                $0.fileBytes = 2000
                $0.olderFiles = 3
            }
            for number in 0..<60 {
                log.record(.detached, slice: "payments", subject: "kafka/broker-\(number)")
                log.flush()
            }
            let names = ["audit.head", "audit.log", "audit.log.1", "audit.log.2", "audit.log.3"]
            #expect(try Directory.names(directory) == names)
            let report = verify(directory)
            #expect(report.problem == nil && report.head == log.head && report.first != 0)
            let newest = try #require(report.firstFile) + 3
            #expect(report.id == "00c0ffee" && log.entries == 60 + newest)
            for name in names[1...] {
                let beginning = AuditFilePlace(beginning: read("\(directory)/\(name)"), kept: 0)
                #expect(beginning?.id == "00c0ffee" && beginning?.kept == 3, "\(name)")
            }
            // Renamed by somebody else: the chain goes on in a new file.
            try File.rename("\(directory)/audit.log", to: "\(directory)/audit.log.0")
            log.record(.started)
            log.flush()
            #expect(entries(directory).map(\.kind) == [.continued, .started])
            #expect(entries(directory)[0].count == newest)
            log.stop()
            // A crash between two files: the end is in the older one.
            try File.rename("\(directory)/audit.log", to: "\(directory)/audit.log.1")
            try File.remove("\(directory)/audit.head")
            let next = try self.log(directory)
            next.record(.started)
            next.stop()
            #expect(next.head?.sequence == 60 + newest + 3)
            #expect(entries(directory).map(\.kind) == [.continued, .started])
            #expect(entries(directory)[0].count == newest + 1)
        }
    }

    @Test func aFileThatIsTakenAwayIsNoticed() throws {
        try withDirectory { directory in
            let log = try log(directory) { $0.fileBytes = 2000 }
            for number in 0..<40 {
                log.record(.detached, slice: "payments", subject: "kafka/broker-\(number)")
                log.flush()
            }
            log.stop()
            #expect(verify(directory).problem == nil)
            let names = try Directory.names(directory).filter { $0.hasPrefix("audit.log.") }
            #expect(names.count > 2)
            // The oldest.
            let oldest = "\(directory)/audit.log.\(names.count)"
            let bytes = read(oldest)
            unlink(oldest)
            let problem = verify(directory).problem
            #expect(problem?.reason == .noBeginning)
            #expect(problem?.detail.hasPrefix("file 1 of the log is missing") == true)
            try AtomicFile.write(oldest, bytes)
            #expect(verify(directory).problem == nil)
            // All of them: the next start does not heal that.
            for name in names { unlink("\(directory)/\(name)") }
            unlink("\(directory)/audit.log")
            let next = try self.log(directory)
            next.record(.started)
            next.stop()
            #expect(entries(directory).map(\.kind) == [.lost, .started])
            #expect(verify(directory).problem?.reason == .noBeginning)
        }
    }

    @Test func aFloodOfRefusalsIsCounted() throws {
        try withDirectory { directory in
            let log = try log(directory)
            for port in 0..<3000 {
                log.record(.flowRefused, slice: "payments", subject: "a -> b tcp/\(port)")
            }
            log.record(.flowRefused, slice: "orders", subject: "c -> d")
            log.stop()
            let written = entries(directory)
            #expect(written.count { $0.kind == .flowRefused } == 101)
            #expect(written.last?.kind == .omitted && written.last?.count == 2900)
            #expect(verify(directory).omitted == 2900 && log.status.lost == 0)
        }
    }

    @Test func aFullDiskIsOutlived() throws {
        try withDirectory { directory in
            let path = "\(directory)/audit.log"
            let disk = Disk(bytes: 700)
            let log = try log(directory) {
                $0.waiting = 10
                $0.space = { disk.bytes.load(ordering: .relaxed) - (size(path) ?? 0) }
            }
            log.record(.started)
            log.flush()
            #expect(log.problem == nil && log.entries == 2)
            // This one finds room for a part of itself only.
            log.record(.attached, subject: "a/0", reason: String(repeating: "x", count: 600))
            log.flush()
            #expect(log.problem?.contains("ENOSPC") == true && log.entries == 2)
            #expect(read(path).count == 700 && verify(directory).problem?.reason == .torn)
            // Ten may wait.
            for number in 1...25 { log.record(.attached, subject: "a/\(number)") }
            log.flush()
            #expect(log.status.waiting == 10 && log.status.lost == 15)
            disk.bytes.store(1 << 20, ordering: .relaxed)
            log.flush()
            #expect(log.problem == nil && log.status.waiting == 0)
            let written = entries(directory)
            #expect(written.last?.kind == .lost && written.last?.count == 15)
            #expect(written.count == 14 && log.entries == 14)
            #expect(verify(directory).problem == nil && verify(directory).lost == 15)
            log.stop()
        }
    }

    @Test func aPathThatCannotBeOpenedIsAProblem() throws {
        try withDirectory { directory in
            let path = "\(directory)/audit.log"
            try #require(symlink("/dev/null", path) == 0)
            let log = try log(directory)
            log.record(.started)
            log.flush()
            #expect(log.problem?.contains("audit.log") == true && log.status.waiting == 1)
            unlink(path)
            log.flush()
            #expect(log.problem == nil && log.entries == 2)
            log.stop()
        }
    }

    @Test func manyThreadsRecord() async throws {
        var template = Array("/tmp/audit-tests-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in (try? Directory.names(directory)) ?? [] { unlink("\(directory)/\(name)") }
            rmdir(directory)
        }
        let log = try log(directory)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    for number in 0..<500 { log.record(.attached, subject: "\(task)/\(number)") }
                }
            }
        }
        log.stop()
        let report = verify(directory)
        #expect(report.problem == nil && report.entries == 2001 && log.status.lost == 0)
    }
}

/// As large as a test says.
private final class Disk: Sendable {
    let bytes: Atomic<Int>
    init(bytes: Int) { self.bytes = Atomic(bytes) }
}

private func size(_ path: String) -> Int? {
    var info = stat()
    return stat(path, &info) == 0 ? Int(info.st_size) : nil
}
