import SliceAudit
import Timing

let start = WallTime(nanosecondsSince1970: 1_795_471_200_123_000_000)

func event(
    _ kind: AuditEvent.Kind, _ subject: String = "", _ reason: String = "", after seconds: Int64 = 0
) -> AuditEvent {
    AuditEvent(
        kind,
        time: WallTime(nanosecondsSince1970: start.nanosecondsSince1970 + seconds * 1_000_000_000),
        slice: "payments", cluster: "west", subject: subject, reason: reason)
}

/// A log of so many entries, its first line among them, in lines without their ends.
func lines(_ count: Int, id: String = "00c0ffee") -> [[UInt8]] {
    var (chain, first) = AuditChain.genesis(id: id, time: start, cluster: "west")
    var lines = [first]
    for number in 1..<max(1, count) {
        lines.append(
            chain.append(
                event(
                    .attachRefused, "kafka/broker-\(number)", "namespace \"kafka\" is not here",
                    after: Int64(number))))
    }
    return lines.map { $0.dropLast() }
}

/// A log of so many entries a file, each but the first beginning with what says which it is.
func files(_ counts: [Int], kept: Int = 8, id: String = "00c0ffee") -> [[[UInt8]]] {
    var (chain, first) = AuditChain.genesis(id: id, time: start, cluster: "west")
    var place = AuditFilePlace(id: id, filesBefore: 0, kept: kept)
    var all: [[[UInt8]]] = []
    for (number, count) in counts.enumerated() {
        var lines = [first]
        if number > 0 {
            place = place.next(keeping: kept)
            lines = [chain.begin(place, time: start, cluster: "west")]
        }
        for entry in 1..<max(1, count) {
            lines.append(chain.append(event(.attached, "kafka/broker-\(number)-\(entry)")))
        }
        all.append(lines.map { $0.dropLast() })
    }
    return all
}

func file(_ lines: [[UInt8]]) -> [UInt8] { lines.flatMap { $0 + [0x0a] } }

func head(_ lines: [[UInt8]]) -> AuditHead {
    let line = lines[lines.count - 1]
    return AuditHead(
        sequence: AuditEntry(line: line)?.sequence ?? 0, hash: AuditDigest(of: line))
}

func verify(_ files: [UInt8]..., heads: [AuditHead] = [], piece: Int = 1000) -> AuditReport {
    verify(files, heads: heads, piece: piece)
}

func verify(
    _ files: [[UInt8]], heads: [AuditHead] = [], piece: Int = 1000
) -> AuditReport {
    var verifier = AuditVerifier(heads: heads)
    for file in files {
        verifier.beginFile()
        for start in stride(from: 0, to: file.count, by: piece) {
            verifier.feed(Array(file[start..<min(file.count, start + piece)]))
        }
        verifier.endFile()
    }
    return verifier.finish()
}
