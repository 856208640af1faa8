import Addresses
import CLinux

/// A program for the kernel (classic BPF, socket(7)) that drops most handshake initiations of some
/// sources before they are received. Everything else passes, and of theirs one in `oneIn`: so it
/// shows whether they go on, and a peer behind the same address is not shut out for good.
package enum InitiationFilter {
    package static let maxSources = 16
    package static let oneIn: UInt32 = 8

    private typealias BPF = ClassicBPF
    /// Where the UDP header ends: offsets are from its begin.
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
                    code: BPF.jumpIfEqual, jt: UInt8((ifEqual ?? next) - next),
                    jf: UInt8((otherwise ?? next) - next), k: k))
        }

        put(BPF.loadLength, 0)
        compare(udpHeader + messageSize, otherwise: accept)
        put(BPF.loadWord, udpHeader)
        compare(messageType, otherwise: accept)
        put(BPF.loadByte, BPF.network)
        put(BPF.and, 0xf0)
        compare(0x40, ifEqual: ofV4)
        for prefix in v6 {
            let next = program.count + 4
            put(BPF.loadWord, BPF.network &+ 8)
            compare(UInt32(truncatingIfNeeded: prefix >> 32), otherwise: next)
            put(BPF.loadWord, BPF.network &+ 12)
            compare(UInt32(truncatingIfNeeded: prefix), ifEqual: matched)
        }
        put(BPF.give, .max)
        put(BPF.loadWord, BPF.network &+ 12)
        for address in v4 { compare(address, ifEqual: matched) }
        put(BPF.give, .max)
        put(BPF.loadWord, BPF.random)
        put(BPF.and, oneIn - 1)
        compare(0, ifEqual: accept)
        put(BPF.give, 0)
        put(BPF.give, .max)
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
