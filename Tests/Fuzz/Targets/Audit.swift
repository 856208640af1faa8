import SliceAudit
import Timing

extension FuzzTarget {
    static let audit = FuzzTarget(
        "audit-log",
        words: AuditEvent.Kind.known.map(\.word) + [
            "{\"sequence\":", ",\"time\":\"", "2026-11-23T22:00:00.123Z", ",\"kind\":\"",
            ",\"slice\":\"", ",\"cluster\":\"", ",\"subject\":\"", ",\"reason\":\"", ",\"count\":",
            ",\"previous\":\"", "\"}\n", "9007199254740991", "keeps ",
            " older files; the one before this ends with ",
            "\\\"", "\\\\",
        ],
        seeds: { auditSeeds }
    ) { AuditFuzz.run($0) }

    /// A log, a log that a crash cut off and that was repaired, one that is cut off, a head.
    private static var auditSeeds: [[UInt8]] {
        let time = WallTime(nanosecondsSince1970: 1_795_471_200_123_000_000)
        var (chain, log) = AuditChain.genesis(id: "00c0ffee", time: time, cluster: "west")
        log += chain.append(AuditEvent(.started, time: time))
        log += chain.append(
            AuditEvent(
                .flowRefused, time: time, slice: "payments", cluster: "west",
                subject: "apps/web -> kafka/broker-0", reason: "no \"policy\"", count: 12))
        let next = AuditFilePlace(id: "00c0ffee", filesBefore: 0, kept: 8).next(keeping: 8)
        let whole = log + chain.begin(next, time: time, cluster: "west")
        let torn = Array(log.dropLast(50))
        let resumption = AuditResumption(
            tail: AuditTail(torn), head: nil, id: "", time: time, cluster: "west")
        return [log, whole, torn + resumption.opening, torn, Array("\(chain.head)".utf8)]
    }
}
