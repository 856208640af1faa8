import CNIModel
import Glibc

/// The gateway's socket: one request, one reply, blocking, with a limit on the wait.
enum AdminSocket {
    /// Runtimes give a plugin a minute or more.
    private static let patienceSeconds = 30

    static func exchange(_ path: String, _ request: [UInt8]) throws(CNIError) -> [UInt8] {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw unreachable(path, errno) }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: patienceSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        try connect(descriptor, path)
        try send(descriptor, request, path)
        return try receive(descriptor, path)
    }

    private static func connect(_ descriptor: Int32, _ path: String) throws(CNIError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else { throw unreachable(path, ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw unreachable(path, errno) }
    }

    private static func send(
        _ descriptor: Int32, _ request: [UInt8], _ path: String
    ) throws(CNIError) {
        var sent = 0
        while sent < request.count {
            let count = request[sent...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw unreachable(path, errno) }
            sent += count
        }
    }

    private static func receive(
        _ descriptor: Int32, _ path: String
    ) throws(CNIError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw unreachable(path, errno)
            }
            bytes += chunk[..<count]
            guard bytes.count <= AdminExchange.maximumReplyBytes else {
                throw CNIError(.inputOutput, "the slice gateway's reply is too long")
            }
        }
    }

    private static func unreachable(_ path: String, _ code: Int32) -> CNIError {
        let start = "start it with: systemctl start slice-gateway"
        switch code {
        case ENOENT, ENOTDIR, ECONNREFUSED:
            return CNIError(
                .tryAgainLater, "the slice gateway is not running: nobody listens at \(path)",
                details: start)
        case EACCES, EPERM:
            return CNIError(
                .inputOutput, "you may not use \(path)", details: "only root may ask the gateway")
        case EAGAIN, ETIMEDOUT:
            return CNIError(
                .tryAgainLater,
                "no reply from the slice gateway at \(path) within \(patienceSeconds) s",
                details: "journalctl -u slice-gateway tells more")
        default:
            return CNIError(
                .tryAgainLater,
                "cannot ask the slice gateway at \(path): \(String(cString: strerror(code)))",
                details: start)
        }
    }
}
