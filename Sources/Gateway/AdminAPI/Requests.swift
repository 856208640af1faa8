/// `GET /v1/version`.
package struct VersionReply: Codable, Equatable, Sendable {
    package var version: String
    /// Of this interface. It grows when something old stops working.
    package var apiVersion: Int

    package static let currentAPIVersion = 1

    package init(version: String, apiVersion: Int = VersionReply.currentAPIVersion) {
        self.version = version
        self.apiVersion = apiVersion
    }
}

/// `POST /v1/slices/{slice}/endpoints`: joins one network namespace to a slice. Attaching what
/// is attached already, under the same name, repairs it and answers the same.
package struct AttachRequest: Codable, Equatable, Sendable {
    package var namespace: String
    /// The endpoint's own name: the address sticks to it.
    package var name: String
    package var kind: EndpointKind
    package var target: String
    /// The interface to make in the endpoint; the daemon picks one otherwise.
    package var interface: String?
    /// Addresses wanted; the daemon picks them otherwise.
    package var addresses: [String]?
    /// What policies and services select by.
    package var labels: [String: String]?
    /// Who asks, so that it can be taken back or collected by this word: `cni:...` for example.
    /// An attachment with an owner belongs to this namespace alone: whatever takes its path or
    /// process number later does not inherit it.
    package var owner: String?

    package init(
        namespace: String, name: String, kind: EndpointKind, target: String,
        interface: String? = nil, addresses: [String]? = nil, labels: [String: String]? = nil,
        owner: String? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.kind = kind
        self.target = target
        self.interface = interface
        self.addresses = addresses
        self.labels = labels
        self.owner = owner
    }

    /// An owner has 1 to this many bytes of printable ASCII without spaces.
    package static let maximumOwnerBytes = 255

    package static func isOwner(_ text: String) -> Bool {
        (1...maximumOwnerBytes).contains(text.utf8.count)
            && text.utf8.allSatisfy { 33...126 ~= $0 }
    }
}

package struct AttachReply: Codable, Equatable, Sendable {
    package var endpoint: EndpointReport
    package var mtu: Int
    /// The prefixes now routed into the slice.
    package var routes: [String]
    /// False when it was attached already and nothing had to be repaired.
    package var changed: Bool
    /// Next hops of the routes: the gateway's addresses, one a family.
    package var gateways: [String]?
    /// Of the interface in the endpoint.
    package var hardwareAddress: String?

    package init(
        endpoint: EndpointReport, mtu: Int, routes: [String], changed: Bool,
        gateways: [String]? = nil, hardwareAddress: String? = nil
    ) {
        self.endpoint = endpoint
        self.mtu = mtu
        self.routes = routes
        self.changed = changed
        self.gateways = gateways
        self.hardwareAddress = hardwareAddress
    }
}

/// `GET /v1/slices/{slice}/endpoints` and `GET /v1/owners/{owner}`.
package struct EndpointsReply: Codable, Equatable, Sendable {
    package struct Entry: Codable, Equatable, Sendable {
        package var slice: String
        package var endpoint: EndpointReport

        package init(slice: String, endpoint: EndpointReport) {
            self.slice = slice
            self.endpoint = endpoint
        }
    }

    package var endpoints: [Entry]

    package init(endpoints: [Entry] = []) { self.endpoints = endpoints }
}

/// `POST /v1/collect`: in all slices, whatever has an owner that begins with `ownerPrefix` and is
/// not among those to keep is detached.
package struct CollectRequest: Codable, Equatable, Sendable {
    package var ownerPrefix: String
    package var keep: [String]

    package init(ownerPrefix: String, keep: [String]) {
        self.ownerPrefix = ownerPrefix
        self.keep = keep
    }
}

/// `DELETE /v1/owners/{owner}` and `POST /v1/collect`.
package struct ReleaseReply: Codable, Equatable, Sendable {
    /// `SLICE NAMESPACE/NAME`, one each.
    package var detached: [String]

    package init(detached: [String] = []) { self.detached = detached }
}

