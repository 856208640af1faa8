import CLinux
import Glibc
import Synchronization

/// A thread of our own: named, joined once, never borrowed from a pool.
package final class PosixThread: Sendable {
    private let handle: pthread_t
    private let isJoined = Atomic<Bool>(false)

    /// Names longer than 15 bytes are cut: the kernel keeps no more.
    /// With `cpu` it runs there alone; EINVAL if there is no such CPU for this process.
    package init(
        name: String, cpu: Int? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(LinuxError) {
        let start = ThreadStart(name: name, cpu: cpu, body)
        handle = try start.launch()
    }

    /// Ends the blocking call that the thread is in, if it is in one: that call fails with
    /// EINTR. A thread about to block is not stopped, so whoever needs an answer calls again
    /// until it has one.
    package func interrupt() {
        if !isJoined.load(ordering: .acquiring) { pthread_kill(handle, SIGURG) }
    }

    /// Waits for the end. Further calls return at once.
    package func join() {
        if !isJoined.exchange(true, ordering: .acquiringAndReleasing) { pthread_join(handle, nil) }
    }

    deinit {
        if !isJoined.load(ordering: .acquiring) { pthread_detach(handle) }
    }

    /// Runs `body` on a fresh thread and waits for it, so that whatever the body does to its
    /// thread (setns, unshare) dies with the thread.
    static func runToEnd<T>(
        name: String, _ body: () throws -> T
    ) throws -> T {
        var outcome: Result<T, any Error>?
        let failure: LinuxError? = withUnsafeMutablePointer(to: &outcome) { slot in
            withoutActuallyEscaping(body) { body -> LinuxError? in
                let start = ThreadStart(name: name) { slot.pointee = Result(catching: body) }
                do throws(LinuxError) {
                    pthread_join(try start.launch(), nil)
                    return nil
                } catch {
                    return error
                }
            }
        }
        if let failure { throw failure }
        guard let outcome else { preconditionFailure("a joined thread has run its body") }
        return try outcome.get()
    }
}

/// Carries a closure across pthread_create.
private final class ThreadStart {
    let name: String
    let cpu: Int?
    let body: () -> Void

    init(name: String, cpu: Int? = nil, _ body: @escaping () -> Void) {
        self.name = String(decoding: name.utf8.prefix(15), as: UTF8.self)
        self.cpu = cpu
        self.body = body
    }

    func launch() throws(LinuxError) -> pthread_t {
        var handle = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if let cpu {
            try check(
                clinux_set_thread_cpu(&attributes, Int32(clamping: cpu)), "start",
                "thread \(name) on CPU \(cpu)")
        }
        let box = Unmanaged.passRetained(self)
        let code = pthread_create(
            &handle, &attributes,
            { argument in
                guard let argument else { return nil }
                ThreadStart.enter(argument)
                return nil
            }, box.toOpaque())
        if code != 0 { box.release() }
        try check(
            -code, "start", cpu.map { "thread \(name) on CPU \($0)" } ?? "thread \(name)")
        return handle
    }

    /// A frame of its own, so that the closure is released before a joiner goes on.
    @inline(never)
    private static func enter(_ argument: UnsafeMutableRawPointer) {
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        _ = clinux_set_thread_name(start.name)
        _ = clinux_make_interruptible()
        start.body()
    }
}
