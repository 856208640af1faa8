import Addresses
import SliceModel
import Timing

/// How it stands with one other cluster.
package struct DirectoryPeerStatus: Hashable, Sendable {
    package enum Stream: String, Hashable, Sendable {
        case none
        case connecting
        case greeting
        /// It is there, and not all has come yet.
        case catchingUp
        case live
    }

    package var cluster: ClusterName
    package var addresses: [IPAddress]
    package var state: ClusterView.State
    /// Where its records come from; 0 if nothing is known.
    package var incarnation: UInt64
    package var version: UInt64
    /// Since its last word, if there was one.
    package var lastWordAge: Nanoseconds?
    package var following: Stream
    package var lastError: String?
    package var isFollowedByIt: Bool
    /// What it says that it has of ours.
    package var acknowledgedVersion: UInt64
    package var endpoints: Int
    package var services: Int
    /// Records of it that are left out.
    package var refusedRecords: Int
    package var facts: DirectoryFacts?
    /// Nil while nothing is known.
    package var hasSameManifest: Bool?
    /// Only of the same manifest.
    package var hasSamePolicies: Bool?
}

extension DirectoryNode {
    /// In the order of names.
    package var peerStatus: [DirectoryPeerStatus] {
        peers.map { peer in
            let isSame = peer.facts.map {
                $0.manifestVersion == facts.manifestVersion
                    && $0.manifestDigest == facts.manifestDigest
            }
            return DirectoryPeerStatus(
                cluster: peer.name, addresses: peer.cluster.addresses,
                state: peer.entries.view.state, incarnation: peer.entriesIncarnation,
                version: peer.version, lastWordAge: peer.lastWord.map { now - $0 },
                following: Self.status(of: peer.following), lastError: peer.following.lastError,
                isFollowedByIt: peer.serving != nil,
                acknowledgedVersion: peer.serving?.acknowledged ?? 0,
                endpoints: peer.entries.view.endpoints.count,
                services: peer.entries.view.services.count,
                refusedRecords: peer.entries.refused.count + peer.entries.dropped,
                facts: peer.facts, hasSameManifest: isSame,
                hasSamePolicies: isSame == true
                    ? peer.facts.map { $0.policyDigest == facts.policyDigest } : nil)
        }
    }

    private static func status(of following: Following) -> DirectoryPeerStatus.Stream {
        switch following.phase {
        case .idle: .none
        case .connecting: .connecting
        case .greeted: .greeting
        case .live: following.isSynced ? .live : .catchingUp
        }
    }

    /// What is wrong now, or was a moment ago: our own first, then in the order of names.
    package var problems: [DirectoryProblem] {
        var problems = own.problems.map { problem in
            switch problem {
            case .claim(let key, let reason):
                DirectoryProblem(slice.local.name, .claim(key, reason))
            case .unsayable(let key):
                DirectoryProblem(slice.local.name, .unsayable(key.description))
            case .tooMany(let count): DirectoryProblem(slice.local.name, .tooMany(count))
            }
        }
        for peer in peers {
            func add(_ kind: DirectoryProblem.Kind) {
                problems.append(DirectoryProblem(peer.name, kind))
            }
            for refused in peer.entries.namedRefusals(limits.namedProblems) {
                add(.claim(refused.record.key, refused.reason))
            }
            if peer.entries.refused.count > limits.namedProblems {
                add(.claims(peer.entries.refused.count))
            }
            if peer.entries.dropped > 0 { add(.tooMany(peer.entries.dropped)) }
            for fault in peer.faults where now - fault.at < timing.faultMemory { add(fault.kind) }
        }
        for status in peerStatus where status.hasSamePolicies == false {
            problems.append(DirectoryProblem(status.cluster, .policiesDiffer))
        }
        return problems
    }
}
