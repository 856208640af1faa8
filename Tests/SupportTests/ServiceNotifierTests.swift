import Glibc
import Supervision
import Testing
import Timing

// SOCK_DGRAM and MSG_DONTWAIT, whose Swift type depends on which C module came first.
private let datagramSocket: Int32 = 2
private let withoutWaiting: Int32 = 0x40

struct ServiceNotifierTests {
    /// A datagram socket in systemd's place.
    private func listen(_ name: String) throws -> Int32 {
        let fd = socket(AF_UNIX, datagramSocket, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isAbstract = name.hasPrefix("@")
        let bytes = isAbstract ? [0] + Array(name.utf8.dropFirst()) : Array(name.utf8) + [0]
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, socklen_t(2 + bytes.count))
            }
        }
        try #require(bound == 0)
        return fd
    }

    private func receive(_ fd: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(fd, &buffer, buffer.count, withoutWaiting)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    @Test(arguments: [false, true])
    func statesReachTheServiceManager(isAbstract: Bool) throws {
        let name =
            (isAbstract ? "@" : "/tmp/") + "notify-\(getpid())-\(UInt32.random(in: .min ... .max))"
        let fd = try listen(name)
        defer {
            close(fd)
            if !isAbstract { unlink(name) }
        }
        let notifier = ServiceNotifier(socketPath: name)
        try notifier.ready(status: "3 slices\nREADY=0")
        #expect(receive(fd) == "READY=1\nSTATUS=3 slices READY=0")
        try notifier.reloading(now: .init(nanoseconds: 5_000_999))
        #expect(receive(fd) == "RELOADING=1\nMONOTONIC_USEC=5000")
        try notifier.alive()
        #expect(receive(fd) == "WATCHDOG=1")
        try notifier.status("well")
        #expect(receive(fd) == "STATUS=well")
        try notifier.stopping()
        #expect(receive(fd) == "STOPPING=1")
    }

    @Test func theEnvironmentIsRead() throws {
        func notifier(_ values: [String: String]) -> ServiceNotifier {
            ServiceNotifier(environment: { values[$0] }, pid: 42)
        }
        #expect(notifier([:]).socketPath == nil)
        try notifier([:]).ready()
        let full = notifier(["NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"])
        #expect(full.socketPath == "@x" && full.watchdog == .seconds(30))
        #expect(notifier(["WATCHDOG_USEC": "30", "WATCHDOG_PID": "42"]).watchdog != nil)
        #expect(notifier(["WATCHDOG_USEC": "30", "WATCHDOG_PID": "43"]).watchdog == nil)
        for bad in ["", "x", "-1", "0", "99999999999999999999", "9223372036854775807"] {
            #expect(notifier(["WATCHDOG_USEC": bad]).watchdog == nil)
        }
        #expect(notifier(["NOTIFY_SOCKET": "relative"]).socketPath == nil)
        #expect(throws: NotifyError(object: "/tmp/nobody-here", errno: ENOENT)) {
            try ServiceNotifier(socketPath: "/tmp/nobody-here").ready()
        }
        let long = "/" + String(repeating: "x", count: 200)
        #expect(throws: NotifyError(object: long, errno: ENAMETOOLONG)) {
            try ServiceNotifier(socketPath: long).ready()
        }
    }
}
