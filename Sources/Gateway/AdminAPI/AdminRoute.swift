/// The requests of the admin interface. Daemon and client share this one table.
package enum AdminRoute: Equatable, Sendable {
    case version
    case status
    case doctor
    case reload
    case applyManifest
    case endpoints(slice: String)
    case attach(slice: String)
    case detach(slice: String, namespace: String, name: String)
    case ping(slice: String)
    /// What one owner has attached, in all slices of the gateway.
    case owned(owner: String)
    case release(owner: String)
    case collect
    case explainPolicies(slice: String)
    case dryRunPolicies(slice: String)
    case directory(slice: String)
    case services(slice: String)
    case exportService(slice: String)
    case unexportService(slice: String, namespace: String, name: String)
    case importService(slice: String)

    /// Where the daemon listens unless its configuration says otherwise.
    package static let defaultSocketPath = "/run/slice-gateway/admin.sock"

    package var method: String {
        switch self {
        case .version, .status, .doctor, .endpoints, .owned, .directory, .services: "GET"
        case .reload, .applyManifest, .attach, .ping, .collect, .explainPolicies, .dryRunPolicies,
            .exportService, .importService:
            "POST"
        case .detach, .release, .unexportService: "DELETE"
        }
    }

    package var path: String {
        switch self {
        case .version: "/v1/version"
        case .status: "/v1/status"
        case .doctor: "/v1/doctor"
        case .reload: "/v1/reload"
        case .applyManifest: "/v1/manifests"
        case .attach(let slice), .endpoints(let slice):
            "/v1/slices/\(Self.escape(slice))/endpoints"
        case .detach(let slice, let namespace, let name):
            "/v1/slices/\(Self.escape(slice))/endpoints/\(Self.escape(namespace))/"
                + Self.escape(name)
        case .ping(let slice): "/v1/slices/\(Self.escape(slice))/ping"
        case .owned(let owner), .release(let owner): "/v1/owners/\(Self.escape(owner))"
        case .collect: "/v1/collect"
        case .explainPolicies(let slice): "/v1/slices/\(Self.escape(slice))/policies/explain"
        case .dryRunPolicies(let slice): "/v1/slices/\(Self.escape(slice))/policies/dry-run"
        case .directory(let slice): "/v1/slices/\(Self.escape(slice))/directory"
        case .services(let slice), .exportService(let slice):
            "/v1/slices/\(Self.escape(slice))/services"
        case .unexportService(let slice, let namespace, let name):
            "/v1/slices/\(Self.escape(slice))/services/\(Self.escape(namespace))/"
                + Self.escape(name)
        case .importService(let slice): "/v1/slices/\(Self.escape(slice))/imports"
        }
    }

    /// Whether the request has a JSON body.
    package var takesBody: Bool {
        switch self {
        case .applyManifest, .attach, .ping, .collect, .explainPolicies, .dryRunPolicies,
            .exportService, .importService:
            true
        case .version, .status, .doctor, .reload, .detach, .endpoints, .owned, .release,
            .directory, .services, .unexportService:
            false
        }
    }

    /// The longest request target that is looked at.
    package static let maximumTargetBytes = 2048

    /// The route of a request line, or why there is none.
    package static func parse(method: String, target: String) -> Result<AdminRoute, APIError> {
        guard target.utf8.count <= maximumTargetBytes, target.utf8.first == 0x2f else {
            return .failure(APIError(.invalidRequest, "this is not a request path"))
        }
        // A query means nothing here; whoever sends one expects something that will not happen.
        guard !target.utf8.contains(0x3f) else {
            return .failure(
                APIError(.invalidRequest, "no request of this interface takes a query string"))
        }
        var segments: [String] = []
        for part in target.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let segment = unescape(part), !segment.isEmpty else {
                return .failure(
                    APIError(.invalidRequest, "the request path has an empty or broken part"))
            }
            segments.append(segment)
        }
        let candidates = matches(segments)
        guard !candidates.isEmpty else {
            return .failure(
                APIError(
                    .notFound, "there is nothing at this path",
                    hint: "this daemon speaks version "
                        + "\(VersionReply.currentAPIVersion) of the interface, under /v1/"))
        }
        guard let route = candidates.first(where: { $0.method == method }) else {
            return .failure(
                APIError(
                    .methodNotAllowed,
                    "this path takes \(candidates.map(\.method).joined(separator: " and ")) only"
                ))
        }
        return .success(route)
    }

    private static func matches(_ segments: [String]) -> [AdminRoute] {
        guard segments.first == "v1" else { return [] }
        switch segments.count {
        case 2:
            switch segments[1] {
            case "version": return [.version]
            case "status": return [.status]
            case "doctor": return [.doctor]
            case "reload": return [.reload]
            case "manifests": return [.applyManifest]
            case "collect": return [.collect]
            default: return []
            }
        case 3 where segments[1] == "owners":
            return [.owned(owner: segments[2]), .release(owner: segments[2])]
        case 4 where segments[1] == "slices":
            switch segments[3] {
            case "endpoints":
                return [.endpoints(slice: segments[2]), .attach(slice: segments[2])]
            case "ping": return [.ping(slice: segments[2])]
            case "directory": return [.directory(slice: segments[2])]
            case "services":
                return [.services(slice: segments[2]), .exportService(slice: segments[2])]
            case "imports": return [.importService(slice: segments[2])]
            default: return []
            }
        case 5 where segments[1] == "slices" && segments[3] == "policies":
            switch segments[4] {
            case "explain": return [.explainPolicies(slice: segments[2])]
            case "dry-run": return [.dryRunPolicies(slice: segments[2])]
            default: return []
            }
        case 6 where segments[1] == "slices" && segments[3] == "services":
            return [
                .unexportService(slice: segments[2], namespace: segments[4], name: segments[5])
            ]
        case 6 where segments[1] == "slices" && segments[3] == "endpoints":
            return [
                .detach(slice: segments[2], namespace: segments[4], name: segments[5])
            ]
        default: return []
        }
    }

    /// RFC 3986 section 2: everything but the unreserved characters as %XX.
    static func escape(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e:
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                out += byte < 16 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return out
    }

    /// Nil for a broken escape, for what is not UTF-8, and for control characters.
    static func unescape(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == 0x25 else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit),
                let low = rest.popFirst().flatMap(digit)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    /// For fuzzing: parses the bytes as a request target and holds the round trip.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        for method in ["GET", "POST", "DELETE"] {
            guard
                case .success(let route) = parse(
                    method: method, target: String(decoding: bytes, as: UTF8.self))
            else { continue }
            let again = parse(method: route.method, target: route.path)
            // A path of escapes may grow beyond the limit; otherwise it must come back.
            precondition(
                route.path.utf8.count > maximumTargetBytes || again == .success(route))
        }
    }
}
