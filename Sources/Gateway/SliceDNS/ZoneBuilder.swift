import Addresses
import SliceModel

/// Makes the nodes of a zone out of a table.
struct ZoneBuilder {
    private let table: NameTable
    private let clusters: [NameTable.Cluster]
    private(set) var nodes: [NameKey: SliceZone.Node] = [:]
    private(set) var pointers: [IPAddress: NameKey] = [:]
    private(set) var omissions: [String] = []

    init(_ table: NameTable) {
        self.table = table
        clusters = table.byDistance
    }

    static func key(_ labels: [String]) -> NameKey {
        var bytes: [UInt8] = []
        for label in labels { append(label, to: &bytes) }
        return NameKey(bytes: bytes)
    }

    private static func append(_ label: String, to bytes: inout [UInt8]) {
        // Names of the model have 1 to 63 bytes; those of ports fewer.
        bytes.append(UInt8(truncatingIfNeeded: label.utf8.count))
        bytes += label.utf8
    }

    private static func key(_ label: String, before rest: NameKey) -> NameKey {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(label.utf8.count + 1 + rest.bytes.count)
        append(label, to: &bytes)
        bytes += rest.bytes
        return NameKey(bytes: bytes)
    }

    mutating func build() {
        let endpoints = clusters.reduce(0) { $0 + $1.endpoints.count }
        let members = clusters.reduce(0) { sum, cluster in
            cluster.services.reduce(sum) { $0 + $1.members.count }
        }
        nodes.reserveCapacity(endpoints + members + 64)
        pointers.reserveCapacity(2 * endpoints)
        nodes[Self.key([SliceZone.servicesLabel])] = .empty
        for cluster in clusters { addHosts(cluster) }
        addServices()
    }

    private mutating func omit(_ what: @autoclosure () -> String) {
        if omissions.count < SliceZone.maximumOmissions { omissions.append(what()) }
    }

    // MARK: CLUSTER and below

    private mutating func addHosts(_ cluster: NameTable.Cluster) {
        guard cluster.name.text != SliceZone.servicesLabel else {
            omit(
                "the endpoints of a cluster called \(cluster.name): the services of all clusters "
                    + "have that name")
            return
        }
        let top = Self.key([cluster.name.text])
        nodes[top] = .empty
        let gateway = Self.key(SliceZone.gatewayLabel, before: top)
        nodes[gateway] = .host(cluster.overlayAddresses)
        for address in cluster.overlayAddresses { point(address, gateway) }
        // Endpoints come in the order of namespaces, mostly.
        var last: (NamespaceName, NameKey)?
        for record in cluster.endpoints {
            let namespace = record.key.namespace
            let above: NameKey
            if let last, last.0 == namespace {
                above = last.1
            } else {
                above = Self.key(namespace.text, before: top)
                last = (namespace, above)
                // A namespace called like the gateway: the gateway's addresses stay.
                if nodes[above] == nil { nodes[above] = .empty }
            }
            let key = Self.key(record.key.endpoint.text, before: above)
            nodes[key] = .host(record.addresses)
            for address in record.addresses { point(address, key) }
        }
    }

    /// The nearest has it, if two say that they do.
    private mutating func point(_ address: IPAddress, _ key: NameKey) {
        if pointers[address] == nil { pointers[address] = key }
    }

    // MARK: svc and below

    private struct Part {
        var rank: Int
        var record: ServiceRecord
    }

    private mutating func addServices() {
        var parts: [ServiceRecord.Key: [Part]] = [:]
        var order: [ServiceRecord.Key] = []
        for (rank, cluster) in clusters.enumerated() {
            for record in cluster.services {
                // Said twice by one cluster: the first counts.
                if parts[record.key]?.last?.rank == rank { continue }
                if parts[record.key] == nil { order.append(record.key) }
                parts[record.key, default: []].append(Part(rank: rank, record: record))
            }
        }
        let all = Self.key([SliceZone.servicesLabel])
        for key in order {
            let above = Self.key(key.namespace.text, before: all)
            let place = Self.key(key.service.text, before: above)
            let visible = (parts[key] ?? []).filter { part in
                part.record.importedBy?.contains { $0.matches(table.local.text) } ?? true
            }
            guard !visible.isEmpty else {
                nodes[place] = .notImported(SliceZone.Service(key, [], unhealthy: 0, stale: 0))
                continue
            }
            nodes[above] = .empty
            addService(key, at: place, visible)
        }
    }

    private mutating func addService(
        _ key: ServiceRecord.Key, at place: NameKey, _ parts: [Part]
    ) {
        var groups: [SliceZone.Service.Group] = []
        var (unhealthy, stale) = (0, 0)
        for part in parts {
            let isStale = clusters[part.rank].isStale
            let found = addMembers(of: part, at: place)
            let well = isStale ? [] : found.healthy
            if isStale { stale += found.healthy.count + found.unhealthy }
            if !isStale { unhealthy += found.unhealthy }
            if !well.isEmpty {
                groups.append(SliceZone.Service.Group(rank: part.rank, members: well))
            }
        }
        let service = SliceZone.Service(key, groups, unhealthy: unhealthy, stale: stale)
        nodes[place] = .service(service)
        addPorts(service, at: place, parts)
    }

    /// Their own names below the service, whether they are healthy or not: a broker that starts
    /// must find the others before anybody can connect to them.
    private mutating func addMembers(
        of part: Part, at place: NameKey
    ) -> (healthy: [SliceZone.Service.Member], unhealthy: Int) {
        let (key, cluster) = (part.record.key, clusters[part.rank])
        guard cluster.name.text != SliceZone.servicesLabel else {
            omit("the members of \(key) in a cluster called \(cluster.name)")
            return ([], 0)
        }
        let hosts = Self.key([key.namespace.text, cluster.name.text])
        let above = Self.key(cluster.name.text, before: place)
        let room = MessageLimits.nameBytes - table.zone.wire.count
        var found: (healthy: [SliceZone.Service.Member], unhealthy: Int) = ([], 0)
        var isNamed = false
        for member in part.record.members {
            let host = Self.key(member.endpoint.text, before: hosts)
            // Not an endpoint (any more): services and endpoints arrive one by one.
            guard case .host(let addresses) = nodes[host] else { continue }
            var target = Self.key(member.endpoint.text, before: above)
            if target.bytes.count <= room {
                nodes[target] = .host(addresses)
                isNamed = true
            } else {
                omit(
                    "\(member.endpoint) of \(key) in \(cluster.name): below its service its name "
                        + "would be longer than 255 bytes; it has its other one")
                target = host
            }
            if member.isHealthy {
                found.healthy.append(
                    SliceZone.Service.Member(addresses: addresses, target: target))
            } else {
                found.unhealthy += 1
            }
        }
        if isNamed { nodes[above] = .empty }
        return found
    }

    /// RFC 2782: `_PORT._TRANSPORT` below the service. Clusters may have different numbers.
    private mutating func addPorts(
        _ service: SliceZone.Service, at place: NameKey, _ parts: [Part]
    ) {
        var ports: [NameKey: [Int: UInt16]] = [:]
        for part in parts {
            for port in part.record.ports where (1...15).contains(port.name.utf8.count) {
                let transport = Self.key("_\(port.transport.rawValue)", before: place)
                nodes[transport] = .empty
                let key = Self.key("_\(port.name.lowercased())", before: transport)
                if ports[key]?[part.rank] == nil { ports[key, default: [:]][part.rank] = port.port }
            }
        }
        // In no particular order: each becomes a node of its own.
        for (key, numbers) in ports { nodes[key] = .port(service, numbers) }
    }
}
