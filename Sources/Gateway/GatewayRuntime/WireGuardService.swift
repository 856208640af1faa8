import Glibc
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import Noise
import Tunnel

/// `slice-gateway wireguard IFNAME`: one plain WireGuard interface in the current network
/// namespace, configured through its socket by stock `wg`. Nothing of slices is involved.
package enum WireGuardService {
    /// What other implementations give an interface whose underlay has the usual 1500.
    package static let defaultMTU: UInt32 = 1420

    /// Serves until a signal, until the interface is deleted, or until its socket file is
    /// removed (what `wg-quick down` does). `onReady` is called when `wg` can talk to it.
    package static func run(
        interface: String, suite: TransportSuite = .chaChaPoly,
        packetPath: PacketPathOptions = PacketPathOptions(), logger: Logger,
        onReady: @Sendable () -> Void
    ) async throws {
        let signals = try SignalStream([SIGINT, SIGTERM])
        let (ended, endedContinuation) = AsyncStream<String>.makeStream()

        var options = TunDevice.Options(name: interface)
        options.exclusive = true
        options.queues = packetPath.queues
        let tun = try TunDevice(options)
        try Netlink().setMTU(tun.name, defaultMTU)
        let tunnel = try TunnelInterface(
            tun: tun, sockets: try packetPath.openSockets(port: 0),
            mtu: Int(defaultMTU), follow: try InterfaceMTU(of: tun.name), suite: suite,
            options: packetPath, logger: logger,
            onEnd: { endedContinuation.yield("the interface was deleted") })

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let socket = try await ConfigurationSocket.start(
            interface: tun.name, device: tunnel.configurationDevice(), group: group,
            logger: logger,
            onRemoved: { endedContinuation.yield("the configuration socket was removed") })
        logger.info("\(tun.name) is up and waits for wg at \(socket.path)")
        onReady()

        let reason = await withTaskGroup(of: String.self) { tasks in
            tasks.addTask {
                for await signal in signals.stream { return "signal \(signal)" }
                return "end of signals"
            }
            tasks.addTask {
                for await reason in ended { return reason }
                return "end"
            }
            let first = await tasks.next() ?? ""
            tasks.cancelAll()
            return first
        }
        logger.info("stopping: \(reason)")
        await socket.stop()
        tunnel.stop()
        tun.close()
        try await group.shutdownGracefully()
    }
}

extension TunnelInterface {
    /// How the configuration protocol reads and changes this interface.
    func configurationDevice() -> ConfigurationSocket.Device {
        ConfigurationSocket.Device(
            get: { try await self.status() },
            set: { change in
                do {
                    try await self.apply(change)
                    return .none
                } catch let error as LinuxError {
                    return ConfigurationErrno(system: error.errno)
                }
            })
    }
}
