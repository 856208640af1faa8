import ArgumentParser
import CLinux
import Glibc

/// Going to the background without fork: a threaded process may not. The program starts itself
/// again in a session of its own and waits until the new one says that it is ready.
enum Background {
    /// The environment variable that names the descriptor to say so on.
    private static let readyVariable = "SLICE_GATEWAY_READY_FD"

    static func start(arguments: [String]) throws {
        var pipe: [Int32] = [0, 0]
        guard Glibc.pipe(&pipe) == 0 else { throw failure("make a pipe") }
        defer { close(pipe[0]) }
        _ = fcntl(pipe[0], F_SETFD, FD_CLOEXEC)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(clinux_spawn_setsid))

        setenv(readyVariable, "\(pipe[1])", 1)
        let argv = ([CommandLine.arguments[0]] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var child = pid_t()
        let code = posix_spawn(&child, "/proc/self/exe", nil, &attributes, argv, environ)
        close(pipe[1])
        guard code == 0 else {
            errno = code
            throw failure("start in the background")
        }
        var byte: UInt8 = 0
        if read(pipe[0], &byte, 1) != 1 {
            // The child has said on stderr what went wrong.
            var status: Int32 = 0
            waitpid(child, &status, 0)
            throw ExitCode(1)
        }
    }

    @Sendable static func reportReady() {
        guard let text = getenv(readyVariable), let fd = Int32(String(cString: text)) else { return }
        unsetenv(readyVariable)
        var byte: UInt8 = 1
        _ = write(fd, &byte, 1)
        close(fd)
    }

    private static func failure(_ what: String) -> CleanExit {
        .message("cannot \(what): \(String(cString: strerror(errno)))")
    }
}
