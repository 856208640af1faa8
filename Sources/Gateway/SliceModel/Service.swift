import Addresses
import Timing

/// A name for the endpoints that offer one thing: `kafka` in the namespace `kafka`. What the
/// manifest says of it, in every cluster alike.
package struct Service: Hashable, Sendable {
    package var name: ServiceName
    package var namespace: NamespaceName
    package var ports: [ServicePort]
    /// Which endpoints of the namespace.
    package var members: ServiceSelector
    /// Which clusters offer it; nil is all.
    package var clusters: [Glob]?
    /// Whose endpoints see it; nil is all.
    package var importedBy: [Glob]?
    /// Nil: members count as healthy as long as they are attached.
    package var check: HealthCheck?

    package init(
        name: ServiceName, namespace: NamespaceName, ports: [ServicePort] = [],
        members: ServiceSelector = ServiceSelector(), clusters: [Glob]? = nil,
        importedBy: [Glob]? = nil, check: HealthCheck? = nil
    ) {
        self.name = name
        self.namespace = namespace
        self.ports = ports
        self.members = members
        self.clusters = clusters
        self.importedBy = importedBy
        self.check = check
    }
}

/// Which endpoints of a namespace: by name, by label, or both.
package struct ServiceSelector: Hashable, Sendable {
    package var names: [Glob]?
    package var labels: [EndpointSelector.LabelMatch]

    package init(names: [Glob]? = nil, labels: [EndpointSelector.LabelMatch] = []) {
        self.names = names
        self.labels = labels
    }

    package func matches(_ name: EndpointName, _ given: EndpointLabels) -> Bool {
        (names?.contains { $0.matches(name.text) } ?? true)
            && labels.allSatisfy { wanted in
                given[wanted.key].map { wanted.value.matches($0) } ?? false
            }
    }
}

/// One SRV record (RFC 2782): `_NAME._TRANSPORT.SERVICE...`.
package struct ServicePort: Hashable, Sendable {
    /// 1 to 15 letters, digits and dashes (RFC 6335 section 5.1).
    package var name: String
    /// tcp, udp or sctp.
    package var transport: PortMatch.Transport
    package var port: UInt16

    package init(name: String, transport: PortMatch.Transport, port: UInt16) {
        self.name = name
        self.transport = transport
        self.port = port
    }
}

/// A TCP connection to each member, from its own cluster's gateway.
package struct HealthCheck: Hashable, Sendable {
    package var port: UInt16
    package var interval: Nanoseconds
    package var timeout: Nanoseconds
    /// How many in a row take a member out of the answers.
    package var failures: Int

    package init(
        port: UInt16, interval: Nanoseconds = .seconds(2), timeout: Nanoseconds = .seconds(1),
        failures: Int = 2
    ) {
        self.port = port
        self.interval = interval
        self.timeout = timeout
        self.failures = failures
    }
}

// MARK: What clusters tell each other

/// One attached endpoint, as its own cluster tells it.
package struct EndpointRecord: Hashable, Sendable {
    package var key: AddressBook.Key
    /// IPv4 first.
    package var addresses: [IPAddress]
    package var labels: EndpointLabels

    package init(key: AddressBook.Key, addresses: [IPAddress], labels: EndpointLabels = .none) {
        self.key = key
        self.addresses = addresses
        self.labels = labels
    }
}

/// One cluster's part of a service: what it offers, and which of its endpoints are there.
package struct ServiceRecord: Hashable, Sendable {
    package struct Key: Hashable, Comparable, Sendable, CustomStringConvertible {
        package var namespace: NamespaceName
        package var service: ServiceName

        package init(_ namespace: NamespaceName, _ service: ServiceName) {
            self.namespace = namespace
            self.service = service
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.namespace, a.service) < (b.namespace, b.service)
        }

        package var description: String { "\(namespace)/\(service)" }
    }

    package struct Member: Hashable, Sendable {
        package var endpoint: EndpointName
        package var isHealthy: Bool

        package init(endpoint: EndpointName, isHealthy: Bool) {
            self.endpoint = endpoint
            self.isHealthy = isHealthy
        }
    }

    package var key: Key
    package var ports: [ServicePort]
    /// Whose endpoints see it; nil is all.
    package var importedBy: [Glob]?
    /// In the order of names.
    package var members: [Member]

    package init(
        key: Key, ports: [ServicePort] = [], importedBy: [Glob]? = nil, members: [Member] = []
    ) {
        self.key = key
        self.ports = ports
        self.importedBy = importedBy
        self.members = members
    }
}
