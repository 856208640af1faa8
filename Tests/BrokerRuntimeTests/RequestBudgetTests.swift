import BrokerRuntime
import NIOCore
import NIOEmbedded
import Testing

/// Connections of one loop that share what requests may hold.
@Suite struct RequestBudgetTests {
    static let large = 4 * RequestBudget.freeBytes

    final class Receiver: RequestReceiver {
        var received: [(sequence: UInt64, connection: ServerConnection)] = []

        func connectionOpened(_ connection: ServerConnection) {}
        func requestReceived(
            _ frame: ByteBuffer, _ sequence: UInt64, _ connection: ServerConnection
        ) {
            received.append((sequence, connection))
        }
        func connectionClosed(_ connection: ServerConnection) {}
        func burstEnded() {}
    }

    /// Knows whether the socket would be read.
    final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = IOData
        var count = 0
        func read(context: ChannelHandlerContext) { count += 1 }
    }

    final class World {
        let loop = EmbeddedEventLoop()
        let receiver = Receiver()
        let budget: RequestBudget
        private var nextID: UInt64 = 1

        init(limit: Int) { budget = RequestBudget(limit: limit, loop: loop) }

        func connect() throws -> Client {
            defer { nextID += 1 }
            return try Client(nextID, self)
        }

        func answer(_ client: Client) {
            for (sequence, connection) in receiver.received where connection === client.connection {
                connection.reply(sequence, [])
            }
            receiver.received.removeAll { $0.connection === client.connection }
            budget.wakeWaiting()
        }
    }

    final class Client {
        let channel: EmbeddedChannel
        let connection: ServerConnection
        private let reads = Reads()

        init(_ id: UInt64, _ world: World) throws {
            let connection = ServerConnection(
                id: id, listener: "PLAINTEXT", receiver: world.receiver, budget: world.budget,
                maximumInFlight: 64)
            self.connection = connection
            channel = EmbeddedChannel(handler: reads, loop: world.loop)
            let decoder = FrameDecoder(maximumBytes: 1 << 24) {
                connection.frameGrows(toLength: $0)
            }
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
            try channel.pipeline.syncOperations.addHandler(connection)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        /// Whether the socket is read when there is something to read.
        var isRead: Bool {
            let before = reads.count
            channel.pipeline.read()
            return reads.count > before
        }

        func begin(_ length: Int, having count: Int) throws {
            var bytes = ByteBuffer()
            bytes.writeInteger(Int32(length))
            bytes.writeRepeatingByte(7, count: count)
            try channel.writeInbound(bytes)
        }

        func goOn(_ count: Int) throws {
            try channel.writeInbound(ByteBuffer(repeating: 7, count: count))
        }
    }

    @Test func aLargeRequestCountsWithItsLengthFromItsFirstBytes() throws {
        let world = World(limit: 10 * Self.large)
        let client = try world.connect()
        try client.begin(Self.large, having: 10)
        #expect(world.budget.held == Self.large)
        try client.goOn(100)
        #expect(world.budget.held == Self.large)
        try client.goOn(Self.large - 110)
        #expect(world.receiver.received.count == 1)
        #expect(world.budget.held == Self.large)
        world.answer(client)
        #expect(world.budget.held == 0)
    }

    @Test func halfRequestsAreReadNoFurtherThanThereIsRoom() throws {
        let world = World(limit: Self.large + 1)
        let clients = try (0..<10).map { _ in try world.connect() }
        for client in clients { try client.begin(Self.large, having: 8) }
        // As in Kafka, the last one let in may go beyond.
        #expect(world.budget.held == 2 * Self.large)
        #expect(clients.map(\.isRead) == [true, true] + Array(repeating: false, count: 8))
    }

    @Test func smallRequestsAreServedAllTheSame() throws {
        let world = World(limit: 1)
        let hog = try world.connect()
        try hog.begin(Self.large, having: 8)
        let small = try world.connect()
        #expect(small.isRead)
        try small.begin(RequestBudget.freeBytes, having: 8)
        #expect(small.isRead)
        try small.goOn(RequestBudget.freeBytes - 8)
        #expect(world.receiver.received.count == 1)
    }

    @Test func thoseThatWaitComeInTheirOrder() throws {
        let world = World(limit: 1)
        let clients = try (0..<3).map { _ in try world.connect() }
        for client in clients { try client.begin(Self.large, having: 8) }
        for (n, client) in clients.enumerated() {
            #expect(clients.map(\.isRead) == (0..<3).map { $0 <= n })
            try client.goOn(Self.large - 8)
            #expect(world.receiver.received.count == 1)
            world.answer(client)
        }
        #expect(world.budget.held == 0)
    }

    @Test func whoGoesAwayInTheMiddleLeavesNothing() throws {
        let world = World(limit: 1)
        let hog = try world.connect()
        let waiting = try world.connect()
        try hog.begin(Self.large, having: 8)
        try waiting.begin(Self.large, having: 8)
        #expect(!waiting.isRead)
        _ = try hog.channel.finish(acceptAlreadyClosed: true)
        world.budget.wakeWaiting()
        #expect(waiting.isRead)
        #expect(world.budget.held == Self.large)
        _ = try waiting.channel.finish(acceptAlreadyClosed: true)
        #expect(world.budget.held == 0)
    }

    @Test func aRequestThatStandsStillWhileOthersWaitIsGivenUp() throws {
        let world = World(limit: 1)
        let still = try world.connect()
        try still.begin(Self.large, having: 8)
        world.loop.advanceTime(by: .seconds(60))
        #expect(still.channel.isActive)  // nobody waits
        try still.goOn(1)
        let waiting = try world.connect()
        try waiting.begin(Self.large, having: 8)
        world.loop.advanceTime(by: .seconds(9))
        try still.goOn(1)
        world.loop.advanceTime(by: .seconds(9))
        #expect(still.channel.isActive)
        world.loop.advanceTime(by: .seconds(3))
        #expect(!still.channel.isActive)
        #expect(waiting.isRead)
        #expect(world.budget.held == Self.large)
    }

    @Test func aRequestLetInAtOnceWithItsEndIsCountedOnce() throws {
        let world = World(limit: 10 * Self.large)
        let client = try world.connect()
        try client.begin(Self.large, having: Self.large)
        #expect(world.budget.held == Self.large)
        _ = try client.channel.finish(acceptAlreadyClosed: true)
        #expect(world.budget.held == 0)
    }
}
