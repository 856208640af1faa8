import Timing

/// How many different refusals of one kind in one slice are written. Whoever can provoke refusals
/// can provoke different ones, a port scan for instance, and would otherwise push out of the log
/// what was there before. What is left out is counted.
package struct AuditAllowance: Sendable {
    private struct Source: Hashable {
        var kind: AuditEvent.Kind
        var slice: String
    }

    private struct Account {
        var left: Int
        /// From when on the next one is earned.
        var since: Instant
        var omitted: UInt64 = 0
        /// When what was omitted is told.
        var end: Instant?
        /// Of the last that was omitted.
        var time = WallTime(nanosecondsSince1970: 0)
        var cluster = ""
    }

    /// So many at once, and later one more after each pause.
    private let burst: Int
    private let pause: Nanoseconds
    private var accounts: [Source: Account] = [:]

    package init(burst: Int = 100, pause: Nanoseconds = .seconds(60)) {
        self.burst = max(1, burst)
        self.pause = max(pause, .milliseconds(1))
    }

    /// False if the event is to be left out.
    mutating func take(_ event: AuditEvent, at now: Instant) -> Bool {
        let source = Source(kind: event.kind, slice: event.slice)
        var account = accounts[source] ?? Account(left: burst, since: now)
        earn(&account, at: now)
        defer {
            accounts[source] = account
            // An account that is full is as good as none.
            if accounts.count > 1024 { forgetFull(at: now) }
        }
        if account.left > 0 {
            account.left -= 1
            return true
        }
        account.omitted += event.count
        account.time = event.time
        account.cluster = event.cluster
        if account.end == nil { account.end = now + pause }
        return false
    }

    /// Counts of what was left out, whose while is over.
    mutating func expire(at now: Instant) -> [AuditEvent] {
        told { $0 <= now }
    }

    mutating func flush() -> [AuditEvent] {
        told { _ in true }
    }

    var deadline: Instant? { accounts.values.compactMap(\.end).min() }

    private mutating func told(_ isDue: (Instant) -> Bool) -> [AuditEvent] {
        let due = accounts.filter { $0.value.end.map(isDue) ?? false }
            .sorted { ($0.key.slice, $0.key.kind.word) < ($1.key.slice, $1.key.kind.word) }
        return due.map { source, account in
            accounts[source]?.omitted = 0
            accounts[source]?.end = nil
            return AuditEvent(
                .omitted, time: account.time, slice: source.slice, cluster: account.cluster,
                subject: source.kind.word,
                reason: "more than \(burst) different ones came: then one more is written every "
                    + "\(pause.count / 1_000_000_000) s", count: account.omitted)
        }
    }

    private func earn(_ account: inout Account, at now: Instant) {
        let earned = max(0, (now - account.since).count) / pause.count
        account.left = Int(min(Int64(burst), Int64(account.left) + min(earned, Int64(burst))))
        // While nothing is missing nothing is earned.
        account.since = account.left == burst ? now : account.since + pause * earned
    }

    private mutating func forgetFull(at now: Instant) {
        accounts = accounts.filter { _, account in
            var account = account
            earn(&account, at: now)
            return account.left < burst || account.end != nil
        }
    }
}
