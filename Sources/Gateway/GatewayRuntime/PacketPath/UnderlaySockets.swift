import Addresses
import LinuxNet

/// The sockets of one tunnel.
///
/// Each queue has one at the listening port, and the kernel spreads over them what comes from
/// different ports. Each but the first also has one at a port of its own to send from: so a
/// tunnel's flows go out from several ports, which the network and the other end's kernel spread
/// over paths and cores. A stock peer answers to the port it heard from last, so all are listened
/// on.
struct UnderlaySockets: Sendable {
    let listening: [UDPSocket]
    /// Of queue 1, 2 and so on.
    let side: [UDPSocket]

    var port: UInt16 { first.port }
    /// Where the control side sends from.
    let first: UDPSocket

    /// EADDRINUSE when somebody else has the port.
    init(port: UInt16, queues: Int) throws(LinuxError) {
        listening = try UDPSocket.open(port: port, count: queues)
        first = listening[0]
        var side: [UDPSocket] = []
        for _ in 1..<max(1, queues) { side.append(try UDPSocket(port: 0)) }
        self.side = side
    }

    private init(listening: [UDPSocket], side: [UDPSocket]) {
        self.listening = listening
        first = listening[0]
        self.side = side
    }

    /// The same at another port; the ports of their own stay.
    func moved(to port: UInt16) throws(LinuxError) -> UnderlaySockets {
        UnderlaySockets(
            listening: try UDPSocket.open(port: port, count: listening.count), side: side)
    }

    func setFirewallMark(_ mark: UInt32) throws(LinuxError) {
        for socket in listening + side { try socket.setFirewallMark(mark) }
    }

    /// Only a means: what the kernel does not drop is refused by us.
    func dropInitiations(of sources: [IPAddress]) throws(LinuxError) {
        var failure: LinuxError?
        for socket in listening + side {
            do throws(LinuxError) {
                try socket.dropInitiations(of: sources)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    func side(ofQueue number: Int) -> UDPSocket? { number > 0 ? side[number - 1] : nil }
}
