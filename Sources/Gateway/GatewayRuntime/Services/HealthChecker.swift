import Addresses
import Glibc
import LinuxNet
import SliceModel
import Synchronization
import Timing

/// Tries the members of services by TCP connections from the gateway's overlay addresses, on a
/// thread inside the router namespace. It connects, sends nothing, and closes.
package final class HealthChecker: Sendable {
    /// Connections at a time; who is due beyond that waits.
    package static let maximumOpen = 256

    package typealias Changed = @Sendable ([HealthBook.Change]) -> Void

    private struct State {
        var book = HealthBook()
        var isStopping = false
    }

    private let state = Mutex(State())
    private let wake: EventFD
    private let sources: [IPAddress]
    private let changed: Changed
    private let thread = Mutex<PosixThread?>(nil)

    /// `onChange` is called on the checker's thread, with everything that changed at once.
    package init(
        in namespace: NetworkNamespace, from addresses: [IPAddress], onChange: @escaping Changed
    ) throws(LinuxError) {
        wake = try EventFD()
        sources = addresses
        changed = onChange
        // Whether we may enter shows here, where it can be told.
        try namespace.perform {}
        let thread = try PosixThread(name: "health") { [self] in
            // Sockets are born where their thread is.
            do throws(LinuxError) {
                try namespace.enterForGood()
                run()
            } catch {
                // It let us in a moment ago. Nobody is checked now, and everybody is healthy.
            }
        }
        self.thread.withLock { $0 = thread }
    }

    package func set(_ targets: [HealthTarget]) {
        let now = MonotonicClock.now()
        state.withLock { $0.book.set(targets, now: now) }
        wake.signal()
    }

    /// True for whoever is not checked, or was not yet.
    package func isHealthy(_ id: HealthTarget.ID) -> Bool {
        state.withLock { $0.book.isHealthy(id) }
    }

    /// Whether everybody was tried at least once.
    package var isSettled: Bool { state.withLock { $0.book.isSettled } }

    /// Waits for the thread; after it nothing is reported any more.
    package func stop() {
        state.withLock { $0.isStopping = true }
        wake.signal()
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }

    // MARK: The thread

    fileprivate struct Trial {
        var attempt: HealthBook.Attempt
        var deadline: Instant
        var sockets: [Int32]
        var outcome = HealthBook.Outcome.failed
    }

    private func run() {
        var trials: [Trial] = []
        while true {
            let now = MonotonicClock.now()
            let (isStopping, attempts, next) = state.withLock { state in
                let due = state.book.due(now, limit: Self.maximumOpen - trials.count)
                return (state.isStopping, due, state.book.nextDue)
            }
            if isStopping { break }
            for attempt in attempts { trials.append(begin(attempt, now)) }
            settle(&trials, MonotonicClock.now())
            var deadline = trials.map(\.deadline).min()
            if let next, trials.count < Self.maximumOpen { deadline = min(deadline ?? next, next) }
            wait(&trials, until: deadline)
        }
        for trial in trials { for socket in trial.sockets { close(socket) } }
    }

    private func begin(_ attempt: HealthBook.Attempt, _ now: Instant) -> Trial {
        var trial = Trial(
            attempt: attempt, deadline: now + attempt.target.check.timeout, sockets: [])
        var isOurFault = false
        for address in attempt.target.addresses {
            switch connect(address, port: attempt.target.check.port) {
            case .underway(let socket): trial.sockets.append(socket)
            case .answered:
                trial.outcome = .answered
                trial.closeAll()
                return trial
            case .failed: break
            case .ourFault: isOurFault = true
            }
        }
        if trial.sockets.isEmpty, isOurFault { trial.outcome = .inconclusive }
        return trial
    }

    /// Tells the outcome of what is over.
    private func settle(_ trials: inout [Trial], _ now: Instant) {
        for index in trials.indices where trials[index].deadline <= now {
            trials[index].closeAll()
        }
        let over = trials.filter(\.sockets.isEmpty)
        guard !over.isEmpty else { return }
        trials.removeAll(where: \.sockets.isEmpty)
        let changes = state.withLock { state in
            over.compactMap { state.book.finished($0.attempt, $0.outcome, now: now) }
        }
        if !changes.isEmpty { changed(changes) }
        // Their next time may be sooner than what we were about to wait for.
        wake.signal()
    }

    private func wait(_ trials: inout [Trial], until deadline: Instant?) {
        var descriptors = [pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)]
        for trial in trials {
            descriptors += trial.sockets.map {
                pollfd(fd: $0, events: Int16(POLLOUT), revents: 0)
            }
        }
        var milliseconds: Int32 = -1
        if let deadline {
            let left = max(0, (deadline - MonotonicClock.now()).count)
            milliseconds = Int32(clamping: (left + 999_999) / 1_000_000)
        }
        guard poll(&descriptors, nfds_t(descriptors.count), milliseconds) > 0 else { return }
        wake.drain()
        var place = 1
        for index in trials.indices {
            let sockets = trials[index].sockets
            for socket in sockets {
                defer { place += 1 }
                guard descriptors[place].revents != 0 else { continue }
                trials[index].finish(socket)
            }
        }
    }

    // MARK: Sockets

    private enum Beginning {
        case underway(Int32)
        case answered
        case failed
        case ourFault
    }

    private func connect(_ address: IPAddress, port: UInt16) -> Beginning {
        // SOCK_STREAM with SOCK_NONBLOCK and SOCK_CLOEXEC (socket(2)).
        let kind: Int32 = 1 | 0o4000 | 0o2_000_000
        let fd = socket(address.isIPv4 ? AF_INET : AF_INET6, kind, 0)
        guard fd >= 0 else { return .ourFault }
        if let source = sources.first(where: { $0.isIPv4 == address.isIPv4 }) {
            let bound = NameSockets.withSocketAddress(source, port: 0) { bind(fd, $0, $1) }
            guard bound == 0 else {
                close(fd)
                return .ourFault
            }
        }
        let result = NameSockets.withSocketAddress(address, port: port) {
            Glibc.connect(fd, $0, $1)
        }
        if result == 0 {
            close(fd)
            return .answered
        }
        let code = errno
        if code == EINPROGRESS { return .underway(fd) }
        close(fd)
        return Self.isOurFault(code) ? .ourFault : .failed
    }

    fileprivate static func isOurFault(_ code: Int32) -> Bool {
        [EADDRNOTAVAIL, ENOBUFS, ENOMEM, EMFILE, ENFILE, EAGAIN].contains(code)
    }
}

extension HealthChecker.Trial {
    fileprivate mutating func closeAll() {
        for socket in sockets { close(socket) }
        sockets = []
    }

    /// It is connected, or will not be.
    fileprivate mutating func finish(_ socket: Int32) {
        guard let index = sockets.firstIndex(of: socket) else { return }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
        if code == 0 {
            outcome = .answered
            return closeAll()
        }
        sockets.remove(at: index)
        close(socket)
        if sockets.isEmpty, HealthChecker.isOurFault(code) { outcome = .inconclusive }
    }
}
