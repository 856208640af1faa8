import Addresses
import CLinux

/// A program for the kernel (classic BPF, socket(7)) that drops most handshake initiations of some
/// sources before they are received. Everything else passes, and of theirs one in `oneIn`: so it
/// shows whether they go on, and a peer behind the same address is not shut out for good.
package enum InitiationFilter {
    package static let maxSources = 16
    package static let oneIn: UInt32 = 8

    // linux/bpf_common.h: class, size and mode, or class, operation and source.
    private static let loadLength: UInt16 = 0x80
    private static let loadWord: UInt16 = 0x20
    private static let loadByte: UInt16 = 0x30
    private static let and: UInt16 = 0x54
    private static let jumpIfEqual: UInt16 = 0x15
    private static let give: UInt16 = 0x06
    /// Where the IP header begins, and a random number (linux/filter.h). Offsets from 0 on are the
    /// UDP header's.
    private static let network = UInt32(bitPattern: -0x10_0000)
    private static let random = UInt32(bitPattern: -0x1000 + 56)

    private static let udpHeader: UInt32 = 8
    private static let messageSize: UInt32 = 148
    private static let messageType: UInt32 = 0x0100_0000  // with the three bytes behind it

    /// IPv6 sources by their /64, as they are counted. A train of messages that the kernel has
    /// joined passes whole: more than initiations may be in it, and it is received at one go.
    package static func program(sources: [IPAddress]) -> [sock_filter] {
        let sources = sources.prefix(maxSources)
        var v4: [UInt32] = []
        var v6: [UInt64] = []
        for source in sources {
            switch source {
            case .v4(let address): v4.append(address.value)
            case .v6(let address): v6.append(address.high)
            }
        }
        let ofV6 = 7
        let ofV4 = ofV6 + 4 * v6.count + 1
        let matched = ofV4 + 1 + v4.count + 1
        let accept = matched + 4
        var program: [sock_filter] = []

        func put(_ code: UInt16, _ k: UInt32) {
            program.append(sock_filter(code: code, jt: 0, jf: 0, k: k))
        }
        /// Goes on behind itself where no place is named. At most 16 times 4 and some away.
        func compare(_ k: UInt32, ifEqual: Int? = nil, otherwise: Int? = nil) {
            let next = program.count + 1
            program.append(
                sock_filter(
                    code: jumpIfEqual, jt: UInt8((ifEqual ?? next) - next),
                    jf: UInt8((otherwise ?? next) - next), k: k))
        }

        put(loadLength, 0)
        compare(udpHeader + messageSize, otherwise: accept)
        put(loadWord, udpHeader)
        compare(messageType, otherwise: accept)
        put(loadByte, network)
        put(and, 0xf0)
        compare(0x40, ifEqual: ofV4)
        for prefix in v6 {
            let next = program.count + 4
            put(loadWord, network &+ 8)
            compare(UInt32(truncatingIfNeeded: prefix >> 32), otherwise: next)
            put(loadWord, network &+ 12)
            compare(UInt32(truncatingIfNeeded: prefix), ifEqual: matched)
        }
        put(give, .max)
        put(loadWord, network &+ 12)
        for address in v4 { compare(address, ifEqual: matched) }
        put(give, .max)
        put(loadWord, random)
        put(and, oneIn - 1)
        compare(0, ifEqual: accept)
        put(give, 0)
        put(give, .max)
        return program
    }
}

extension UDPSocket {
    /// Lets the kernel drop most initiations of these sources, `InitiationFilter.maxSources` at
    /// most, and of nobody else.
    package func dropInitiations(of sources: [IPAddress]) throws(LinuxError) {
        let program = sources.isEmpty ? [] : InitiationFilter.program(sources: sources)
        let result = program.withUnsafeBufferPointer {
            clinux_udp_set_filter(descriptor, $0.baseAddress, $0.count)
        }
        if result < 0 {
            throw LinuxError("attach a filter to UDP port", "\(port)", errno: -result)
        }
    }
}
