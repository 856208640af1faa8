import AdminAPI
import ConfigFile
import LinuxNet
import SliceModel

/// The admin interface's requests, put to the daemon.
struct AdminService: AdminHandler {
    let daemon: GatewayDaemon

    func version() async throws -> VersionReply { VersionReply(version: Version.text) }

    func status() async throws -> StatusReport { await daemon.status() }

    func doctor() async throws -> DoctorReport { await Doctor.examine(daemon) }

    func reload() async throws -> ReloadReply {
        do {
            return try await daemon.reload()
        } catch let error as ConfigProblems {
            throw APIError(
                .invalidRequest, error.description, hint: "mend gateway.conf: nothing was changed")
        } catch let error as LinuxError {
            throw APIError(.conflict, "\(error)", hint: "nothing was changed")
        }
    }

    func applyManifest(_ request: ApplyManifestRequest) async throws -> ApplyManifestReply {
        let document = Array(request.manifest.utf8)
        let manifest: SliceManifest
        do {
            manifest = try document.withUnsafeBytes {
                try SliceManifest.parse($0, file: "manifest")
            }
        } catch {
            throw APIError(.invalidRequest, "\(error)")
        }
        return try await daemon.worker(manifest.name.text)
            .applyManifest(manifest, document, dryRun: request.dryRun)
    }

    func attach(slice: String, _ request: AttachRequest) async throws -> AttachReply {
        try await daemon.worker(slice).attach(request)
    }

    func detach(slice: String, _ request: DetachRequest) async throws -> DetachReply {
        try await daemon.worker(slice).detach(request)
    }

    func ping(slice: String, _ request: PingRequest) async throws -> PingReply {
        try await daemon.worker(slice).ping(request)
    }

    func explain(slice: String, _ request: ExplainRequest) async throws -> ExplainReply {
        try await daemon.worker(slice).explain(request)
    }

    func dryRun(
        slice: String, _ request: PolicyDryRunRequest
    ) async throws -> PolicyDryRunReply {
        try await daemon.worker(slice).dryRun(request)
    }

    func directory(slice: String) async throws -> DirectoryReply {
        try await daemon.worker(slice).directory()
    }

    func services(slice: String) async throws -> ServicesReply {
        try await daemon.worker(slice).services()
    }

    func export(
        slice: String, _ request: ExportServiceRequest
    ) async throws -> ServiceChangeReply {
        try await daemon.worker(slice).export(request)
    }

    func unexport(
        slice: String, namespace: String, name: String
    ) async throws -> ServiceChangeReply {
        try await daemon.worker(slice).unexport(namespace, name)
    }

    func importService(
        slice: String, _ request: ImportServiceRequest
    ) async throws -> ServiceChangeReply {
        try await daemon.worker(slice).importService(request)
    }

    func endpoints(slice: String) async throws -> EndpointsReply {
        EndpointsReply(endpoints: try await daemon.worker(slice).endpoints { _ in true })
    }

    func owned(by owner: String) async throws -> EndpointsReply {
        EndpointsReply(endpoints: try await daemon.owned(by: owner))
    }

    func release(owner: String) async throws -> ReleaseReply {
        try await daemon.release { $0 == owner }
    }

    func collect(_ request: CollectRequest) async throws -> ReleaseReply {
        // Nothing would be everything, and nobody means that.
        guard AttachRequest.isOwner(request.ownerPrefix) else {
            throw APIError(
                .invalidRequest, "ownerPrefix must be the beginning of an owner's name",
                hint: "such as cni:NETWORK/")
        }
        let keep = Set(request.keep)
        return try await daemon.release {
            $0.hasPrefix(request.ownerPrefix) && !keep.contains($0)
        }
    }
}
