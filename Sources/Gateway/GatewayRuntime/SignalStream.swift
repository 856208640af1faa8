import Glibc
import LinuxNet

/// Signals as a stream. One in a process.
package final class SignalStream: Sendable {
    package let stream: AsyncStream<Int32>

    package init(_ signals: [Int32]) throws(LinuxError) {
        let descriptor = try SignalPipe(signals)
        let (stream, continuation) = AsyncStream<Int32>.makeStream()
        self.stream = stream
        // It ends with the process: waiting for a signal is all it does.
        _ = try PosixThread(name: "signals") {
            while true {
                var waiting = pollfd(fd: descriptor.fd, events: Int16(POLLIN), revents: 0)
                _ = poll(&waiting, 1, -1)
                while let signal = descriptor.next() { continuation.yield(signal) }
            }
        }
    }
}
