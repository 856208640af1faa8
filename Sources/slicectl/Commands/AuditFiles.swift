import LinuxNet
import SliceAudit

/// The files of one audit log, read while somebody may write them.
enum AuditFiles {
    /// From the oldest to the newest. A file that is renamed meanwhile may be met twice, never
    /// not at all, because the newest is opened first.
    private static func open(_ path: String) throws -> [FileReader] {
        var readers: [FileReader] = []
        var seen: Set<FileIdentity> = []
        var absent: LinuxError?
        for number in 0...AuditPaths.maximumOlder {
            let name = number == 0 ? path : AuditPaths.older(path, number)
            do throws(LinuxError) {
                let reader = try FileReader(name)
                if seen.insert(reader.identity).inserted { readers.append(reader) }
            } catch {
                if !error.isAbsent { throw error }
                if number == 0 { absent = error }
            }
        }
        if readers.isEmpty, let absent { throw absent }
        return readers.reversed()
    }

    private static func keptHead(_ path: String) throws -> AuditHead? {
        let path = AuditPaths.head(path)
        let bytes: [UInt8]
        do throws(LinuxError) {
            bytes = try File.read(path, limitBytes: 256)
        } catch {
            if error.isAbsent { return nil }
            throw error
        }
        guard let head = AuditHead(String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self))
        else { throw Failure(.failed, "invalidHead", "\(path) holds no head of an audit log") }
        return head
    }

    /// The names of the files, and what a walk over them has found.
    static func verify(
        _ path: String, heads: [AuditHead]
    ) throws -> (files: [String], report: AuditReport) {
        // Before the log, which may grow meanwhile.
        let heads = heads + (try keptHead(path).map { [$0] } ?? [])
        var verifier = AuditVerifier(heads: heads)
        let readers: [FileReader]
        do {
            readers = try open(path)
        } catch let error as LinuxError where error.isAbsent && !heads.isEmpty {
            // No file at all, and there has been one: that is no wrong path.
            return ([path], verifier.finish())
        }
        for reader in readers {
            verifier.beginFile()
            while true {
                let piece = try reader.read()
                if piece.isEmpty { break }
                verifier.feed(piece)
            }
            verifier.endFile()
        }
        return (readers.map(\.path), verifier.finish())
    }

    /// The newest entries, in their order, and how many lines were none.
    static func last(
        _ count: Int, of path: String, slice: String?
    ) throws -> (entries: [AuditEntry], unreadable: UInt64) {
        var entries: [AuditEntry] = []
        var unreadable: UInt64 = 0
        func take(_ line: AuditLines.Line) {
            guard let entry = AuditEntry(line: line.bytes) else {
                unreadable += 1
                return
            }
            if let slice, entry.event.slice != slice { return }
            entries.append(entry)
            if entries.count >= 2 * count { entries.removeFirst(entries.count - count) }
        }
        for reader in try open(path) {
            var lines = AuditLines()
            while true {
                let piece = try reader.read()
                if piece.isEmpty { break }
                lines.feed(piece, take)
            }
            if let rest = lines.end() { take(rest) }
        }
        return (entries.suffix(count), unreadable)
    }

    static func head(of path: String) throws -> AuditHead? {
        for reader in try open(path).reversed() {
            try reader.seek(fromEnd: AuditTail.maximumBytes)
            var bytes: [UInt8] = []
            while bytes.count < 2 * AuditTail.maximumBytes {
                let piece = try reader.read()
                if piece.isEmpty { break }
                bytes += piece
            }
            if let head = AuditTail.closed(bytes)?.last { return head }
        }
        return nil
    }
}
