import CLinux
import Glibc
import Synchronization

/// Listens to one NFLOG group of a network namespace (nfnetlink_log). Never waits: poll `fd`.
package final class PacketLog: Sendable {
    package struct Batch: Hashable, Sendable {
        package var packets: [LoggedPacket] = []
        /// How many logged packets are missing before or between these, by the kernel's count. The
        /// kernel drops them when they are not read fast enough.
        package var lost: UInt64 = 0
        /// How often the kernel said that it dropped some (ENOBUFS): how many is known, in `lost`,
        /// when the next packet arrives.
        package var overruns = 0

        package init() {}
    }

    package let group: UInt16
    /// Readable when something was logged. Not to be used after `close`.
    package let fd: Int32

    private struct State {
        var buffer: [UInt8]
        var next: UInt32?
        var isClosed = false
    }

    private let state: Mutex<State>

    /// The kernel sends after this many packets, or this long: what limits one message to a few
    /// KiB, and the delay to what a reader of a log will not notice.
    private static let packetsPerMessage: UInt32 = 32
    private static let delayHundredths: UInt32 = 10
    private static let messageBytes: UInt32 = 16_384

    /// A socket of `namespace` for its whole life. `bufferBytes` is what the kernel may hold for
    /// the reader, more is lost. EBUSY if the group has another listener.
    package init(
        in namespace: NetworkNamespace, group: UInt16, bufferBytes: Int32 = 256 << 10
    ) throws(LinuxError) {
        let object = "packet log group \(group)"
        let netlink = try Netlink(.netfilter, in: namespace)
        let fd = try netlink.duplicate()
        do throws(LinuxError) {
            try Self.setBuffer(fd, bufferBytes, object)
            try netlink.request(Self.bind(group), "listen to", object, "in \(namespace)")
            // For `fd` too: it is the same open socket.
            let flags = try check(system { Int(fcntl(fd, F_GETFL)) }, "configure", object)
            try check(
                system { Int(fcntl(fd, F_SETFL, Int32(flags) | O_NONBLOCK)) }, "configure", object)
        } catch {
            Glibc.close(fd)
            throw Self.explained(error)
        }
        self.group = group
        self.fd = fd
        state = Mutex(State(buffer: [UInt8](repeating: 0, count: 65_536)))
    }

    deinit { close() }

    /// Stops listening. Further calls do nothing.
    package func close() {
        state.withLock { state in
            if !state.isClosed { Glibc.close(fd) }
            state.isClosed = true
        }
    }

    /// What was logged since the last call: `max` packets or more, up to the end of the kernel's
    /// message that brings them (32 packets at most), so that nothing is held back that polling
    /// would not show. Fewer if there are no more.
    package func read(max: Int) throws(LinuxError) -> Batch {
        try state.withLock { state throws(LinuxError) in
            guard !state.isClosed else {
                throw LinuxError("read", "packet log group \(group)", errno: EBADF)
            }
            var batch = Batch()
            // Messages that are not packets do not keep the caller here for ever.
            var rounds = max
            while batch.packets.count < max, rounds > 0 {
                rounds -= 1
                let count = system {
                    recv(fd, &state.buffer, state.buffer.count, 0)
                }
                if count == -Int(EAGAIN) || count == 0 { break }
                if count == -Int(ENOBUFS) {
                    batch.overruns += 1
                    continue
                }
                try check(count, "read", "packet log group \(group)")
                take(NetlinkReply.messages(Array(state.buffer[..<count])).messages, &state, &batch)
            }
            return batch
        }
    }

    private func take(
        _ messages: [NetlinkReply.Message], _ state: inout State, _ batch: inout Batch
    ) {
        for message in messages {
            guard let packet = LoggedPacket(message) else { continue }
            if let sequence = packet.sequence {
                batch.lost += Self.missing(before: sequence, expected: state.next)
                state.next = sequence &+ 1
            }
            batch.packets.append(packet)
        }
    }

    /// The numbers begin at 0 and wrap.
    static func missing(before sequence: UInt32, expected: UInt32?) -> UInt64 {
        UInt64(sequence &- (expected ?? 0))
    }

    /// One message binds and configures, so that no packet is logged otherwise than it says.
    private static func bind(_ group: UInt16) -> NetlinkRequest {
        var request = NetlinkRequest(
            netfilter: NFNL.logConfigure, flags: NLM.ack, resource: group)
        request.put(NFULA.configureCommand, NFULA.commandBind)
        // nfulnl_msg_config_mode: the range in network order, the mode, padding.
        let range = UInt32(LoggedPacket.maximumPayloadBytes).bigEndian
        request.put(
            NFULA.configureMode,
            bytes: withUnsafeBytes(of: range) { Array($0) } + [NFULA.modePacket, 0])
        request.put(NFULA.configureBuffer, messageBytes.bigEndian)
        request.put(NFULA.configureTimeout, delayHundredths.bigEndian)
        request.put(NFULA.configureThreshold, packetsPerMessage.bigEndian)
        request.put(NFULA.configureFlags, NFULA.flagSequence.bigEndian)
        return request
    }

    /// SO_RCVBUFFORCE, which no limit of the host holds back, or else SO_RCVBUF (socket(7)).
    private static func setBuffer(
        _ fd: Int32, _ bytes: Int32, _ object: String
    ) throws(LinuxError) {
        var bytes = bytes
        let size = socklen_t(MemoryLayout<Int32>.size)
        if setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, size) == 0 { return }
        try check(
            system { Int(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, size)) }, "configure",
            object)
    }

    /// The kernel says EPERM both to whom it does not know and to a second listener.
    private static func explained(_ error: LinuxError) -> LinuxError {
        guard error.errno == EPERM, let own = try? Capabilities.effective(), own.has(.netAdmin)
        else { return error }
        var error = error
        error.errno = EBUSY
        error.detail = "the group has another listener"
        return error
    }
}
