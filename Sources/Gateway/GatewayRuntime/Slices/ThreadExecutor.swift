import Glibc
import LinuxNet
import Synchronization

/// Runs an actor's jobs on one thread of its own. Netlink, nftables and files block, and must
/// not hold up the threads that everybody shares.
package final class ThreadExecutor: SerialExecutor {
    private let queue = Mutex<[UnownedJob]>([])
    private let wake: EventFD

    package init(name: String) throws(LinuxError) {
        wake = try EventFD()
        // It lives as long as the process: executors are used again, not ended, so that no job
        // is ever left behind.
        _ = try PosixThread(name: name) { self.run() }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.withLock { $0.append(job) }
        wake.signal()
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    private func run() {
        while true {
            var waiting = pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)
            _ = poll(&waiting, 1, -1)
            wake.drain()
            while true {
                let jobs = queue.withLock { queue in
                    let jobs = queue
                    queue.removeAll(keepingCapacity: true)
                    return jobs
                }
                if jobs.isEmpty { break }
                for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            }
        }
    }
}
