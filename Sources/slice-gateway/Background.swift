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
        // Not the name this was called by: that may be the drop-in's, which implies a subcommand.
        let argv = (["slice-gateway"] + arguments).map { strdup($0) } + [nil]
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
        guard let text = getenv(readyVariable), let fd = Int32(String(cString: text)) else {
            return
        }
        unsetenv(readyVariable)
        var byte: UInt8 = 1
        letGoOfTerminal()
        _ = write(fd, &byte, 1)
        close(fd)
    }

    /// Whoever reads our output to its end, as `$(wg-quick up ...)` does, must not wait for us.
    /// As with wireguard-go, who sets LOG_LEVEL wants to go on reading.
    private static func letGoOfTerminal() {
        let null = open("/dev/null", O_RDWR)
        guard null >= 0 else { return }
        for fd in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where fd == STDIN_FILENO || getenv("LOG_LEVEL") == nil {
            dup2(null, fd)
        }
        if null > STDERR_FILENO { close(null) }
    }

    private static func failure(_ what: String) -> ValidationFailure {
        ValidationFailure("cannot \(what): \(String(cString: strerror(errno)))")
    }
}
