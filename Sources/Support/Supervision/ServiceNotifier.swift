import CLinux
import Glibc
import Timing

/// Tells systemd how the service is doing (sd_notify(3)). Without systemd it does nothing.
package struct ServiceNotifier: Sendable {
    /// A path, or an abstract name that begins with `@`; nil when nobody listens.
    package let socketPath: String?
    /// WatchdogSec of the unit: send `watchdog()` at less than half of it.
    package let watchdog: Nanoseconds?

    package init(socketPath: String?, watchdog: Nanoseconds? = nil) {
        self.socketPath = socketPath
        self.watchdog = watchdog
    }

    /// From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, in an environment that the caller reads.
    package init(environment: (String) -> String?, pid: Int32 = getpid()) {
        let path = environment("NOTIFY_SOCKET")
        socketPath = path.flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isOurs = environment("WATCHDOG_PID").map { Int32($0) == pid } ?? true
        watchdog =
            isOurs
            ? environment("WATCHDOG_USEC").flatMap { Int64($0) }.flatMap {
                $0 > 0 && $0 < Int64.max / 1_000 ? .microseconds($0) : nil
            } : nil
    }

    package static func fromEnvironment() -> ServiceNotifier {
        ServiceNotifier(environment: { getenv($0).map { String(cString: $0) } })
    }

    package func ready(status: String? = nil) throws(NotifyError) {
        try send(["READY=1"] + (status.map { ["STATUS=\(Self.line($0))"] } ?? []))
    }

    /// Followed by `ready()`. Type=notify-reload wants to know when it began.
    package func reloading(now: Instant) throws(NotifyError) {
        try send(["RELOADING=1", "MONOTONIC_USEC=\(now.nanoseconds / 1_000)"])
    }

    package func stopping() throws(NotifyError) { try send(["STOPPING=1"]) }
    package func alive() throws(NotifyError) { try send(["WATCHDOG=1"]) }

    /// One line for `systemctl status`.
    package func status(_ text: String) throws(NotifyError) {
        try send(["STATUS=\(Self.line(text))"])
    }

    /// A line break would begin another assignment.
    private static func line(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 32 ? 32 : $0 }, as: UTF8.self)
    }

    private func send(_ assignments: [String]) throws(NotifyError) {
        guard let socketPath else { return }
        let kind = Int32(clinux_sock_dgram) | Int32(clinux_sock_cloexec)
        let fd = socket(AF_UNIX, kind, 0)
        guard fd >= 0 else { throw NotifyError(object: "a socket for \(socketPath)", errno: errno) }
        defer { close(fd) }
        let text = Array(assignments.joined(separator: "\n").utf8)
        var result: Int32
        repeat {
            result = clinux_notify_send(fd, socketPath, socketPath.utf8.count, text, text.count)
        } while result == -EINTR
        guard result >= 0 else { throw NotifyError(object: socketPath, errno: -result) }
    }
}

/// The service manager could not be told.
package struct NotifyError: Error, Hashable, Sendable, CustomStringConvertible {
    package var object: String
    package var errno: Int32

    package init(object: String, errno: Int32) {
        self.object = object
        self.errno = errno
    }

    package var description: String {
        "cannot notify \(object): \(String(cString: strerror(errno)))"
    }
}
