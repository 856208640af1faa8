import Glibc
import NIOPosix

/// A plain blocking client on a Unix socket, or on a port of the loopback, on threads of its own:
/// tests must not block the threads that the servers' tasks run on.
struct UnixClient: Sendable {
    private let descriptor: CInt

    struct Failure: Error, Equatable {
        var errno: Int32
    }

    static func connected(to path: String) async throws -> UnixClient {
        try await NIOThreadPool.singleton.runIfActive {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) {
                $0.copyBytes(from: path.utf8.prefix(107))
            }
            return try connected(to: &address, family: AF_UNIX)
        }
    }

    static func connected(toPort port: UInt16) async throws -> UnixClient {
        try await NIOThreadPool.singleton.runIfActive {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return try connected(to: &address, family: AF_INET)
        }
    }

    private static func connected<Address>(
        to address: inout Address, family: CInt
    ) throws -> UnixClient {
        let descriptor = socket(family, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(errno: errno) }
        // So that a server that says nothing fails the test instead of hanging it.
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience,
            socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0 else {
            let failure = Failure(errno: errno)
            Glibc.close(descriptor)
            throw failure
        }
        return UnixClient(descriptor: descriptor)
    }

    /// False if the other end is gone.
    @discardableResult
    func send(_ text: String) async throws -> Bool {
        try await NIOThreadPool.singleton.runIfActive {
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
                if count <= 0 { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }

    func endSending() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Reads until the text ends with `end`, or to the end of the stream.
    func receive(until end: String? = nil) async throws -> String {
        try await NIOThreadPool.singleton.runIfActive {
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1)
            // Byte by byte, so as never to take what belongs to the next reply.
            while true {
                let count = read(descriptor, &chunk, 1)
                if count < 0, errno == ECONNRESET { break }
                guard count >= 0 else { throw Failure(errno: errno) }
                if count == 0 { break }
                bytes.append(chunk[0])
                if let end, bytes.suffix(end.utf8.count).elementsEqual(end.utf8) { break }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    func close() { Glibc.close(descriptor) }
}

/// A directory of one test.
struct ScratchDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/gateway-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw UnixClient.Failure(errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func remove(_ names: String...) {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    static func mode(_ path: String) -> mode_t? {
        var info = stat()
        return lstat(path, &info) == 0 ? info.st_mode & 0o7777 : nil
    }
}
