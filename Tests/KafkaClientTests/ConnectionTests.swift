import Glibc
import KafkaClient
import KafkaWire
import NIOCore
import Testing

@Suite struct ConnectionTests {
    private func connect(_ broker: FakeBroker) throws -> KafkaConnection {
        try KafkaConnection(ServerAddress(host: "127.0.0.1", port: broker.port))
    }

    /// What a call of Metadata throws when the broker answers like that.
    private func failure(
        _ reply: @escaping @Sendable (FakeBroker.Call) -> FakeBroker.Reply
    ) async throws -> ClientError? {
        try await withBroker(reply) { broker in
            let connection = try connect(broker)
            do throws(ClientError) {
                _ = try connection.call(MetadataRequest(topics: nil))
                return nil
            } catch {
                return error
            }
        }
    }

    private static let metadata = MetadataResponse(
        brokers: [.init(nodeId: 7, host: "seven", port: 9092, rack: "r")], clusterId: "c")

    @Test func callsInTheNewestVersionOfBoth() async throws {
        try await withBroker(greets: false) { call in
            switch call.apiKey {
            case ApiVersionsRequest.apiKey:
                call.answer(
                    ApiVersionsResponse(apiKeys: [
                        .init(apiKey: 3, minVersion: 2, maxVersion: 5),
                        .init(apiKey: 1, minVersion: 90, maxVersion: 99),
                    ]))
            case MetadataRequest.apiKey where call.version == 5:
                call.answer(Self.metadata)
            default: .close
            }
        } _: { broker in
            let connection = try connect(broker)
            let answer = try connection.call(MetadataRequest(topics: nil))
            #expect(answer.brokers == Self.metadata.brokers)
            #expect(try connection.version(of: MetadataRequest.self, atMost: 4) == 4)
            #expect(!connection.serves(FetchRequest.self))
            #expect(!connection.serves(ProduceRequest.self))
            #expect(throws: ClientError.unsupported("\(connection.address)", apiKey: 1)) {
                try connection.call(FetchRequest())
            }
        }
    }

    /// KIP-511: who does not know the version says so in version 0.
    @Test func greetsAgainInAnOlderVersion() async throws {
        try await withBroker(greets: false) { call in
            var old = call
            old.version = 0
            let known = ApiVersionsResponse(
                errorCode: call.version == 2 ? .none : .unsupportedVersion,
                apiKeys: [.init(apiKey: 18, minVersion: 0, maxVersion: 2)])
            return call.version == 2 ? call.answer(known) : old.answer(known)
        } _: { broker in
            let connection = try connect(broker)
            #expect(connection.greeting.apiKeys.count == 1)
        }
        // Who then still does not know it is not asked for ever.
        try await withBroker(greets: false) { call in
            var old = call
            old.version = 0
            return old.answer(
                ApiVersionsResponse(
                    errorCode: .unsupportedVersion,
                    apiKeys: [.init(apiKey: 18, minVersion: 0, maxVersion: 4)]))
        } _: { broker in
            #expect(throws: ClientError.self) { try connect(broker) }
        }
    }

    @Test func answersInSmallPieces() async throws {
        // More than one read takes.
        let name = String(repeating: "n", count: 32_000)
        let large = MetadataResponse(
            topics: (0..<40).map { .init(name: "\(name)\($0)") })
        try await withBroker {
            $0.answer(large)
        } _: { broker in
            let answer = try connect(broker).call(MetadataRequest(topics: nil))
            #expect(answer.topics.map(\.name) == large.topics.map(\.name))
        }
    }

    @Test func everyTruncationIsTold() async throws {
        // The frame says how long it is and the connection ends before that.
        let whole = MetadataResponse(brokers: Self.metadata.brokers, clusterId: "c")
        for keep in [0, 1, 3, 4, 5, 8, 20] {
            let error = try await failure { call in
                let frame = call.frame(whole)
                return .bytesThenClose(frame.getSlice(at: 0, length: keep) ?? ByteBuffer())
            }
            guard case .lost(_, "closed by the other end") = error else {
                Issue.record("\(keep) bytes: \(String(describing: error))")
                continue
            }
        }
        // The frame is whole and what is in it is not.
        for cut in 1..<30 {
            let error = try await failure { call in
                var frame = call.frame(whole)
                let length = frame.readableBytes - cut
                frame.setInteger(Int32(length - 4), at: 0)
                return .bytes(frame.getSlice(at: 0, length: length) ?? ByteBuffer())
            }
            guard case .malformed = error else {
                Issue.record("\(cut) bytes less: \(String(describing: error))")
                continue
            }
        }
    }

    @Test func anotherRequestsAnswerIsRefused() async throws {
        let error = try await failure {
            .bytes($0.frame(Self.metadata, correlation: $0.correlation &+ 1))
        }
        guard case .malformed(_, "it belongs to another request") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(arguments: [-1, Int32.min, 300 << 20, Int32.max, 0x4854_5450])
    func impossibleLengths(_ length: Int32) async throws {
        let error = try await failure { _ in
            .bytes(ByteBuffer(integer: length))
        }
        guard case .malformed(_, let reason) = error else {
            Issue.record("\(length): \(String(describing: error))")
            return
        }
        #expect(reason.contains("claims \(length) bytes"))
    }

    @Test func aPortThatNobodyListensOn() {
        let nobody = BoundSocket()
        defer { close(nobody.descriptor) }
        let port = nobody.port
        do throws(ClientError) {
            _ = try KafkaConnection(ServerAddress(host: "127.0.0.1", port: port))
            Issue.record("connected")
        } catch {
            #expect(
                error == .unreachable("127.0.0.1:\(port)", reason: "Connection refused"))
        }
    }

    @Test func severalRequestsOnTheirWay() async throws {
        try await withBroker { call in
            let wanted = call.request(MetadataRequest.self)?.topics?.first?.name
            return call.answer(MetadataResponse(clusterId: wanted ?? "none"))
        } _: { broker in
            let connection = try connect(broker)
            let pending = try ["a", "b", "c"].map {
                try connection.send(MetadataRequest(topics: [.init(name: $0)]))
            }
            #expect(KafkaConnection.ready([connection], milliseconds: 10_000) == [0])
            let answers = try pending.map { try connection.answer(to: $0).clusterId }
            #expect(answers == ["a", "b", "c"])
            #expect(KafkaConnection.ready([connection], milliseconds: 0) == [])
        }
    }

    @Test(arguments: [
        ("a:1", "a", 1), ("a", "a", 9092), ("[::1]:65535", "::1", 65535),
        ("[fd00::2]", "fd00::2", 9092),
        ("fd00::2", "fd00::2", 9092), ("10.0.0.1:19092", "10.0.0.1", 19092),
    ])
    func addresses(_ text: String, _ host: String, _ port: UInt16) throws {
        #expect(try ServerAddress(text) == ServerAddress(host: host, port: port))
    }

    @Test(arguments: ["", ":1", "a:", "a:0", "a:65536", "a:b", "a b:1", "http://a:1", "[::1]:x"])
    func noAddresses(_ text: String) {
        #expect(throws: ClientError.self) { try ServerAddress(text) }
    }

    @Test func listsOfAddresses() throws {
        let list = try ServerAddress.list("a:1, [::1]:2,c")
        #expect(list.map(\.description) == ["a:1", "[::1]:2", "c:9092"])
        #expect(throws: ClientError.self) { try ServerAddress.list(",") }
    }

    @Test func theNextServerIsAskedIfTheFirstIsNotThere() async throws {
        let nobody = BoundSocket()
        defer { close(nobody.descriptor) }
        try await withBroker {
            $0.answer(Self.metadata)
        } _: { broker in
            let cluster = try KafkaCluster(
                bootstrap: "127.0.0.1:\(nobody.port),127.0.0.1:\(broker.port)")
            _ = try cluster.metadata(nil)
            #expect(cluster.brokers.map(\.id) == [7])
            #expect(cluster.brokers.map(\.rack) == ["r"])
            #expect(throws: ClientError.self) { try cluster.connection(to: 8) }
        }
    }
}
