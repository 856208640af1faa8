// What a slice says of its policies, its directory, its names and its services. All of it is
// optional in `SliceStatus`: an older daemon says nothing of it.

/// One policy of the manifest, in the manifest's order.
package struct PolicyReport: Codable, Equatable, Sendable {
    package var name: String
    package var description: String?
    /// `allow` or `deny`.
    package var action: String
    /// Packets that it decided since it is in force: the first of a conversation that it allowed,
    /// and every one that it denied.
    package var decided: UInt64

    package init(name: String, description: String? = nil, action: String, decided: UInt64 = 0) {
        self.name = name
        self.description = description
        self.action = action
        self.decided = decided
    }
}

/// What is known of another cluster by its own gateway's word.
package struct DirectoryPeerReport: Codable, Equatable, Sendable {
    package enum State: String, Codable, Sendable {
        /// Heard of just now.
        case fresh
        /// Not heard of for a while: what it said last still holds.
        case stale
        /// Nothing of it is known.
        case absent
    }

    package var cluster: String
    package var state: State
    package var endpoints: Int
    package var services: Int
    /// Since it was heard of last; absent if it never was.
    package var ageSeconds: Double?
    /// The manifest in force there, and the digest of the policies made from it.
    package var manifestVersion: UInt64?
    package var manifestDigest: String?
    package var policyDigest: String?
    package var problems: [String]

    package init(
        cluster: String, state: State, endpoints: Int = 0, services: Int = 0,
        ageSeconds: Double? = nil, manifestVersion: UInt64? = nil, manifestDigest: String? = nil,
        policyDigest: String? = nil, problems: [String] = []
    ) {
        self.cluster = cluster
        self.state = state
        self.endpoints = endpoints
        self.services = services
        self.ageSeconds = ageSeconds
        self.manifestVersion = manifestVersion
        self.manifestDigest = manifestDigest
        self.policyDigest = policyDigest
        self.problems = problems
    }
}

/// What the slice's DNS did since the daemon started.
package struct NamesReport: Codable, Equatable, Sendable {
    /// By type: `A`, `AAAA`, `SRV`, `PTR`, and `other`.
    package var queries: [String: UInt64]
    /// By response code: `NOERROR`, `NXDOMAIN`, `REFUSED` and so on.
    package var responses: [String: UInt64]
    /// Queries for names outside the zone that somebody else was asked.
    package var forwarded: UInt64
    /// Datagrams that got no answer.
    package var dropped: UInt64

    package init(
        queries: [String: UInt64] = [:], responses: [String: UInt64] = [:], forwarded: UInt64 = 0,
        dropped: UInt64 = 0
    ) {
        self.queries = queries
        self.responses = responses
        self.forwarded = forwarded
        self.dropped = dropped
    }
}

/// One service, and who offers it as this gateway knows.
package struct ServiceReport: Codable, Equatable, Sendable {
    package var namespace: String
    package var name: String
    /// `broker tcp/9092`, `udp/53`.
    package var ports: [String]
    package var members: [ServiceMemberReport]
    /// The clusters that offer it, also those without a member.
    package var exportedBy: [String]?

    package init(
        namespace: String, name: String, ports: [String] = [], members: [ServiceMemberReport] = [],
        exportedBy: [String]? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.ports = ports
        self.members = members
        self.exportedBy = exportedBy
    }

    /// The clusters that offer it, in the order in which they are told.
    package var clusters: [String] {
        if let exportedBy { return exportedBy }
        var clusters: [String] = []
        for member in members where !clusters.contains(member.cluster) {
            clusters.append(member.cluster)
        }
        return clusters
    }
}

package struct ServiceMemberReport: Codable, Equatable, Sendable {
    package var cluster: String
    package var endpoint: String
    package var addresses: [String]
    /// By the word of its own gateway; true where nothing is checked.
    package var healthy: Bool
    /// Its cluster has not been heard of for a while.
    package var stale: Bool

    package init(
        cluster: String, endpoint: String, addresses: [String] = [], healthy: Bool = true,
        stale: Bool = false
    ) {
        self.cluster = cluster
        self.endpoint = endpoint
        self.addresses = addresses
        self.healthy = healthy
        self.stale = stale
    }
}

extension SliceStatus {
    /// What is wrong with the slice, its endpoints and its directory: a sentence each.
    package var allProblems: [String] {
        var all = problems
        for endpoint in endpoints {
            for problem in endpoint.problems where !all.contains(where: { $0.contains(problem) }) {
                all.append("endpoint \(endpoint.namespace)/\(endpoint.name): \(problem)")
            }
        }
        for peer in directory ?? [] {
            all += peer.problems.map { "directory of \(peer.cluster): \($0)" }
        }
        return all + disagreements
    }

    /// Where another cluster's gateway enforces something else than this one: a sentence each.
    package var disagreements: [String] {
        (directory ?? []).compactMap { peer in
            if let theirs = peer.manifestVersion, theirs != manifestVersion {
                return theirs > manifestVersion
                    ? "\(peer.cluster) has a newer manifest: version \(theirs), here "
                        + "\(manifestVersion)"
                    : "\(peer.cluster) has an older manifest: version \(theirs), here "
                        + "\(manifestVersion)"
            }
            if let theirs = peer.manifestDigest, theirs != manifestDigest {
                return "\(peer.cluster) has another manifest of the same version "
                    + "\(manifestVersion): its digest is \(theirs)"
            }
            if let theirs = peer.policyDigest, let policyDigest, theirs != policyDigest {
                return "\(peer.cluster) enforces other policies, though the manifest is the same"
            }
            return nil
        }
    }
}
