import CLinux

/// A program for the kernel (classic BPF, socket(7), SO_ATTACH_REUSEPORT_CBPF) that says which of
/// the sockets at one port gets a datagram: which queue's by the sender's address and port, and of
/// two for each queue the first gets most, the other what comes with one DSCP.
package enum SocketChoice {
    // linux/bpf_common.h: class, size and mode, or class, operation and source.
    private static let loadHalf: UInt16 = 0x28
    private static let loadByte: UInt16 = 0x30
    private static let loadWord: UInt16 = 0x20
    private static let and: UInt16 = 0x54
    private static let shiftRight: UInt16 = 0x74
    private static let multiply: UInt16 = 0x24
    private static let modulo: UInt16 = 0x94
    private static let add: UInt16 = 0x04
    private static let jumpIfEqual: UInt16 = 0x15
    private static let jump: UInt16 = 0x05
    private static let give: UInt16 = 0x16  // the accumulator
    private static let store: UInt16 = 0x02
    private static let load: UInt16 = 0x60
    private static let moveToIndex: UInt16 = 0x07
    private static let xorIndex: UInt16 = 0xac
    /// Where the IP header begins (linux/filter.h).
    private static let network = UInt32(bitPattern: -0x10_0000)

    /// `tos`: that DSCP in its place in the TOS or traffic class, for a second socket of each of
    /// the `queues`, behind all first ones; 0: there are no second ones.
    package static func program(queues: Int, tos: UInt8) -> [sock_filter] {
        var program: [sock_filter] = []
        func put(_ code: UInt16, _ k: UInt32, ifEqual: UInt8 = 0, otherwise: UInt8 = 0) {
            program.append(sock_filter(code: code, jt: ifEqual, jf: otherwise, k: k))
        }
        func choose(behind first: Int) {
            put(load, 0)
            put(multiply, 0x9e37_79b1)
            put(shiftRight, 16)
            put(modulo, UInt32(queues))
            put(add, UInt32(first))
            put(give, 0)
        }
        /// Keeps the sender's port mixed with an end of its address.
        func keep(port: UInt32, address: UInt32) {
            put(loadHalf, network &+ port)
            put(store, 0)
            put(loadWord, network &+ address)
            put(moveToIndex, 0)
            put(load, 0)
            put(xorIndex, 0)
            put(store, 0)
        }
        put(loadByte, network)
        put(and, 0xf0)
        put(jumpIfEqual, 0x40, ifEqual: 11)
        // IPv6. What has extension headers is spread by something else than its port.
        keep(port: 40, address: 20)
        put(loadHalf, network)
        put(shiftRight, 4)
        put(and, 0xfc)
        put(jump, 9)
        // IPv4, likewise without options.
        keep(port: 20, address: 12)
        put(loadByte, network &+ 1)
        put(and, 0xfc)
        if tos > 0 { put(jumpIfEqual, UInt32(tos & 0xfc), ifEqual: 6) }
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
