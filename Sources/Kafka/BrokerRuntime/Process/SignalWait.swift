import Glibc
import NIOPosix

/// Signals as a stream. To be made before any thread is: a thread that does not know that they are
/// waited for would take them and end the process.
package final class SignalWait: Sendable {
    package let stream: AsyncStream<Int32>

    package init(_ signals: [Int32]) {
        let (stream, continuation) = AsyncStream<Int32>.makeStream()
        self.stream = stream
        var wanted = sigset_t()
        sigemptyset(&wanted)
        for signal in signals { sigaddset(&wanted, signal) }
        pthread_sigmask(SIG_BLOCK, &wanted, nil)
        let set = wanted
        // It ends with the process: waiting for a signal is all it does.
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        pool.submit { _ in
            var set = set
            while true {
                var signal: Int32 = 0
                if sigwait(&set, &signal) == 0 { continuation.yield(signal) }
            }
        }
    }
}
