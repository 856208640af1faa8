import CLinux
import CMnl
import Glibc

/// A netlink socket (netlink(7)), bound for life to the network namespace it was opened in.
/// Blocking, with a limit on the wait. For one thread at a time.
package final class Netlink {
    /// Which part of the kernel it speaks to: the numbers of linux/netlink.h.
    enum Bus: Int32 {
        case route = 0
        case netfilter = 12
    }

    private let socket: OpaquePointer
    private let port: UInt32
    private var sequence: UInt32 = 0
    private let buffer: UnsafeMutableRawBufferPointer

    /// One reply of the kernel is at most 32 KiB (NLMSG_GOODSIZE rounded up); twice that is ample.
    private static let bufferSize = 65_536
    /// A dump of more is refused: no host of ours has such tables.
    private static let dumpLimitBytes = 256 << 20
    private static let dumpAttempts = 10

    /// In `namespace`, or in that of the calling thread.
    package convenience init(
        in namespace: NetworkNamespace? = nil, timeoutSeconds: Int64 = 10
    ) throws(LinuxError) {
        try self.init(.route, in: namespace, timeoutSeconds: timeoutSeconds)
    }

    init(
        _ bus: Bus, in namespace: NetworkNamespace?, timeoutSeconds: Int64 = 10
    ) throws(LinuxError) {
        let label = namespace.map { "in \($0)" } ?? ""
        func open() throws(LinuxError) -> OpaquePointer {
            guard let socket = mnl_socket_open2(bus.rawValue, Int32(clinux_sock_cloexec)) else {
                throw LinuxError("open", "netlink socket", label, errno: errno)
            }
            return socket
        }
        socket =
            if let namespace {
                try namespace.perform { () throws(LinuxError) in UncheckedSocket(try open()) }.value
            } else {
                try open()
            }
        if mnl_socket_bind(socket, 0, pid_t(MNL_SOCKET_AUTOPID)) < 0 {
            let code = errno
            mnl_socket_close(socket)
            throw LinuxError("bind", "netlink socket", label, errno: code)
        }
        port = mnl_socket_get_portid(socket)
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 8)
        let fd = mnl_socket_get_fd(socket)
        _ = clinux_set_receive_timeout(fd, timeoutSeconds * 1_000_000_000)
        // NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK (linux/netlink.h). Without
        // them replies are longer or have no text, which the parser copes with.
        for option: Int32 in [10, 11, 12] {
            var on: Int32 = 1
            mnl_socket_setsockopt(socket, option, &on, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// The kernel's own number of the socket's network namespace: given once until the next boot,
    /// where inode numbers are used again. Nil before Linux 5.14.
    package var namespaceCookie: UInt64? {
        var cookie: UInt64 = 0
        return clinux_namespace_cookie(mnl_socket_get_fd(socket), &cookie) == 0 ? cookie : nil
    }

    deinit {
        mnl_socket_close(socket)
        buffer.deallocate()
    }

    /// Sends a request and waits for its verdict. Messages that came before it are returned.
    @discardableResult
    func request(
        _ request: NetlinkRequest, _ operation: String, _ object: String, _ context: String = ""
    ) throws(LinuxError) -> [NetlinkReply.Message] {
        var replies: [NetlinkReply.Message] = []
        try exchange(request, operation, object, context) { message in
            replies.append(message)
            return true
        }
        return replies
    }

    /// Asks for a table. A dump that ran over a change, or that lost messages, is asked again.
    func dump<T>(
        _ request: NetlinkRequest, _ object: String, context: String = "",
        _ parse: (NetlinkReply.Message) -> T?
    ) throws(LinuxError) -> [T] {
        for _ in 0..<Self.dumpAttempts {
            var rows: [T] = []
            var interrupted = false
            do {
                try exchange(request, "list", object, context) { message in
                    if message.wasInterrupted { interrupted = true }
                    if let row = parse(message) { rows.append(row) }
                    return true
                }
            } catch {
                if error.errno == ENOBUFS { continue }
                throw error
            }
            if !interrupted { return rows }
        }
        throw LinuxError(
            "list", object, context, errno: EAGAIN, detail: "the table changes all the time")
    }

    /// A second descriptor of the socket, which lives on with it when this object has gone.
    func duplicate() throws(LinuxError) -> Int32 {
        Int32(
            try check(
                system { Int(fcntl(mnl_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0)) },
                "duplicate", "netlink socket"))
    }

    /// Sends a request and hands on what comes before its verdict. When `take` has had enough and
    /// says false, the rest stays behind: the socket is good for no other request then.
    func exchange(
        _ request: NetlinkRequest, _ operation: String, _ object: String, _ context: String,
        _ take: (NetlinkReply.Message) -> Bool
    ) throws(LinuxError) {
        sequence &+= 1
        let bytes = request.finished(sequence: sequence)
        let sent = bytes.withUnsafeBytes { bytes in
            system { mnl_socket_sendto(socket, bytes.baseAddress, bytes.count) }
        }
        try check(sent, operation, object, context)
        var received = 0
        while true {
            let count = system {
                mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
            }
            if count == -Int(EAGAIN) {
                throw LinuxError(
                    operation, object, context, errno: ETIMEDOUT,
                    detail: "the kernel did not answer")
            }
            try check(count, operation, object, context)
            received += count
            if received > Self.dumpLimitBytes {
                throw LinuxError(
                    operation, object, context, errno: EMSGSIZE, detail: "the table is too large")
            }
            let (messages, isWhole) = NetlinkReply.messages(Array(buffer[..<count]))
            for message in messages where message.sequence == sequence && message.port == port {
                guard message.type < NLM.firstType else {
                    guard take(message) else { return }
                    continue
                }
                guard message.type == NLM.errorMessage || message.type == NLM.doneMessage else {
                    if message.type == NLM.overrunMessage {
                        throw LinuxError(operation, object, context, errno: ENOBUFS)
                    }
                    continue
                }
                if message.type == NLM.doneMessage { _ = take(message) }
                let verdict = NetlinkReply.verdict(message)
                guard let verdict, verdict.errno == 0 else {
                    throw LinuxError(
                        operation, object, context, errno: verdict?.errno ?? EPROTO,
                        detail: verdict?.text)
                }
                return
            }
            if !isWhole {
                throw LinuxError(
                    operation, object, context, errno: EPROTO, detail: "a malformed netlink reply")
            }
        }
    }
}

/// Moves the socket's pointer out of the thread that opened it, which has ended by then.
private struct UncheckedSocket: @unchecked Sendable {
    let value: OpaquePointer
    init(_ value: OpaquePointer) { self.value = value }
}
