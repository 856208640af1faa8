/// `GET /v1/slices/{slice}/directory`: who is where, in all clusters.
package struct DirectoryReply: Codable, Equatable, Sendable {
    package struct Endpoint: Codable, Equatable, Sendable {
        package var cluster: String
        package var namespace: String
        package var name: String
        package var addresses: [String]
        package var labels: [String: String]
        /// Its cluster has not been heard of for a while.
        package var isStale: Bool

        package init(
            cluster: String, namespace: String, name: String, addresses: [String],
            labels: [String: String], isStale: Bool
        ) {
            self.cluster = cluster
            self.namespace = namespace
            self.name = name
            self.addresses = addresses
            self.labels = labels
            self.isStale = isStale
        }
    }

    package var endpoints: [Endpoint]

    package init(endpoints: [Endpoint]) { self.endpoints = endpoints }
}

/// `GET /v1/slices/{slice}/services`.
package struct ServicesReply: Codable, Equatable, Sendable {
    package struct Member: Codable, Equatable, Sendable {
        package var cluster: String
        package var endpoint: String
        package var addresses: [String]
        package var isHealthy: Bool
        package var isStale: Bool

        package init(
            cluster: String, endpoint: String, addresses: [String], isHealthy: Bool,
            isStale: Bool
        ) {
            self.cluster = cluster
            self.endpoint = endpoint
            self.addresses = addresses
            self.isHealthy = isHealthy
            self.isStale = isStale
        }
    }

    package struct Service: Codable, Equatable, Sendable {
        package var namespace: String
        package var name: String
        /// Under which it is answered.
        package var domainName: String
        package var ports: [String]
        /// Whether this cluster's endpoints see it.
        package var isImported: Bool
        /// `manifest`, `command`, or `elsewhere`: why this cluster offers it, if it does.
        package var origin: String
        package var members: [Member]

        package init(
            namespace: String, name: String, domainName: String, ports: [String],
            isImported: Bool, origin: String, members: [Member]
        ) {
            self.namespace = namespace
            self.name = name
            self.domainName = domainName
            self.ports = ports
            self.isImported = isImported
            self.origin = origin
            self.members = members
        }
    }

    package var services: [Service]

    package init(services: [Service]) { self.services = services }
}

/// `POST /v1/slices/{slice}/services`: this cluster offers a service, beside those of the manifest.
package struct ExportServiceRequest: Codable, Equatable, Sendable {
    package var namespace: String
    package var name: String
    /// `NAME:tcp/9092`.
    package var ports: [String]
    /// Names of endpoints, `*` for any run of characters; absent: all of the namespace.
    package var endpoints: [String]?
    package var labels: [String: String]?
    /// Clusters that see it; absent: all.
    package var importedBy: [String]?
    /// A TCP port that must answer; absent: no check.
    package var checkPort: UInt16?

    package init(
        namespace: String, name: String, ports: [String] = [], endpoints: [String]? = nil,
        labels: [String: String]? = nil, importedBy: [String]? = nil, checkPort: UInt16? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.ports = ports
        self.endpoints = endpoints
        self.labels = labels
        self.importedBy = importedBy
        self.checkPort = checkPort
    }
}

/// `POST /v1/slices/{slice}/imports`: whether this cluster's endpoints see a service.
package struct ImportServiceRequest: Codable, Equatable, Sendable {
    package var namespace: String
    package var name: String
    package var isImported: Bool

    package init(namespace: String, name: String, isImported: Bool) {
        self.namespace = namespace
        self.name = name
        self.isImported = isImported
    }
}

package struct ServiceChangeReply: Codable, Equatable, Sendable {
    package var changed: Bool

    package init(changed: Bool) { self.changed = changed }
}
