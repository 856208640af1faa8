import AdminAPI
import GatewayRuntime

/// For handlers of tests that are about other requests.
extension MembershipHandler {
    private var notHere: APIError { APIError(.unavailable, "not in this test") }

    func explain(slice: String, _ request: ExplainRequest) async throws -> ExplainReply {
        throw notHere
    }
    func dryRun(
        slice: String, _ request: PolicyDryRunRequest
    ) async throws -> PolicyDryRunReply { throw notHere }
    func directory(slice: String) async throws -> DirectoryReply { throw notHere }
    func services(slice: String) async throws -> ServicesReply { throw notHere }
    func export(
        slice: String, _ request: ExportServiceRequest
    ) async throws -> ServiceChangeReply { throw notHere }
    func unexport(
        slice: String, namespace: String, name: String
    ) async throws -> ServiceChangeReply { throw notHere }
    func importService(
        slice: String, _ request: ImportServiceRequest
    ) async throws -> ServiceChangeReply { throw notHere }
}
