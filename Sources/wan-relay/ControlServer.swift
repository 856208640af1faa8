import Glibc
import LinuxNet
import WanModel

/// A Unix stream socket: a line in, an answer out. Used by the relay's own thread only.
final class ControlServer {
    private static let mostClients = 16
    /// An answer that nobody reads is kept this far, then the client is let go.
    private static let mostUnsent = 16 << 20

    private struct Client {
        var fd: Int32
        var unread: [UInt8] = []
        var unsent: [UInt8] = []
        var isClosing = false
    }

    private let path: String
    private let listener: Int32
    private var clients: [Client] = []
    /// Whether `polled` differs from when it was last asked for.
    var hasChanged = true

    init(path: String) throws {
        self.path = path
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw LinuxError("open", "control socket", errno: errno) }
        listener = fd
        do {
            try Self.withAddress(path) { address, length throws(LinuxError) in
                try Self.removeStale(path, address, length)
                guard bind(fd, address, length) == 0, chmod(path, 0o600) == 0,
                    listen(fd, 16) == 0, fcntl(fd, F_SETFL, O_NONBLOCK) == 0
                else { throw LinuxError("listen", "on \(path)", errno: errno) }
            }
        } catch {
            close(fd)
            throw error
        }
    }

    deinit {
        for client in clients { close(client.fd) }
        close(listener)
        unlink(path)
    }

    /// What a killed relay left is removed; what a living one listens on is not.
    private static func removeStale(
        _ path: String, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
    ) throws(LinuxError) {
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw LinuxError("open", "control socket", errno: errno) }
        defer { close(probe) }
        if connect(probe, address, length) == 0 {
            throw LinuxError(
                "listen", "on \(path)", errno: EADDRINUSE, detail: "a relay runs there")
        }
        // Refused: a socket without a listener. Anything else there is not ours to remove.
        if errno == ECONNREFUSED { unlink(path) }
    }

    private static func withAddress(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(LinuxError) -> Void
    ) throws(LinuxError) {
        var address = sockaddr_un()
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard (1..<room).contains(path.utf8.count) else {
            throw LinuxError(
                "listen", "on \(path)", errno: ENAMETOOLONG, detail: "at most \(room - 1) bytes")
        }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        try withUnsafePointer(to: &address) { pointer throws(LinuxError) in
            try UnsafeRawPointer(pointer).withMemoryRebound(to: sockaddr.self, capacity: 1) {
                address throws(LinuxError) in try body(address, length)
            }
        }
    }

    var polled: [pollfd] {
        [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            + clients.map {
                let events = $0.unsent.isEmpty ? POLLIN : POLLIN | POLLOUT
                return pollfd(fd: $0.fd, events: Int16(events), revents: 0)
            }
    }

    /// Reads and writes what is ready; the descriptors of clients that may have lines.
    func serve(_ polled: ArraySlice<pollfd>) -> [Int32] {
        hasChanged = true
        var readable: [Int32] = []
        for entry in polled where entry.revents != 0 {
            if entry.fd == listener {
                accept()
            } else if let i = clients.firstIndex(where: { $0.fd == entry.fd }) {
                send(i)
                receive(i)
                readable.append(entry.fd)
            }
        }
        return readable
    }

    /// The next whole line of a client; without one, a client that has gone is let go.
    func nextLine(of fd: Int32) -> [UInt8]? {
        guard let i = clients.firstIndex(where: { $0.fd == fd }) else { return nil }
        if let end = clients[i].unread.firstIndex(of: 10) {
            let line = Array(clients[i].unread[..<end])
            clients[i].unread.removeSubrange(...end)
            return line
        }
        if clients[i].unread.count > WanScript.mostLineBytes {
            answer("error: a line has at most \(WanScript.mostLineBytes) bytes", to: fd)
            clients[i].isClosing = true
        }
        if clients[i].isClosing {
            close(fd)
            clients.remove(at: i)
        }
        return nil
    }

    func answer(_ text: String, to fd: Int32) {
        guard let i = clients.firstIndex(where: { $0.fd == fd }) else { return }
        clients[i].unsent += text.utf8
        clients[i].unsent.append(10)
        send(i)
    }

    private func accept() {
        let fd = Glibc.accept(listener, nil, nil)
        guard fd >= 0 else { return }
        guard clients.count < Self.mostClients,
            fcntl(fd, F_SETFL, O_NONBLOCK) == 0, fcntl(fd, F_SETFD, FD_CLOEXEC) == 0
        else {
            close(fd)
            return
        }
        clients.append(Client(fd: fd))
    }

    private func receive(_ i: Int) {
        var chunk = [UInt8](repeating: 0, count: 4_096)
        let count = recv(clients[i].fd, &chunk, chunk.count, 0)
        if count > 0 {
            clients[i].unread += chunk[..<count]
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            clients[i].isClosing = true
        }
    }

    private func send(_ i: Int) {
        while !clients[i].unsent.isEmpty {
            let count = Glibc.send(
                clients[i].fd, clients[i].unsent, clients[i].unsent.count,
                Int32(MSG_NOSIGNAL))
            guard count > 0 else {
                let isFull = errno == EAGAIN && clients[i].unsent.count <= Self.mostUnsent
                if !isFull { clients[i].isClosing = true }
                return
            }
            clients[i].unsent.removeFirst(count)
        }
    }
}
