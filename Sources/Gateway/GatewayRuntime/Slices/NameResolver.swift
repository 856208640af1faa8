import Addresses
import Glibc
import LinuxNet
import Synchronization

/// Turns the host names of peers' endpoints into addresses, on a thread of its own: a name
/// server that does not answer must hold up nothing else.
final class NameResolver: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    typealias Answer = @Sendable (Result<[IPEndpoint], Failure>) -> Void

    private static let maximumWaiting = 1024

    private struct Question: Sendable {
        var host: String
        var port: UInt16
        var answer: Answer
    }

    private let questions = Mutex<[Question]>([])
    private let wake: EventFD

    init() throws(LinuxError) {
        wake = try EventFD()
        _ = try PosixThread(name: "resolver") { self.run() }
    }

    /// False when too many wait already. The answer comes on the resolver's thread.
    func resolve(_ host: String, port: UInt16, _ answer: @escaping Answer) -> Bool {
        let isTaken = questions.withLock { questions in
            guard questions.count < Self.maximumWaiting else { return false }
            questions.append(Question(host: host, port: port, answer: answer))
            return true
        }
        wake.signal()
        return isTaken
    }

    private func run() {
        while true {
            var waiting = pollfd(fd: wake.fd, events: Int16(POLLIN), revents: 0)
            _ = poll(&waiting, 1, -1)
            wake.drain()
            while let question = questions.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                question.answer(Self.look(up: question.host, port: question.port))
            }
        }
    }

    /// Waits for the system's resolver.
    static func look(up host: String, port: UInt16) -> Result<[IPEndpoint], Failure> {
        var hints = addrinfo()
        hints.ai_socktype = 2
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            let reason = gai_strerror(code).map { String(cString: $0) } ?? "error \(code)"
            return .failure(Failure(description: "cannot resolve \(host): \(reason)"))
        }
        defer { freeaddrinfo(list) }
        var endpoints: [IPEndpoint] = []
        var entry = list
        while let current = entry?.pointee {
            if let raw = current.ai_addr, endpoints.count < 16 {
                let bytes = UnsafeRawBufferPointer(
                    start: raw, count: Int(current.ai_addrlen))
                let address: IPAddress? =
                    switch (current.ai_family, bytes.count) {
                    case (AF_INET, 8...): IPAddress(bytes: Array(bytes[4..<8]))
                    case (AF_INET6, 24...): IPAddress(bytes: Array(bytes[8..<24]))
                    default: nil
                    }
                if let address {
                    let endpoint = IPEndpoint(address, port: port)
                    if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
                }
            }
            entry = current.ai_next
        }
        guard !endpoints.isEmpty else {
            return .failure(Failure(description: "cannot resolve \(host): it has no address"))
        }
        return .success(endpoints)
    }
}
