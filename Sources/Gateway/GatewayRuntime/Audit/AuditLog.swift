import Glibc
import LinuxNet
import Logging
import SliceAudit
import Synchronization
import Timing

/// The audit log of a gateway. Whoever has something to record hands it over and goes on; a thread
/// of its own chains it, writes it, waits for the disk, and tries again when that fails.
package final class AuditLog: Sendable {
    package struct Options: Sendable {
        /// A file this long is put aside.
        package var fileBytes = 64 << 20
        /// How many that were put aside are kept.
        package var olderFiles = 8
        /// What may wait for the disk. Beyond it events are counted only.
        package var waiting = 4096
        package var foldingWindow = Nanoseconds.seconds(60)
        package var retry = Nanoseconds.seconds(1)
        /// Names a new log.
        package var makeID: @Sendable () -> String = {
            String(UInt64.random(in: .min ... .max), radix: 16)
                + String(UInt64.random(in: .min ... .max), radix: 16)
        }
        /// How many bytes the disk takes yet. For tests.
        package var space: @Sendable () -> Int = { .max }

        package init() {}
    }

    package struct Status: Hashable, Sendable {
        /// Entries of this process that are on the disk.
        package var entries: UInt64 = 0
        /// Events that are only counted, because too many waited for the disk.
        package var lost: UInt64 = 0
        package var waiting = 0
        /// Where the log ends: to be kept elsewhere.
        package var head: AuditHead?
        /// Why nothing is written at present.
        package var problem: String?
    }

    private struct State {
        var queue: [AuditEvent] = []
        var folding: AuditFolding
        /// Since the last entry that said so.
        var unsaid: UInt64 = 0
        var status = Status()
        var isStopping = false
        var flushes: [EventFD] = []
    }

    /// Of one batch: 512 lines of at most 4 KiB are chained before they are written.
    private static let batch = 512

    package let path: String
    package let cluster: String
    private let options: Options
    private let logger: Logger
    private let state: Mutex<State>
    private let wake: EventFD
    private let thread: Mutex<PosixThread?>

    /// Starts the thread, which opens the file: a path that cannot be opened is a `problem`, and
    /// tried again.
    package init(
        path: String, cluster: String, options: Options = Options(), logger: Logger
    ) throws(LinuxError) {
        self.path = path
        self.cluster = cluster
        self.options = options
        self.logger = logger
        state = Mutex(State(folding: AuditFolding(window: options.foldingWindow)))
        wake = try EventFD()
        thread = Mutex(nil)
        // The thread keeps the log alive until `stop`.
        let started = try PosixThread(name: "audit") { self.run() }
        thread.withLock { $0 = started }
    }

    /// From any thread, without waiting for the disk. Equal refusals within a minute are folded
    /// into one entry with a count, so what varies with every try (a client's port) belongs
    /// neither in the subject nor in the reason.
    package func record(
        _ kind: AuditEvent.Kind, slice: String = "", subject: String = "", reason: String = ""
    ) {
        record(
            AuditEvent(
                kind, time: WallClock.now(), slice: slice, cluster: cluster, subject: subject,
                reason: reason))
    }

    package func record(_ event: AuditEvent) {
        let now = MonotonicClock.now()
        let isWaiting = state.withLock { state in
            guard !state.isStopping else { return false }
            let events = state.folding.add(event, at: now)
            for event in events { enqueue(event, &state) }
            return !events.isEmpty
        }
        // A folded event's count is written when its minute is over, and somebody waits for that.
        if isWaiting { wake.signal() }
    }

    package var status: Status { state.withLock { $0.status } }
    package var problem: String? { status.problem }
    package var entries: UInt64 { status.entries }
    package var head: AuditHead? { status.head }

    /// Returns when all that was recorded before has been written, or could not be.
    package func flush() {
        guard let done = try? EventFD() else { return }
        let isRunning = state.withLock { state in
            guard !state.isStopping else { return false }
            state.flushes.append(done)
            return true
        }
        guard isRunning else { return }
        wake.signal()
        var waiting = pollfd(fd: done.fd, events: Int16(POLLIN), revents: 0)
        while poll(&waiting, 1, -1) < 0, errno == EINTR {}
    }

    /// Writes what waits, counts that are still folded among it, and ends. Later events are
    /// ignored.
    package func stop() {
        state.withLock { state in
            guard !state.isStopping else { return }
            for event in state.folding.flush() { enqueue(event, &state) }
            state.isStopping = true
        }
        wake.signal()
        thread.withLock { $0 }?.join()
    }

    private func enqueue(_ event: AuditEvent, _ state: inout State) {
        if state.queue.count < options.waiting {
            state.queue.append(event)
            state.status.waiting = state.queue.count
        } else {
            state.unsaid += event.count
            state.status.lost += event.count
        }
    }

    // MARK: The thread

    private func run() {
        let writer = AuditWriter(path: path, cluster: cluster, options: options) { text in
            self.logger.warning("audit log: \(text)")
        }
        var nextTry: Instant?
        while true {
            let now = MonotonicClock.now()
            let (isStopping, flushes) = state.withLock { state in
                for event in state.folding.expire(at: now) { enqueue(event, &state) }
                let flushes = state.flushes
                state.flushes = []
                return (state.isStopping, flushes)
            }
            if isStopping || !flushes.isEmpty || nextTry.map({ $0 <= now }) ?? true {
                nextTry = writeAll(writer) ? nil : now + options.retry
            }
            for flush in flushes { flush.signal() }
            if isStopping { return }
            wait(until: nextTry)
        }
    }

    /// False if it has to be tried again.
    private func writeAll(_ writer: AuditWriter) -> Bool {
        var problem: LinuxError?
        do throws(LinuxError) {
            while true {
                try writer.prepare(at: WallClock.now())
                let events = take(problem: state.withLock { $0.status.problem })
                if events.isEmpty { break }
                try writer.append(events)
            }
        } catch {
            problem = error
        }
        let before = state.withLock { state in
            let before = state.status.problem
            state.status.problem = problem.map { "\($0)" }
            state.status.entries = writer.entries
            state.status.head = writer.head
            return before
        }
        if let problem, before == nil {
            logger.error("the audit log is not written: \(problem)")
        } else if problem == nil, before != nil {
            logger.notice("the audit log is written again", metadata: ["file": "\(path)"])
        }
        return problem == nil
    }

    /// The next batch. Behind all that waited comes what was only counted.
    private func take(problem: String?) -> [AuditEvent] {
        let time = WallClock.now()
        return state.withLock { state in
            var events = Array(state.queue.prefix(Self.batch))
            state.queue.removeFirst(events.count)
            state.status.waiting = state.queue.count
            if state.queue.isEmpty, state.unsaid > 0 {
                let why = problem.map { ": \($0)" } ?? ""
                events.append(
                    AuditEvent(
                        .lost, time: time, cluster: cluster,
                        reason: "more events waited than \(options.waiting)\(why)",
                        count: state.unsaid))
                state.unsaid = 0
            }
            return events
        }
    }

    private func wait(until nextTry: Instant?) {
        let deadlines = [nextTry, state.withLock { $0.folding.deadline }].compactMap { $0 }
        var timeout: Int32 = -1
        if let next = deadlines.min() {
            let left = (next - MonotonicClock.now()).count
            timeout = Int32(min(max(0, left / 1_000_000 + 1), 3_600_000))
        }
        var waiting = pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)
        _ = poll(&waiting, 1, timeout)
        wake.drain()
    }
}
