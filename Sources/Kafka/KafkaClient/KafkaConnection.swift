import Glibc
import KafkaWire
import NIOCore

/// A connection for a tool: the caller waits for the answer. Several requests may be on their way;
/// their answers are taken in the order in which they were sent, which is also the broker's.
package final class KafkaConnection {
    /// A request that was sent.
    package struct Pending<Request: KafkaRequest>: Sendable {
        fileprivate let correlation: Int32
        package let version: Int16
    }

    package let address: ServerAddress
    /// What the other end said of itself when it was greeted.
    package private(set) var greeting = ApiVersionsResponse()
    private let descriptor: CInt
    private var correlation: Int32 = 0
    private var ranges: [Int16: ClosedRange<Int16>] = [:]
    private static let clientId = "slice-broker-cli"
    /// A fetch answers with at most some 50 MB; nothing a tool asks for is larger than this.
    package static let maximumAnswer = 256 << 20

    /// Connects and asks which versions the other end knows.
    package init(
        _ address: ServerAddress, connectSeconds: Int = 10, answerSeconds: Int = 60
    ) throws(ClientError) {
        self.address = address
        descriptor = try Self.connect(address, connectSeconds, answerSeconds)
        greeting = try greet(version: ApiVersionsRequest.validVersions.upperBound)
        for key in greeting.apiKeys where key.minVersion <= key.maxVersion {
            ranges[key.apiKey] = key.minVersion...key.maxVersion
        }
    }

    deinit { close(descriptor) }

    /// Sends a request in the newest version that both ends know, and waits for its answer.
    package func call<Request: KafkaRequest>(
        _ request: Request, atMost: Int16 = .max
    ) throws(ClientError) -> Request.Response {
        try answer(to: try send(request, atMost: atMost))
    }

    @discardableResult
    package func send<Request: KafkaRequest>(
        _ request: Request, atMost: Int16 = .max
    ) throws(ClientError) -> Pending<Request> {
        try send(request, version: try version(of: Request.self, atMost: atMost))
    }

    package func answer<Request: KafkaRequest>(
        to pending: Pending<Request>
    ) throws(ClientError) -> Request.Response {
        let (body, version) = try body(of: pending)
        return try decode(body, version: version)
    }

    package func version<Request: KafkaRequest>(
        of type: Request.Type, atMost: Int16 = .max
    ) throws(ClientError) -> Int16 {
        guard let theirs = ranges[Request.apiKey] else {
            throw .unsupported("\(address)", apiKey: Request.apiKey)
        }
        let version = min(theirs.upperBound, Request.validVersions.upperBound, atMost)
        guard version >= theirs.lowerBound, version >= Request.validVersions.lowerBound else {
            throw .unsupported("\(address)", apiKey: Request.apiKey)
        }
        return version
    }

    package func serves<Request: KafkaRequest>(_ type: Request.Type) -> Bool {
        (try? version(of: type)) != nil
    }

    // MARK: Frames

    /// Who does not know the version answers with UNSUPPORTED_VERSION in version 0, and says which
    /// ones it knows (KIP-511).
    private func greet(version: Int16) throws(ClientError) -> ApiVersionsResponse {
        let request = ApiVersionsRequest(
            clientSoftwareName: "slice-broker", clientSoftwareVersion: "1")
        let (body, _) = try body(of: try send(request, version: version))
        let code = body.getInteger(at: body.readerIndex, as: Int16.self)
        if code != ErrorCode.unsupportedVersion.rawValue {
            let answer: ApiVersionsResponse = try decode(body, version: version)
            guard answer.errorCode == .none else {
                throw .refused(answer.errorCode, "\(address) does not tell its versions")
            }
            return answer
        }
        let answer: ApiVersionsResponse = try decode(body, version: 0)
        let key = answer.apiKeys.first { $0.apiKey == ApiVersionsRequest.apiKey }
        let next = min(key?.maxVersion ?? 0, version - 1)
        guard next >= 0, next >= key?.minVersion ?? 0 else {
            throw .unsupported("\(address)", apiKey: ApiVersionsRequest.apiKey)
        }
        return try greet(version: next)
    }

    private func send<Request: KafkaRequest>(
        _ request: Request, version: Int16
    ) throws(ClientError) -> Pending<Request> {
        correlation &+= 1
        var writer = WireWriter(frame: true)
        RequestHeader(
            requestApiKey: Request.apiKey, requestApiVersion: version, correlationId: correlation,
            clientId: Self.clientId
        ).encode(
            to: &writer, version: HeaderVersion.request(apiKey: Request.apiKey, version: version))
        request.encode(to: &writer, version: version)
        try send(writer.finishInOneBuffer())
        return Pending(correlation: correlation, version: version)
    }

    private func body<Request: KafkaRequest>(
        of pending: Pending<Request>
    ) throws(ClientError) -> (ByteBuffer, version: Int16) {
        var reader = WireReader(try receiveFrame())
        let header: ResponseHeader
        do throws(WireError) {
            header = try ResponseHeader(
                from: &reader,
                version: HeaderVersion.response(
                    apiKey: Request.apiKey, version: pending.version))
        } catch {
            throw .malformed("\(address)", reason: "\(error)")
        }
        guard header.correlationId == pending.correlation else {
            throw .malformed("\(address)", reason: "it belongs to another request")
        }
        return (reader.buffer, pending.version)
    }

    private func decode<Response: KafkaResponse>(
        _ body: ByteBuffer, version: Int16
    ) throws(ClientError) -> Response {
        do throws(WireError) {
            return try Response(body, version: version)
        } catch {
            throw .malformed("\(address)", reason: "\(error)")
        }
    }

    // MARK: The socket

    /// Which of the connections have something to read, after at most so long.
    package static func ready(
        _ connections: [KafkaConnection], milliseconds: Int
    ) -> [Int] {
        var list = connections.map {
            pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0)
        }
        let wait = CInt(clamping: max(0, milliseconds))
        guard poll(&list, nfds_t(list.count), wait) > 0 else { return [] }
        return list.indices.filter { list[$0].revents != 0 }
    }

    private static func connect(
        _ address: ServerAddress, _ connectSeconds: Int, _ answerSeconds: Int
    ) throws(ClientError) -> CInt {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(address.host, String(address.port), &hints, &list)
        guard code == 0 else {
            throw .unreachable("\(address)", reason: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(list) }
        var reason = "it has no address"
        var next = list
        while let info = next {
            next = info.pointee.ai_next
            let descriptor = socket(
                info.pointee.ai_family, info.pointee.ai_socktype | CInt(SOCK_CLOEXEC.rawValue),
                info.pointee.ai_protocol)
            guard descriptor >= 0 else {
                reason = String(cString: strerror(errno))
                continue
            }
            // SO_SNDTIMEO bounds connect(2) too (socket(7)).
            setTimeout(descriptor, SO_SNDTIMEO, connectSeconds)
            if Glibc.connect(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 {
                var on: CInt = 1
                setsockopt(
                    descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &on,
                    socklen_t(MemoryLayout<CInt>.size))
                setTimeout(descriptor, SO_SNDTIMEO, answerSeconds)
                setTimeout(descriptor, SO_RCVTIMEO, answerSeconds)
                return descriptor
            }
            reason = errno == EINPROGRESS ? "no answer in time" : String(cString: strerror(errno))
            close(descriptor)
        }
        throw .unreachable("\(address)", reason: reason)
    }

    private static func setTimeout(_ descriptor: CInt, _ option: CInt, _ seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    private func send(_ buffer: ByteBuffer) throws(ClientError) {
        let failure: CInt = buffer.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count {
                let result = Glibc.send(
                    descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done,
                    CInt(MSG_NOSIGNAL))
                if result > 0 {
                    done += result
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
        guard failure == 0 else { throw lost(failure) }
    }

    private func lost(_ code: CInt) -> ClientError {
        .lost(
            "\(address)",
            reason: code == EAGAIN ? "no answer in time" : String(cString: strerror(code)))
    }

    private func receiveFrame() throws(ClientError) -> ByteBuffer {
        var head = try receive(4)
        let length = Int(head.readInteger(as: Int32.self) ?? -1)
        guard (0...Self.maximumAnswer).contains(length) else {
            throw .malformed(
                "\(address)",
                reason: "it claims \(length) bytes: is a Kafka listener without TLS at that port?")
        }
        return try receive(length)
    }

    /// Memory grows with what comes, not with what was announced.
    private func receive(_ count: Int) throws(ClientError) -> ByteBuffer {
        var buffer = ByteBuffer()
        while buffer.readableBytes < count {
            let room = min(count - buffer.readableBytes, max(65_536, buffer.readableBytes))
            var result = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { space in
                result = recv(descriptor, space.baseAddress, room, 0)
                return max(0, result)
            }
            if result == 0 {
                throw .lost("\(address)", reason: "closed by the other end")
            }
            if result < 0, errno != EINTR { throw lost(errno) }
        }
        return buffer
    }
}
