import Glibc

/// What is piped in.
enum StandardInput {
    /// The next bytes; none at the end.
    static func read(atMost count: Int = 65_536) throws(Failure) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: count)
        while true {
            let got = Glibc.read(0, &chunk, count)
            if got >= 0 { return Array(chunk.prefix(got)) }
            guard errno == EINTR else {
                throw Failure(
                    .failed, "input",
                    "cannot read standard input: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Whether a read would not wait, or only so long.
    static func isReady(milliseconds: CInt) -> Bool {
        var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) > 0
    }

    /// A whole file, or standard input for `-`, of a size that a person or script would write.
    static func document(_ path: String) throws(Failure) -> [UInt8] {
        let limit = 16 << 20
        var descriptor: CInt = 0
        if path != "-" {
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw Failure(
                    .usage, "input",
                    "cannot open \(path): \(String(cString: strerror(errno)))")
            }
        }
        defer { if descriptor != 0 { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = Glibc.read(descriptor, &chunk, chunk.count)
            if got == 0 { return bytes }
            if got < 0 {
                if errno == EINTR { continue }
                throw Failure(
                    .usage, "input",
                    "cannot read \(path): \(String(cString: strerror(errno)))")
            }
            bytes += chunk.prefix(got)
            guard bytes.count <= limit else {
                throw Failure(.usage, "input", "\(path) has more than \(limit) bytes")
            }
        }
    }
}
