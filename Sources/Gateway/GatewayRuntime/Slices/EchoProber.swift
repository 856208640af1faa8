import Addresses
import Bytes
import Glibc
import LinuxNet
import Noise
import Packets
import Synchronization
import Timing

/// Sends ICMP echoes from the gateway's overlay addresses, inside a router namespace, and waits
/// for the replies: `slicectl ping`, and the round-trip times in the status.
final class EchoProber: Sendable {
    enum Outcome: Sendable, Equatable {
        case answered(Nanoseconds)
        case timedOut
        /// The kernel would not send it: an errno.
        case refused(Int32)
    }

    static let maximumPayloadBytes = 65_000
    private static let maximumPending = 4096

    private struct Pending {
        var destination: IPAddress
        var sentAt: Instant
        var deadline: Instant
        var continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var pending: [UInt32: Pending] = [:]
        var next: UInt32
        var isStopping = false
    }

    private let sockets: [(address: IPAddress, fd: Int32)]
    let addresses: [IPAddress]
    private let wake: EventFD
    private let state: Mutex<State>

    /// One socket for each of the gateway's addresses.
    init(in namespace: NetworkNamespace, from addresses: [IPAddress]) throws(LinuxError) {
        self.addresses = addresses
        wake = try EventFD()
        state = Mutex(State(next: Entropy.system.uint32()))
        var sockets: [(address: IPAddress, fd: Int32)] = []
        do throws(LinuxError) {
            for address in addresses {
                let number = Int32(address.isIPv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
                let fd = try namespace.socket(
                    address.isIPv4 ? AF_INET : AF_INET6, Self.raw, number)
                sockets.append((address, fd))
                Self.filterReplies(fd, isIPv4: address.isIPv4)
                if Self.bind(fd, address) < 0 {
                    throw LinuxError("bind", "ICMP socket", "to \(address)", errno: errno)
                }
            }
        } catch {
            for socket in sockets { close(socket.fd) }
            throw error
        }
        self.sockets = sockets
        _ = try PosixThread(name: "echo") { self.run() }
    }

    /// SOCK_RAW, and SOCK_NONBLOCK (socket(2)).
    private static let raw: Int32 = 3 | 0o4000

    /// Pending probes are answered with a timeout; the thread closes the sockets.
    func stop() {
        state.withLock { $0.isStopping = true }
        wake.signal()
    }

    func ping(
        _ destination: IPAddress, payload: Int, timeout: Nanoseconds
    ) async -> Outcome {
        guard let socket = sockets.first(where: { $0.address.isIPv4 == destination.isIPv4 }) else {
            return .refused(EAFNOSUPPORT)
        }
        return await withCheckedContinuation { continuation in
            let now = MonotonicClock.now()
            let entry = Pending(
                destination: destination, sentAt: now, deadline: now + timeout,
                continuation: continuation)
            let key: UInt32? = state.withLock { state in
                guard !state.isStopping, state.pending.count < Self.maximumPending else {
                    return nil
                }
                state.next &+= 1
                while state.pending[state.next] != nil { state.next &+= 1 }
                state.pending[state.next] = entry
                return state.next
            }
            guard let key else {
                continuation.resume(returning: .refused(EBUSY))
                return
            }
            let code = send(key, from: socket, to: destination, payload: payload)
            if code != 0 { finish(key, .refused(code)) }
            // The thread learns of the new deadline.
            wake.signal()
        }
    }

    /// 0, or the errno.
    private func send(
        _ key: UInt32, from socket: (address: IPAddress, fd: Int32), to destination: IPAddress,
        payload: Int
    ) -> Int32 {
        let count = max(0, min(payload, Self.maximumPayloadBytes))
        let data = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let packet = PacketBuilder(from: socket.address, to: destination).echo(
            identifier: UInt16(truncatingIfNeeded: key >> 16),
            sequence: UInt16(truncatingIfNeeded: key), data)
        // The kernel puts the IP header on.
        let message = Array(packet.dropFirst(destination.isIPv4 ? 20 : 40))
        let sent = Self.withSocketAddress(destination) { address, length in
            sendto(socket.fd, message, message.count, 0, address, length)
        }
        return sent < 0 ? errno : 0
    }

    private func finish(_ key: UInt32, _ outcome: Outcome) {
        let entry = state.withLock { $0.pending.removeValue(forKey: key) }
        entry?.continuation.resume(returning: outcome)
    }

    // MARK: The thread

    private func run() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let (deadline, isStopping) = state.withLock { state in
                (state.pending.values.map(\.deadline).min(), state.isStopping)
            }
            if isStopping { break }
            var wait: Int32 = -1
            if let deadline {
                let nanoseconds = max(0, (deadline - MonotonicClock.now()).count)
                wait = Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
            }
            var descriptors = ([wake.fd] + sockets.map(\.fd)).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            _ = poll(&descriptors, nfds_t(descriptors.count), wait)
            wake.drain()
            for socket in sockets { receive(socket, &buffer) }
            expire()
        }
        let rest = state.withLock { state in
            let rest = Array(state.pending.values)
            state.pending.removeAll()
            return rest
        }
        for entry in rest { entry.continuation.resume(returning: .timedOut) }
        for socket in sockets { close(socket.fd) }
    }

    private func receive(_ socket: (address: IPAddress, fd: Int32), _ buffer: inout [UInt8]) {
        // Bounded, so that a flood does not keep deadlines waiting.
        for _ in 0..<256 {
            var from = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &from) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(socket.fd, &buffer, buffer.count, 0, $0, &length)
                }
            }
            guard count > 0 else { return }
            let now = MonotonicClock.now()
            guard
                let reply = Self.reply(
                    buffer[..<count], isIPv4: socket.address.isIPv4, from: from)
            else { continue }
            let key = UInt32(reply.identifier) << 16 | UInt32(reply.sequence)
            let entry: Pending? = state.withLock { state in
                guard state.pending[key]?.destination == reply.source else { return nil }
                return state.pending.removeValue(forKey: key)
            }
            entry?.continuation.resume(returning: .answered(now - (entry?.sentAt ?? now)))
        }
    }

    private func expire() {
        let now = MonotonicClock.now()
        let late = state.withLock { state in
            let keys = state.pending.filter { $0.value.deadline <= now }.map(\.key)
            return keys.compactMap { state.pending.removeValue(forKey: $0) }
        }
        for entry in late { entry.continuation.resume(returning: .timedOut) }
    }

    private struct Reply {
        var source: IPAddress
        var identifier: UInt16
        var sequence: UInt16
    }

    /// IPv4 comes with its header, IPv6 without (RFC 3542 section 3), its checksum verified.
    private static func reply(
        _ bytes: ArraySlice<UInt8>, isIPv4: Bool, from: sockaddr_storage
    ) -> Reply? {
        if isIPv4 {
            guard let reply = bytes.withUnsafeBytes({ EchoReply($0) }) else { return nil }
            return Reply(
                source: reply.source, identifier: reply.identifier, sequence: reply.sequence)
        }
        let bytes = Array(bytes.prefix(8))
        guard bytes.count == 8, bytes[0] == 129 else { return nil }
        var from = from
        let source = withUnsafeBytes(of: &from) { raw in
            // sockaddr_in6: family, port, flow information, then the address.
            IPAddress(bytes: Array(raw[8..<24]))
        }
        guard let source else { return nil }
        return Reply(
            source: source, identifier: UInt16(bytes[4]) << 8 | UInt16(bytes[5]),
            sequence: UInt16(bytes[6]) << 8 | UInt16(bytes[7]))
    }

    // MARK: Sockets

    /// ICMP_FILTER of linux/icmp.h and ICMP6_FILTER of RFC 3542: set bits are blocked.
    private static func filterReplies(_ fd: Int32, isIPv4: Bool) {
        if isIPv4 {
            var mask = ~UInt32(1 << 0)
            setsockopt(fd, 255, 1, &mask, socklen_t(MemoryLayout<UInt32>.size))
        } else {
            var mask = [UInt32](repeating: ~0, count: 8)
            mask[129 / 32] &= ~(UInt32(1) << UInt32(129 % 32))
            setsockopt(fd, 58, 1, &mask, socklen_t(32))
        }
    }

    private static func bind(_ fd: Int32, _ address: IPAddress) -> Int32 {
        withSocketAddress(address) { Glibc.bind(fd, $0, $1) }
    }

    private static func withSocketAddress<T>(
        _ address: IPAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T
    ) -> T {
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.isIPv4 ? AF_INET : AF_INET6)
        withUnsafeMutableBytes(of: &storage) { raw in
            // sockaddr_in has the address at 4, sockaddr_in6 at 8.
            let offset = address.isIPv4 ? 4 : 8
            for (index, byte) in address.bytes.enumerated() { raw[offset + index] = byte }
        }
        let size =
            address.isIPv4
            ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(size))
            }
        }
    }
}
