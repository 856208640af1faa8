import Dispatch
import Glibc
import KafkaWire
import NIOCore
import Synchronization

/// A broker on loopback that says what it is told to. Frames and sockets are real.
final class FakeBroker: Sendable {
    struct Call: Sendable {
        var apiKey: Int16
        var version: Int16
        var correlation: Int32
        var body: ByteBuffer

        func request<Request: KafkaRequest>(_: Request.Type) -> Request? {
            try? Request(body, version: version)
        }

        /// The frame of an answer, in the version that was asked for.
        func frame(_ response: some KafkaResponse, correlation other: Int32? = nil) -> ByteBuffer {
            var writer = WireWriter(frame: true)
            ResponseHeader(correlationId: other ?? correlation).encode(
                to: &writer,
                version: HeaderVersion.response(apiKey: apiKey, version: version))
            response.encode(to: &writer, version: version)
            return writer.finishInOneBuffer()
        }

        func answer(_ response: some KafkaResponse) -> Reply { .bytes(frame(response)) }
    }

    enum Reply: Sendable {
        case bytes(ByteBuffer)
        case bytesThenClose(ByteBuffer)
        case close
        /// As to a request that wants no answer.
        case nothing
    }

    typealias Handler = @Sendable (Call) -> Reply

    let port: UInt16
    private let listener: CInt
    private let handler: Handler
    /// Keys of the requests that came, greetings left out.
    let calls = Mutex<[Int16]>([])

    /// Greetings are answered with all that is known, unless `greets` is false.
    init(greets: Bool = true, _ handler: @escaping Handler) {
        self.handler = { call in
            if greets, call.apiKey == ApiVersionsRequest.apiKey {
                return call.answer(Self.greeting)
            }
            return handler(call)
        }
        let bound = BoundSocket()
        listener = bound.descriptor
        port = bound.port
        precondition(listen(listener, 16) == 0, "cannot listen on loopback")
        // Queues of their own have threads of their own: these wait most of the time.
        DispatchQueue(label: "accept").async { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                DispatchQueue(label: "serve").async { [self] in serve(connection) }
            }
        }
    }

    func stop() {
        shutdown(listener, CInt(SHUT_RDWR))
        close(listener)
    }

    static let greeting = ApiVersionsResponse(
        apiKeys: ApiKey.allCases.compactMap { key in
            // What the client does not know itself is of no use to it.
            KafkaMessagesServed.versions(key.rawValue).map {
                .init(apiKey: key.rawValue, minVersion: $0.lowerBound, maxVersion: $0.upperBound)
            }
        })

    private func serve(_ connection: CInt) {
        defer { close(connection) }
        while let call = next(connection) {
            if call.apiKey != ApiVersionsRequest.apiKey {
                calls.withLock { $0.append(call.apiKey) }
            }
            switch handler(call) {
            case .bytes(let bytes): write(bytes, connection)
            case .bytesThenClose(let bytes):
                write(bytes, connection)
                return
            case .close: return
            case .nothing: break
            }
        }
    }

    private func next(_ connection: CInt) -> Call? {
        guard var head = read(4, connection), let length = head.readInteger(as: Int32.self),
            let frame = read(Int(length), connection),
            let apiKey = frame.getInteger(at: 0, as: Int16.self),
            let version = frame.getInteger(at: 2, as: Int16.self)
        else { return nil }
        var reader = WireReader(frame)
        guard
            let header = try? RequestHeader(
                from: &reader, version: HeaderVersion.request(apiKey: apiKey, version: version))
        else { return nil }
        return Call(
            apiKey: apiKey, version: version, correlation: header.correlationId,
            body: reader.buffer)
    }

    private func read(_ count: Int, _ connection: CInt) -> ByteBuffer? {
        var bytes = [UInt8](repeating: 0, count: count)
        guard count == 0 || recv(connection, &bytes, count, CInt(MSG_WAITALL)) == count
        else { return nil }
        return ByteBuffer(bytes: bytes)
    }

    private func write(_ buffer: ByteBuffer, _ connection: CInt) {
        let bytes = Array(buffer.readableBytesView)
        _ = send(connection, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    }
}

/// A port of loopback. Until somebody listens, who connects to it is refused.
struct BoundSocket {
    let descriptor: CInt
    let port: UInt16

    init() {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        precondition(isBound, "no socket on loopback")
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }
}

/// What the fake broker serves.
enum KafkaMessagesServed {
    private static let all: [any KafkaRequest.Type] = [
        ApiVersionsRequest.self, MetadataRequest.self, ListOffsetsRequest.self,
        ProduceRequest.self, FetchRequest.self, InitProducerIdRequest.self,
        FindCoordinatorRequest.self, CreateTopicsRequest.self, DeleteTopicsRequest.self,
        DescribeConfigsRequest.self, DescribeTopicPartitionsRequest.self,
    ]

    static func versions(_ key: Int16) -> ClosedRange<Int16>? {
        all.first { $0.apiKey == key }?.validVersions
    }
}

/// Runs the body with a fake broker, and takes it down whatever happens.
@discardableResult
func withBroker<Result>(
    greets: Bool = true, _ handler: @escaping FakeBroker.Handler,
    _ body: (FakeBroker) async throws -> Result
) async throws -> Result {
    let broker = FakeBroker(greets: greets, handler)
    defer { broker.stop() }
    return try await body(broker)
}
