import Addresses
import LinuxNet

/// The sockets of one tunnel.
///
/// Each queue has one at the listening port, and the kernel spreads over them what comes from
/// different ports. Each but the first also has one at a port of its own to send from: so a
/// tunnel's flows go out from several ports, which the network and the other end's kernel spread
/// over paths and cores. A stock peer answers to the port it heard from last, so all are listened
/// on.
///
/// Beside each at the listening port is one for what the other end says is of sparse flows, so
/// that it need not wait behind the rest.
struct UnderlaySockets: Sendable {
    let listening: [UDPSocket]
    /// Of each queue; none where no DSCP says what is sparse.
    let sparse: [UDPSocket]
    /// Of queue 1, 2 and so on.
    let side: [UDPSocket]
    private let sparseTOS: UInt8

    var port: UInt16 { first.port }
    /// Where the control side sends from.
    var first: UDPSocket { listening[0] }

    /// EADDRINUSE when somebody else has the port. `sparseTOS`: the DSCP of what is of sparse
    /// flows, in its place in the TOS; 0: none has it.
    init(port: UInt16, queues: Int, sparseTOS: UInt8) throws(LinuxError) {
        var side: [UDPSocket] = []
        for _ in 1..<max(1, queues) { side.append(try UDPSocket(port: 0)) }
        try self.init(port: port, side: side, sparseTOS: sparseTOS)
    }

    private init(port: UInt16, side: [UDPSocket], sparseTOS: UInt8) throws(LinuxError) {
        let queues = side.count + 1
        let all = try UDPSocket.open(port: port, count: sparseTOS > 0 ? 2 * queues : queues)
        try UDPSocket.divide(all, sparseTOS: sparseTOS)
        listening = Array(all.prefix(queues))
        sparse = Array(all.dropFirst(queues))
        self.side = side
        self.sparseTOS = sparseTOS
    }

    /// The same at another port; the ports of their own stay.
    func moved(to port: UInt16) throws(LinuxError) -> UnderlaySockets {
        try UnderlaySockets(port: port, side: side, sparseTOS: sparseTOS)
    }

    private var all: [UDPSocket] { listening + sparse + side }

    func setFirewallMark(_ mark: UInt32) throws(LinuxError) {
        for socket in all { try socket.setFirewallMark(mark) }
    }

    /// Only a means: what the kernel does not drop is refused by us.
    func dropInitiations(of sources: [IPAddress]) throws(LinuxError) {
        var failure: LinuxError?
        for socket in all {
            do throws(LinuxError) {
                try socket.dropInitiations(of: sources)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    func sparse(ofQueue number: Int) -> UDPSocket? { sparse.isEmpty ? nil : sparse[number] }

    func side(ofQueue number: Int) -> UDPSocket? { number > 0 ? side[number - 1] : nil }
}
