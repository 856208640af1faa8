import Addresses
import ConfigFile
import Timing

/// What gateway.conf says: which cluster this is, and where the daemon finds and keeps things.
/// What a slice is stands in its manifest; what only this gateway may know stands here.
package struct GatewayConfig: Hashable, Sendable {
    package enum LogLevel: String, CaseIterable, Sendable {
        case trace, debug, info, notice, warning, error, critical
    }

    package enum LogFormat: String, CaseIterable, Sendable {
        case text, json
    }

    package struct Slice: Hashable, Sendable {
        /// The signed manifest's file.
        package var manifest: String
        /// Who may sign it.
        package var owner: OwnerPublicKey
        /// This gateway's private key in this slice.
        package var privateKeyFile: String
        /// Files that hold a pre-shared key with a cluster's gateway, in the order of names.
        package var presharedKeyFiles: [PresharedKeyFile]
        /// Instead of the manifest's port.
        package var listenPort: UInt16?
        /// Attached by the daemon itself, at every start.
        package var endpoints: [Endpoint]
    }

    package struct PresharedKeyFile: Hashable, Sendable {
        package var cluster: ClusterName
        package var path: String
    }

    package struct Endpoint: Hashable, Sendable {
        package var namespace: NamespaceName
        package var name: EndpointName
        package var reference: EndpointReference
        /// What policies and services select it by, besides its name.
        package var labels: EndpointLabels
    }

    package struct Limits: Hashable, Sendable {
        package var maxSlices = 16
        package var maxEndpointsPerSlice = 1024
        /// Packets that wait for a handshake, per peer.
        package var stagedPackets = 128

        package init() {}
    }

    /// How packets use the machine.
    package struct Tunnel: Hashable, Sendable {
        /// Queues of a slice's TUN device; nil: by the number of CPUs.
        package var queues: Int?
        /// CPUs for the packet threads; empty: the scheduler's choice.
        package var cpus: [Int] = []
        /// How long at most a packet thread asks for more before it sleeps.
        package var busyPoll = Nanoseconds.microseconds(100)
        /// The outer DSCP of packets of flows that send little; 0: none.
        package var sparseDSCP = defaultSparseDSCP
        /// Of those for local use (RFC 2474 section 6, pool 2) the first that Linux's queues treat
        /// as they treat 0: by the TOS, 3 would be in the last band of pfifo_fast (tc-prio(8)).
        package static let defaultSparseDSCP = 7

        package init() {}
    }

    /// Names of endpoints and services, for endpoints.
    package struct DNS: Hashable, Sendable {
        package var isEnabled = true
        /// In lower case, without a dot at its end.
        package var zone = "slice.local"
        /// Who is asked for names outside the zone; with nobody, they are refused.
        package var forwarders: [IPEndpoint] = []
        /// Whether /etc/netns/NAME/resolv.conf is written for endpoints that `ip netns` names.
        package var writesResolvConf = true

        package init() {}
    }

    /// What this gateway knows of the other clusters.
    package struct Directory: Hashable, Sendable {
        /// How long the entries of a cluster stay from which nothing is heard.
        package var grace = Nanoseconds.seconds(600)

        package init() {}
    }

    /// The page, API and metrics that only read.
    package struct HTTP: Hashable, Sendable {
        package var listen: IPEndpoint
        /// Under which it may be asked for, beside its addresses and localhost: in lower case.
        package var names: [String] = []
    }

    package var cluster: ClusterName
    package var stateDirectory: String
    package var adminSocket: String
    /// What router namespaces are called: this, then the slice's name.
    package var namespacePrefix: String
    package var logLevel: LogLevel
    package var logFormat: LogFormat
    package var limits: Limits
    package var tunnel: Tunnel
    package var dns: DNS
    package var directory: Directory
    /// Nil: nobody listens.
    package var http: HTTP?
    /// Where the audit log is written.
    package var auditFile: String
    package var slices: [Slice]

    package static let defaultStateDirectory = "/var/lib/slice-gateway"
    package static let defaultAdminSocket = "/run/slice-gateway/admin.sock"
    package static let defaultNamespacePrefix = "slice-"
    /// In the state directory.
    package static let defaultAuditName = "audit.log"

    package static func parse(
        _ bytes: UnsafeRawBufferPointer, file: String
    ) throws(ConfigProblems) -> GatewayConfig {
        try GatewayConfigReader.config.readDocument(bytes, file: file)
    }

    package static func parse(
        text: String, file: String
    ) throws(ConfigProblems) -> GatewayConfig {
        try Array(text.utf8).withUnsafeBytes { bytes in
            Result { () throws(ConfigProblems) in try parse(bytes, file: file) }
        }.get()
    }
}

extension GatewayConfig.Slice {
    package func presharedKeyFile(for cluster: ClusterName) -> String? {
        presharedKeyFiles.first { $0.cluster == cluster }?.path
    }
}
