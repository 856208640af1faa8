import Addresses
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import SliceDNS

/// Answers DNS for one slice, on the gateway's overlay addresses inside the router namespace.
///
/// It starts with a zone, and each change of the slice is another zone given to `replace`. All
/// sockets are read on one event loop.
package final class NameServer: Sendable {
    package struct Options: Sendable {
        /// RFC 1035 section 4.2.
        package var port: UInt16 = 53
        /// Of one endpoint.
        package var queriesPerSecond = 2_000
        package var queryBurst = 4_000
        package var maximumConnections = 256
        package var maximumConnectionsPerSource = 16
        /// Without a whole query. RFC 7766 section 6.2.3: a few seconds.
        package var idleTimeout = TimeAmount.seconds(10)
        /// Who is asked for names outside the zone, from the host's network namespace, in this
        /// order. None: such questions are refused.
        package var forwarders: [IPEndpoint] = []
        package static let maximumForwarders = 4
        package var maximumForwards = 256
        package var maximumForwardsPerSource = 32
        /// For each of them.
        package var forwardTimeout = TimeAmount.seconds(2)

        package init() {}
    }

    private let service: NameService
    private let channels: [any Channel]
    private let streams: NIOLoopBound<NameStreams>
    private let forwarder: NIOLoopBound<NameForwarder>
    /// In the order they were given.
    package let addresses: [IPAddress]

    private init(
        _ service: NameService, _ channels: [any Channel], _ streams: NIOLoopBound<NameStreams>,
        _ forwarder: NIOLoopBound<NameForwarder>, _ addresses: [IPAddress]
    ) {
        self.service = service
        self.channels = channels
        self.streams = streams
        self.forwarder = forwarder
        self.addresses = addresses
    }

    /// UDP and TCP on each address. The addresses need not be there yet.
    package static func start(
        in namespace: NetworkNamespace, addresses: [IPAddress], zone: SliceZone,
        options: Options = Options(), group: any EventLoopGroup, logger: Logger
    ) async throws -> NameServer {
        let service = NameService(zone, options, logger)
        service.tell(zone.omissions)
        let loop = group.next()
        let (streams, forwarder) = try await loop.submit {
            let forwarder = NameForwarder(service, loop)
            return (
                NIOLoopBound(NameStreams(service, forwarder), eventLoop: loop),
                NIOLoopBound(forwarder, eventLoop: loop)
            )
        }.get()
        var channels: [any Channel] = []
        do {
            for address in addresses {
                channels.append(
                    try await datagrams(namespace, address, service, forwarder, loop))
                channels.append(
                    try await listener(namespace, address, service, streams, loop))
            }
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
        return NameServer(service, channels, streams, forwarder, addresses)
    }

    private static func datagrams(
        _ namespace: NetworkNamespace, _ address: IPAddress, _ service: NameService,
        _ forwarder: NIOLoopBound<NameForwarder>, _ loop: any EventLoop
    ) async throws -> any Channel {
        let fd = try NameSockets.bound(
            in: namespace, to: address, port: service.options.port, isStream: false)
        let count = 16
        return try await DatagramBootstrap(group: loop)
            .channelOption(.datagramVectorReadMessageCount, value: count)
            .channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(
                    capacity: count * NameDatagrams.maximumBytes)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NameDatagrams(service, forwarder.value))
                }
            }
            .withBoundSocket(fd).get()
    }

    private static func listener(
        _ namespace: NetworkNamespace, _ address: IPAddress, _ service: NameService,
        _ streams: NIOLoopBound<NameStreams>, _ loop: any EventLoop
    ) async throws -> any Channel {
        let fd = try NameSockets.bound(
            in: namespace, to: address, port: service.options.port, isStream: true)
        return try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 128)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture { try streams.value.admit(child) }
            }
            .withBoundSocket(fd).get()
    }

    /// From the next query on.
    package func replace(_ zone: SliceZone) { service.replace(zone) }

    package var counters: NameCounters { service.counters }

    /// Closes all sockets, without waiting for who is being answered.
    package func stop() async {
        for channel in channels { try? await channel.close() }
        let (streams, forwarder) = (streams, forwarder)
        _ = try? await streams.eventLoop.submit {
            streams.value.closeAll()
            forwarder.value.stop()
        }.get()
    }
}
