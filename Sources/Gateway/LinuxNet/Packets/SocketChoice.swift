import CLinux

/// A program for the kernel (classic BPF, socket(7), SO_ATTACH_REUSEPORT_CBPF) that says which of
/// the sockets at one port gets a datagram: which queue's by the sender's address and port, and of
/// two for each queue the first gets most, the other what comes with one DSCP.
package enum SocketChoice {
    private typealias BPF = ClassicBPF

    /// `tos`: that DSCP in its place in the TOS or traffic class, for a second socket of each of
    /// the `queues`, behind all first ones; 0: there are no second ones.
    package static func program(queues: Int, tos: UInt8) -> [sock_filter] {
        var program: [sock_filter] = []
        func put(_ code: UInt16, _ k: UInt32, ifEqual: UInt8 = 0, otherwise: UInt8 = 0) {
            program.append(sock_filter(code: code, jt: ifEqual, jf: otherwise, k: k))
        }
        func choose(behind first: Int) {
            put(BPF.loadKept, 0)
            put(BPF.multiply, 0x9e37_79b1)
            put(BPF.shiftRight, 16)
            put(BPF.modulo, UInt32(queues))
            put(BPF.add, UInt32(first))
            put(BPF.giveAccumulator, 0)
        }
        /// Keeps the sender's port mixed with an end of its address.
        func keep(port: UInt32, address: UInt32) {
            put(BPF.loadHalf, BPF.network &+ port)
            put(BPF.keep, 0)
            put(BPF.loadWord, BPF.network &+ address)
            put(BPF.moveToIndex, 0)
            put(BPF.loadKept, 0)
            put(BPF.xorIndex, 0)
            put(BPF.keep, 0)
        }
        put(BPF.loadByte, BPF.network)
        put(BPF.and, 0xf0)
        put(BPF.jumpIfEqual, 0x40, ifEqual: 11)
        // IPv6. What has extension headers is spread by something else than its port.
        keep(port: 40, address: 20)
        put(BPF.loadHalf, BPF.network)
        put(BPF.shiftRight, 4)
        put(BPF.and, 0xfc)
        put(BPF.jump, 9)
        // IPv4, likewise without options.
        keep(port: 20, address: 12)
        put(BPF.loadByte, BPF.network &+ 1)
        put(BPF.and, 0xfc)
        if tos > 0 { put(BPF.jumpIfEqual, UInt32(tos & 0xfc), ifEqual: 6) }
        choose(behind: 0)
        if tos > 0 { choose(behind: queues) }
        return program
    }
}

extension UDPSocket {
    /// Has the kernel divide what comes to the one port of these sockets (`open`) by its sender;
    /// with `sparseTOS` into two halves, of which the second gets what has that DSCP.
    package static func divide(
        _ sockets: [UDPSocket], sparseTOS tos: UInt8 = 0
    ) throws(LinuxError) {
        guard sockets.count > 1 else { return }
        let queues = tos > 0 ? sockets.count / 2 : sockets.count
        let program = SocketChoice.program(queues: queues, tos: tos)
        let result = program.withUnsafeBufferPointer {
            clinux_udp_choose_socket(sockets[0].descriptor, $0.baseAddress, $0.count)
        }
        if result < 0 {
            throw LinuxError("divide what comes to UDP port", "\(sockets[0].port)", errno: -result)
        }
    }
}
