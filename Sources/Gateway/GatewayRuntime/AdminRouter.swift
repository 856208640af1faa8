import AdminAPI
import FoundationEssentials
import Logging

/// What the daemon does for its admin interface. Refusals are thrown as `APIError`; anything
/// else that is thrown is logged, and the client only learns that something went wrong.
package protocol AdminHandler: MembershipHandler {
    func version() async throws -> VersionReply
    func status() async throws -> StatusReport
    func doctor() async throws -> DoctorReport
    func reload() async throws -> ReloadReply
    func applyManifest(_ request: ApplyManifestRequest) async throws -> ApplyManifestReply
    func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply
    func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply
    func ping(slice: String, _ request: PingRequest) async throws -> PingReply
    func endpoints(slice: String) async throws -> EndpointsReply
    func owned(by owner: String) async throws -> EndpointsReply
    func release(owner: String) async throws -> ReleaseReply
    func collect(_ request: CollectRequest) async throws -> ReleaseReply
}

/// Policies, directory and services: who is in a slice, and who may talk to whom.
package protocol MembershipHandler: Sendable {
    func explain(slice: String, _ request: ExplainRequest) async throws -> ExplainReply
    func dryRun(slice: String, _ request: PolicyDryRunRequest) async throws -> PolicyDryRunReply
    func directory(slice: String) async throws -> DirectoryReply
    func services(slice: String) async throws -> ServicesReply
    func export(slice: String, _ request: ExportServiceRequest) async throws -> ServiceChangeReply
    func unexport(
        slice: String, namespace: String, name: String
    ) async throws -> ServiceChangeReply
    func importService(
        slice: String, _ request: ImportServiceRequest
    ) async throws -> ServiceChangeReply
}

/// From a request to a reply, without a socket.
package struct AdminRouter: Sendable {
    package struct Reply: Sendable {
        package var status: Int
        package var body: [UInt8]

        package init(status: Int, body: [UInt8]) {
            self.status = status
            self.body = body
        }

        package init(_ error: APIError) {
            self.init(status: error.status, body: AdminRouter.encode(error))
        }
    }

    private let handler: any AdminHandler
    private let logger: Logger

    package init(_ handler: any AdminHandler, logger: Logger) {
        self.handler = handler
        self.logger = logger
    }

    package func reply(method: String, target: String, body: [UInt8]) async -> Reply {
        do {
            let route = try AdminRoute.parse(method: method, target: target).get()
            return Reply(status: 200, body: try await perform(route, body))
        } catch let error as APIError {
            return Reply(error)
        } catch {
            logger.error("an admin request failed: \(error)", metadata: ["method": "\(method)"])
            return Reply(
                APIError(
                    .internalError, "the daemon could not do it",
                    hint: "its log says why: journalctl -u slice-gateway"))
        }
    }

    private func perform(_ route: AdminRoute, _ body: [UInt8]) async throws -> [UInt8] {
        switch route {
        case .version: Self.encode(try await handler.version())
        case .status: Self.encode(try await handler.status())
        case .doctor: Self.encode(try await handler.doctor())
        case .reload: Self.encode(try await handler.reload())
        case .applyManifest:
            Self.encode(try await handler.applyManifest(Self.decode(body)))
        case .attach(let slice):
            Self.encode(try await handler.attach(slice: slice, Self.decode(body)))
        case .detach(let slice, let namespace, let name):
            Self.encode(
                try await handler.detach(
                    slice: slice, DetachRequest(namespace: namespace, name: name)))
        case .ping(let slice):
            Self.encode(try await handler.ping(slice: slice, Self.decode(body)))
        case .endpoints(let slice): Self.encode(try await handler.endpoints(slice: slice))
        case .owned(let owner): Self.encode(try await handler.owned(by: owner))
        case .release(let owner): Self.encode(try await handler.release(owner: owner))
        case .collect: Self.encode(try await handler.collect(Self.decode(body)))
        case .explainPolicies(let slice):
            Self.encode(try await handler.explain(slice: slice, Self.decode(body)))
        case .dryRunPolicies(let slice):
            Self.encode(try await handler.dryRun(slice: slice, Self.decode(body)))
        case .directory(let slice): Self.encode(try await handler.directory(slice: slice))
        case .services(let slice): Self.encode(try await handler.services(slice: slice))
        case .exportService(let slice):
            Self.encode(try await handler.export(slice: slice, Self.decode(body)))
        case .unexportService(let slice, let namespace, let name):
            Self.encode(
                try await handler.unexport(slice: slice, namespace: namespace, name: name))
        case .importService(let slice):
            Self.encode(try await handler.importService(slice: slice, Self.decode(body)))
        }
    }

    /// Keys in order, so that the same report is the same text.
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A rate may be infinite or no number; JSON has no word for it.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let data = try? encoder.encode(value) else {
            return Array(#"{"code":"internalError","message":"the reply has no JSON form"}"#.utf8)
        }
        return Array(data) + [0x0a]
    }

    static func decode<T: Decodable>(_ body: [UInt8], as: T.Type = T.self) throws -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(body))
        } catch let error as DecodingError {
            throw APIError(
                .invalidRequest, describe(error),
                hint: body.isEmpty ? "this request needs a JSON body" : nil)
        } catch {
            throw APIError(.invalidRequest, "the body is not valid JSON")
        }
    }

    /// Names fields, never values.
    private static func describe(_ error: DecodingError) -> String {
        func path(_ keys: [any CodingKey]) -> String {
            keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "the field \(path(context.codingPath + [key])) is missing"
        case .valueNotFound(_, let context):
            return "the field \(path(context.codingPath)) must not be null"
        case .typeMismatch(let type, let context):
            let field = path(context.codingPath)
            return field.isEmpty
                ? "the body must be a JSON object" : "the field \(field) must be a \(type)"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            return "the field \(path(context.codingPath)) has a value that is not known here"
        default:
            return "the body is not valid JSON"
        }
    }
}
