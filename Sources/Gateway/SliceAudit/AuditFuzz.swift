import Timing

/// Laws about bytes that somebody else may have written.
package enum AuditFuzz {
    package static func run(_ input: UnsafeRawBufferPointer) {
        let bytes = Array(input)
        for line in bytes.split(separator: 0x0a) {
            guard let entry = AuditEntry(line: Array(line)) else { continue }
            precondition(entry.line == Array(line), "an entry has two forms")
        }
        _ = AuditHead(String(decoding: bytes, as: UTF8.self)).map {
            precondition(AuditHead("\($0)") == $0)
        }
        let report = verify(bytes)
        // In pieces it is the same.
        precondition(report == verify(bytes, piece: 7), "pieces make a difference")
        resume(bytes, report)
    }

    /// Whatever is there, a log goes on, and its end is found again; what was whole stays whole.
    private static func resume(_ bytes: [UInt8], _ before: AuditReport) {
        let time = WallTime(nanosecondsSince1970: 1_700_000_000_000_000_000)
        let tail = AuditTail(bytes)
        let resumption = AuditResumption(
            tail: tail, head: nil, id: "fuzz", time: time, cluster: "west")
        var chain = resumption.chain
        let line = chain.append(AuditEvent(.started, time: time))
        let log = bytes + resumption.opening + line
        precondition(AuditTail(log).last == chain.head, "the end is not found again")
        let after = verify(log)
        switch before.problem?.reason {
        case nil: precondition(after.problem == nil && after.entries > before.entries)
        case .empty: precondition(after.problem == nil && after.entries == 2)
        default: break
        }
    }

    private static func verify(_ bytes: [UInt8], piece: Int = .max) -> AuditReport {
        var verifier = AuditVerifier()
        verifier.beginFile()
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + min(piece, bytes.count))
            verifier.feed(Array(bytes[start..<end]))
            start = end
        }
        verifier.endFile()
        return verifier.finish()
    }
}