/// `DELETE /v1/slices/{slice}/endpoints/{namespace}/{name}`: the path says it all.
package struct DetachRequest: Codable, Equatable, Sendable {
    package var namespace: String
    package var name: String

    package init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }
}

package struct DetachReply: Codable, Equatable, Sendable {
    /// False when there was nothing to detach.
    package var changed: Bool

    package init(changed: Bool) { self.changed = changed }
}

/// `POST /v1/manifests`.
package struct ApplyManifestRequest: Codable, Equatable, Sendable {
    /// The signed manifest, byte for byte as the file has it.
    package var manifest: String
    /// Say what would change, and change nothing.
    package var dryRun: Bool

    package init(manifest: String, dryRun: Bool = false) {
        self.manifest = manifest
        self.dryRun = dryRun
    }
}

package struct ApplyManifestReply: Codable, Equatable, Sendable {
    package var slice: String
    package var version: UInt64
    package var digest: String
    package var changed: Bool
    /// One line each, in the order in which they happen.
    package var changes: [String]
    package var warnings: [String]

    package init(
        slice: String, version: UInt64, digest: String, changed: Bool, changes: [String] = [],
        warnings: [String] = []
    ) {
        self.slice = slice
        self.version = version
        self.digest = digest
        self.changed = changed
        self.changes = changes
        self.warnings = warnings
    }
}

/// `POST /v1/slices/{slice}/ping`: one probe through the tunnel, from the gateway. A client that
/// wants ten sends ten requests.
package struct PingRequest: Codable, Equatable, Sendable {
    /// A cluster's name or an overlay address.
    package var target: String
    package var sequence: UInt16
    /// Bytes after the ICMP header.
    package var payloadBytes: Int
    package var timeoutMilliseconds: Int

    package init(
        target: String, sequence: UInt16 = 1, payloadBytes: Int = 56,
        timeoutMilliseconds: Int = 1000
    ) {
        self.target = target
        self.sequence = sequence
        self.payloadBytes = payloadBytes
        self.timeoutMilliseconds = timeoutMilliseconds
    }
}

package struct PingReply: Codable, Equatable, Sendable {
    package enum Outcome: String, Codable, Sendable {
        case answered, timedOut, unreachable
    }
    package var outcome: Outcome
    package var sequence: UInt16
    /// The address probed and, if known, its cluster.
    package var address: String
    package var cluster: String?
    package var rttMicroseconds: UInt64?
    /// Why it is unreachable.
    package var detail: String?

    package init(
        outcome: Outcome, sequence: UInt16, address: String, cluster: String? = nil,
        rttMicroseconds: UInt64? = nil, detail: String? = nil
    ) {
        self.outcome = outcome
        self.sequence = sequence
        self.address = address
        self.cluster = cluster
        self.rttMicroseconds = rttMicroseconds
        self.detail = detail
    }
}

/// `POST /v1/reload`: the configuration file is read again, and applied if it is sound.
package struct ReloadReply: Codable, Equatable, Sendable {
    package var changes: [String]
    /// What was changed in the file but only a restart brings in.
    package var needsRestart: [String]

    package init(changes: [String] = [], needsRestart: [String] = []) {
        self.changes = changes
        self.needsRestart = needsRestart
    }
}

/// `GET /v1/doctor`, and what `slicectl doctor` finds without a daemon.
package struct DoctorReport: Codable, Equatable, Sendable {
    package enum Verdict: String, Codable, Sendable {
        case ok, warn, fail
    }
    package struct Check: Codable, Equatable, Sendable {
        package var name: String
        package var verdict: Verdict
        package var seen: String
        /// Absent when there is nothing to do.
        package var advice: String?

        package init(_ name: String, _ verdict: Verdict, seen: String, advice: String? = nil) {
            self.name = name
            self.verdict = verdict
            self.seen = seen
            self.advice = advice
        }
    }
    package var checks: [Check]

    package init(checks: [Check] = []) { self.checks = checks }

    /// The worst of them.
    package var verdict: Verdict {
        if checks.contains(where: { $0.verdict == .fail }) { return .fail }
        return checks.contains { $0.verdict == .warn } ? .warn : .ok
    }
}
