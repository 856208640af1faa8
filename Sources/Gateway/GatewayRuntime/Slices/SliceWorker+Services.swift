import AdminAPI
import Addresses
import LinuxNet
import Logging
import SliceDNS
import SliceDirectory
import SliceModel

// Services and the directory, as the admin interface shows and changes them.
extension SliceWorker {
    func directory() throws -> DirectoryReply {
        let running = try requireRunning()
        return DirectoryReply(
            endpoints: known(running).map { cluster, record in
                DirectoryReply.Endpoint(
                    cluster: cluster.text, namespace: record.key.namespace.text,
                    name: record.key.endpoint.text,
                    addresses: record.addresses.map(\.description),
                    labels: record.labels.dictionary, isStale: isStale(cluster, running))
            })
    }

    private func isStale(_ cluster: ClusterName, _ running: Running) -> Bool {
        guard cluster != environment.cluster else { return false }
        return running.membership.view?[cluster]?.state != .fresh
    }

    /// What a cluster says of a service; the view is nil for this one.
    private typealias ServicePart = (
        cluster: ClusterName, record: ServiceRecord, view: ClusterView?
    )

    /// In the order of names, and of clusters after this one.
    private func serviceParts(
        _ running: Running
    ) -> [(key: ServiceRecord.Key, parts: [ServicePart])] {
        let membership = running.membership
        var parts: [ServiceRecord.Key: [ServicePart]] = [:]
        for record in membership.services {
            parts[record.key, default: []].append((environment.cluster, record, nil))
        }
        for view in membership.view?.inOrder ?? [] where view.cluster != environment.cluster {
            for record in view.sortedServices {
                parts[record.key, default: []].append((view.cluster, record, view))
            }
        }
        return parts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// For the status.
    func serviceReports(_ running: Running) -> [ServiceReport] {
        serviceParts(running).map { key, parts in
            ServiceReport(
                namespace: key.namespace.text, name: key.service.text,
                ports: (parts.first?.record.ports ?? []).map {
                    "\($0.name) \($0.transport.rawValue)/\($0.port)"
                },
                members: parts.flatMap { members(of: $0, running) }.map {
                    ServiceMemberReport(
                        cluster: $0.cluster, endpoint: $0.endpoint, addresses: $0.addresses,
                        healthy: $0.isHealthy, stale: $0.isStale)
                }, exportedBy: parts.map(\.cluster.text))
        }
    }

    func services() throws -> ServicesReply {
        let running = try requireRunning()
        let membership = running.membership
        let offered = offered(running)
        let signed = Set(
            running.inputs.manifest.services.map { ServiceRecord.Key($0.namespace, $0.name) })
        return ServicesReply(
            services: serviceParts(running).map { key, parts in
                let isOffered = offered.contains {
                    $0.namespace == key.namespace && $0.name == key.service
                }
                let cluster = environment.cluster.text
                let isImported =
                    !membership.hidden.contains(key)
                    && parts.contains { part in
                        part.record.importedBy?.contains { $0.matches(cluster) } ?? true
                    }
                return ServicesReply.Service(
                    namespace: key.namespace.text, name: key.service.text,
                    domainName: "\(key.service).\(key.namespace).svc.\(zoneName)",
                    ports: (parts.first?.record.ports ?? []).map {
                        "\($0.name):\($0.transport.rawValue)/\($0.port)"
                    }, isImported: isImported,
                    origin: signed.contains(key) ? "manifest" : isOffered ? "command" : "elsewhere",
                    members: parts.flatMap { members(of: $0, running) })
            })
    }

    private func members(
        of part: ServicePart, _ running: Running
    ) -> [ServicesReply.Member] {
        let (cluster, record, view) = part
        return record.members.map { member in
            let key = AddressBook.Key(record.key.namespace, member.endpoint)
            let addresses =
                view == nil
                ? running.membership.endpoints.first { $0.key == key }?.addresses
                : view?.endpoints[key]?.addresses
            return ServicesReply.Member(
                cluster: cluster.text, endpoint: member.endpoint.text,
                addresses: (addresses ?? []).map(\.description), isHealthy: member.isHealthy,
                isStale: isStale(cluster, running))
        }
    }

    // MARK: Changing

    static let maximumExports = 1_024

    func export(_ request: ExportServiceRequest) throws -> ServiceChangeReply {
        let running = try requireRunning()
        let service = try Self.service(request)
        guard isAdmitted(AddressBook.Key(service.namespace, Self.anybody), running) else {
            throw APIError(
                .conflict,
                "the manifest does not admit the namespace `\(service.namespace)` in cluster "
                    + "\(environment.cluster)")
        }
        let key = ServiceRecord.Key(service.namespace, service.name)
        if running.inputs.manifest.services.contains(where: {
            $0.namespace == key.namespace && $0.name == key.service
        }) {
            throw APIError(
                .conflict, "the service \(key) is the manifest's",
                hint: "change it there, and sign again")
        }
        var exports = running.membership.exports
        if exports.contains(service) { return ServiceChangeReply(changed: false) }
        exports.removeAll { $0.namespace == key.namespace && $0.name == key.service }
        guard exports.count < Self.maximumExports else {
            throw APIError(.limitReached, "at most \(Self.maximumExports) services by command")
        }
        exports.append(service)
        try keep(exports, running.membership.hidden, running)
        return ServiceChangeReply(changed: true)
    }

    func unexport(_ namespace: String, _ name: String) throws -> ServiceChangeReply {
        let running = try requireRunning()
        let key = try Self.key(namespace, name)
        var exports = running.membership.exports
        let count = exports.count
        exports.removeAll { $0.namespace == key.namespace && $0.name == key.service }
        guard exports.count != count else { return ServiceChangeReply(changed: false) }
        try keep(exports, running.membership.hidden, running)
        return ServiceChangeReply(changed: true)
    }

    func importService(_ request: ImportServiceRequest) throws -> ServiceChangeReply {
        let running = try requireRunning()
        let key = try Self.key(request.namespace, request.name)
        var hidden = running.membership.hidden
        let changed =
            request.isImported ? hidden.remove(key) != nil : hidden.insert(key).inserted
        guard changed else { return ServiceChangeReply(changed: false) }
        guard hidden.count <= Self.maximumExports else {
            throw APIError(.limitReached, "at most \(Self.maximumExports) services are hidden")
        }
        try keep(running.membership.exports, hidden, running)
        return ServiceChangeReply(changed: true)
    }

    private func keep(
        _ exports: [Service], _ hidden: Set<ServiceRecord.Key>, _ running: Running
    ) throws {
        do {
            try running.inputs.state.store(
                services: SliceState.Services(
                    exports: exports.map(Self.saved), hidden: hidden.sorted().map(\.description)))
        } catch {
            throw Self.refusal(error, "cannot store the services")
        }
        running.membership.exports = exports
        running.membership.hidden = hidden
        servicesChanged(running)
        refreshNames(running)
    }

    func restoreServices(_ running: Running) throws {
        guard let saved = try running.inputs.state.services() else { return }
        running.membership.exports = saved.exports.compactMap { try? Self.service($0) }
        running.membership.hidden = Set(
            saved.hidden.compactMap { text in
                let parts = text.split(separator: "/").map(String.init)
                return parts.count == 2 ? try? Self.key(parts[0], parts[1]) : nil
            })
    }

    // MARK: Words

    private static let anybody = EndpointName("x").unsafelyUnwrapped

    private static func key(_ namespace: String, _ name: String) throws -> ServiceRecord.Key {
        guard let namespace = NamespaceName(namespace), let name = ServiceName(name) else {
            throw APIError(
                .invalidRequest, "a service is NAMESPACE/NAME; each \(NameRules.labelRule)")
        }
        return ServiceRecord.Key(namespace, name)
    }

    private static func service(_ request: ExportServiceRequest) throws -> Service {
        let key = try key(request.namespace, request.name)
        func globs(_ texts: [String]?) throws -> [Glob]? {
            try texts?.map { text in
                guard let glob = Glob(text) else {
                    throw APIError(.invalidRequest, "a pattern \(Glob.rule)")
                }
                return glob
            }
        }
        let labels = try (request.labels ?? [:]).sorted { $0.key < $1.key }.map { key, value in
            guard EndpointLabels.isWord(key), let glob = Glob(value) else {
                throw APIError(.invalidRequest, "a label \(EndpointLabels.rule)")
            }
            return EndpointSelector.LabelMatch(key: key, value: glob)
        }
        guard request.ports.count <= 64, labels.count <= EndpointLabels.limit,
            (request.endpoints?.count ?? 0) <= 64, (request.importedBy?.count ?? 0) <= 64
        else { throw APIError(.invalidRequest, "a list has at most 64 entries, labels 16") }
        return Service(
            name: key.service, namespace: key.namespace, ports: try request.ports.map(port),
            members: ServiceSelector(names: try globs(request.endpoints), labels: labels),
            importedBy: try globs(request.importedBy),
            check: request.checkPort.map { HealthCheck(port: $0) })
    }

    /// `NAME:tcp/9092`; a name as RFC 6335 section 5.1 has it.
    private static func port(_ text: String) throws -> ServicePort {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, NameRules.isLabel(parts[0]), parts[0].utf8.count <= 15,
            let match = PortMatch(parts[1]), match.transport != .icmp, match.ports.count == 1,
            match.ports.lowerBound > 0
        else {
            throw APIError(.invalidRequest, "a port is NAME:tcp/9092, a name of 15 bytes at most")
        }
        return ServicePort(
            name: parts[0], transport: match.transport, port: match.ports.lowerBound)
    }

    private static func saved(_ service: Service) -> ExportServiceRequest {
        ExportServiceRequest(
            namespace: service.namespace.text, name: service.name.text,
            ports: service.ports.map { "\($0.name):\($0.transport.rawValue)/\($0.port)" },
            endpoints: service.members.names?.map(\.text),
            labels: Dictionary(
                service.members.labels.map { ($0.key, $0.value.text) },
                uniquingKeysWith: { first, _ in first }),
            importedBy: service.importedBy?.map(\.text), checkPort: service.check?.port)
    }
}
