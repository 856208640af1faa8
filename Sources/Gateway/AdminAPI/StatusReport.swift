/// `GET /v1/status`. Field names are part of the interface: add, never rename.
package struct StatusReport: Codable, Equatable, Sendable {
    package var daemon: DaemonStatus
    package var slices: [SliceStatus]

    package init(daemon: DaemonStatus, slices: [SliceStatus] = []) {
        self.daemon = daemon
        self.slices = slices
    }
}

package struct DaemonStatus: Codable, Equatable, Sendable {
    package var version: String
    /// The cluster this gateway joins to its slices.
    package var cluster: String
    package var processID: Int
    package var uptimeSeconds: UInt64
    /// When the configuration was read last: RFC 3339, UTC.
    package var configurationLoadedAt: String?
    /// Entries of the audit log; absent when there is none.
    package var auditEntries: UInt64?
    /// Why nothing can be written to it now.
    package var auditProblem: String?

    package init(
        version: String, cluster: String, processID: Int, uptimeSeconds: UInt64,
        configurationLoadedAt: String? = nil, auditEntries: UInt64? = nil,
        auditProblem: String? = nil
    ) {
        self.version = version
        self.cluster = cluster
        self.processID = processID
        self.uptimeSeconds = uptimeSeconds
        self.configurationLoadedAt = configurationLoadedAt
        self.auditEntries = auditEntries
        self.auditProblem = auditProblem
    }
}

package enum HealthState: String, Codable, Sendable {
    case starting, up, degraded, down, stopping
}

package struct SliceStatus: Codable, Equatable, Sendable {
    package var name: String
    package var manifestVersion: UInt64
    /// Of the manifest in force, lower-case hexadecimal.
    package var manifestDigest: String
    /// The TUN device inside `routerNamespace`.
    package var interface: String
    package var routerNamespace: String
    package var publicKey: String
    package var listenPort: UInt16
    package var mtu: Int
    /// `open` or `strict`.
    package var isolation: String
    package var addresses: [String]
    package var state: HealthState
    /// What is wrong now, one sentence each; empty when `state` is `up`.
    package var problems: [String]
    package var peers: [PeerReport]
    package var endpoints: [EndpointReport]
    /// Packets dropped since the daemon started, by reason; reasons with 0 are left out.
    package var drops: [String: UInt64]
    /// In the manifest's order.
    package var policies: [PolicyReport]?
    /// Of what is enforced, lower-case hexadecimal: the same at all gateways that agree.
    package var policyDigest: String?
    package var directory: [DirectoryPeerReport]?
    package var names: NamesReport?
    package var services: [ServiceReport]?

    package init(
        name: String, manifestVersion: UInt64, manifestDigest: String, interface: String,
        routerNamespace: String, publicKey: String, listenPort: UInt16, mtu: Int,
        isolation: String, addresses: [String] = [], state: HealthState = .starting,
        problems: [String] = [], peers: [PeerReport] = [], endpoints: [EndpointReport] = [],
        drops: [String: UInt64] = [:], policies: [PolicyReport]? = nil,
        policyDigest: String? = nil, directory: [DirectoryPeerReport]? = nil,
        names: NamesReport? = nil, services: [ServiceReport]? = nil
    ) {
        self.name = name
        self.manifestVersion = manifestVersion
        self.manifestDigest = manifestDigest
        self.interface = interface
        self.routerNamespace = routerNamespace
        self.publicKey = publicKey
        self.listenPort = listenPort
        self.mtu = mtu
        self.isolation = isolation
        self.addresses = addresses
        self.state = state
        self.problems = problems
        self.peers = peers
        self.endpoints = endpoints
        self.drops = drops
        self.policies = policies
        self.policyDigest = policyDigest
        self.directory = directory
        self.names = names
        self.services = services
    }
}

/// Bytes and packets each way, as the reporter sees it: `received` came to it.
package struct TrafficReport: Codable, Equatable, Sendable {
    package var receivedBytes: UInt64
    package var receivedPackets: UInt64
    package var transmittedBytes: UInt64
    package var transmittedPackets: UInt64

    package init(
        receivedBytes: UInt64 = 0, receivedPackets: UInt64 = 0, transmittedBytes: UInt64 = 0,
        transmittedPackets: UInt64 = 0
    ) {
        self.receivedBytes = receivedBytes
        self.receivedPackets = receivedPackets
        self.transmittedBytes = transmittedBytes
        self.transmittedPackets = transmittedPackets
    }
}

package struct PeerReport: Codable, Equatable, Sendable {
    package var cluster: String
    /// Base64, as `wg` shows it.
    package var publicKey: String
    /// Where it is on the underlay now; absent until something is known.
    package var endpoint: String?
    package var allowedIPs: [String]
    package var hasSession: Bool
    /// Absent until there was a handshake.
    package var handshakeAgeSeconds: Double?
    package var rttMilliseconds: Double?
    /// What protects its sessions, where it is not WireGuard's own.
    package var cipher: String?
    package var traffic: TrafficReport
    /// Packets that wait for a session.
    package var stagedPackets: Int

    package init(
        cluster: String, publicKey: String, endpoint: String? = nil, allowedIPs: [String] = [],
        hasSession: Bool = false, handshakeAgeSeconds: Double? = nil,
        rttMilliseconds: Double? = nil, cipher: String? = nil,
        traffic: TrafficReport = TrafficReport(), stagedPackets: Int = 0
    ) {
        self.cluster = cluster
        self.publicKey = publicKey
        self.endpoint = endpoint
        self.allowedIPs = allowedIPs
        self.hasSession = hasSession
        self.handshakeAgeSeconds = handshakeAgeSeconds
        self.rttMilliseconds = rttMilliseconds
        self.cipher = cipher
        self.traffic = traffic
        self.stagedPackets = stagedPackets
    }
}

/// How an attached network namespace was named.
package enum EndpointKind: String, Codable, Sendable {
    /// `ip netns` name.
    case netns
    /// A path such as /run/netns/x or /proc/1/ns/net.
    case path
    /// A process that lives in it.
    case pid
}

package struct EndpointReport: Codable, Equatable, Sendable {
    package var namespace: String
    package var name: String
    package var kind: EndpointKind
    /// The netns name, the path, or the process number, as it was given.
    package var target: String
    package var addresses: [String]
    /// The veth end in the router namespace, and the one in the endpoint.
    package var routerInterface: String
    package var interface: String
    package var traffic: TrafficReport
    package var state: HealthState
    package var problems: [String]
    /// Absent when there are none.
    package var labels: [String: String]?
    /// Who asked for it; absent for what people and gateway.conf attach.
    package var owner: String?

    package init(
        namespace: String, name: String, kind: EndpointKind, target: String,
        addresses: [String] = [], routerInterface: String = "", interface: String = "",
        traffic: TrafficReport = TrafficReport(), state: HealthState = .starting,
        problems: [String] = [], labels: [String: String]? = nil, owner: String? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.kind = kind
        self.target = target
        self.addresses = addresses
        self.routerInterface = routerInterface
        self.interface = interface
        self.traffic = traffic
        self.state = state
        self.problems = problems
        self.labels = labels
        self.owner = owner
    }
}
