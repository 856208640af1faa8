import Addresses
import SliceModel
import Timing

/// One connection. The node numbers those that it asks for, the shell those that it accepts; no
/// number is used twice.
package enum DirectoryStream: Hashable, Sendable {
    case outgoing(UInt64)
    case incoming(UInt64)
}

/// What happens to a node. Each is stepped with the time at which it happened.
package enum DirectoryEvent: Sendable {
    /// `nextDeadline` has come.
    case tick
    /// What is to be known of this cluster, all of it.
    case own(endpoints: [EndpointRecord], services: [ServiceRecord])
    /// The manifest in force, its facts, and the signed document for peers that have an older one.
    case manifest(DirectorySlice, version: UInt64, digest: DirectoryDigest, document: [UInt8])
    case policies(DirectoryDigest)
    case connected(DirectoryStream)
    case accepted(DirectoryStream, from: IPAddress)
    case received(DirectoryStream, [UInt8])
    /// So many bytes of what was sent have left.
    case drained(DirectoryStream, byteCount: Int)
    /// Or could not be made; with what the system said.
    case closed(DirectoryStream, String)
    /// What came of a manifest that was handed out.
    case manifestJudged(from: ClusterName, DirectoryDigest, isAccepted: Bool)
    /// What an earlier life has stored (`DirectoryStore`); only for clusters not heard yet.
    case restored([DirectoryStore.Cluster])
    /// Take leave of everybody.
    case stop
}

/// What a node wants done, in this order.
package enum DirectoryEffect: Hashable, Sendable {
    /// From the own address of the same family, to the directory's port.
    case connect(DirectoryStream, to: IPAddress, of: ClusterName)
    case send(DirectoryStream, [UInt8])
    /// When what was sent has left, or after a moment. No event is expected from it any more.
    case close(DirectoryStream)
    /// Once a step, in the order of names.
    case viewChanged([ClusterName])
    /// To be verified, stored and put in force by somebody else; `manifestJudged` is the answer.
    case manifestReceived(ReceivedManifest)
    case report(DirectoryProblem)
}

package struct ReceivedManifest: Hashable, Sendable {
    package var from: ClusterName
    /// As the peer says: nothing of it is verified.
    package var version: UInt64
    package var digest: DirectoryDigest
    package var document: [UInt8]
}

/// Something that a correct peer does not do, or that an operator should know of.
package struct DirectoryProblem: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        case claim(AddressBook.Key, ClaimRefusal)
        /// How many are refused; only some are named.
        case claims(Int)
        case tooMany(Int)
        /// Records of our own that no peer would take.
        case unsayable(String)
        case twoGateways(newest: UInt64, other: UInt64)
        /// A peer knows of a newer gateway that says it is this cluster's.
        case superseded
        case malformed(WireProblem)
        case unexpected
        case gap
        case otherSlice(SliceName?)
        case otherCluster(ClusterName?)
        case protocolVersion
        case slow
        case manifestRefused(version: UInt64)
        case manifestTooLarge(Int)
        case policiesDiffer
        /// A connection from an address that is no gateway's.
        case stranger(IPAddress)
    }

    /// Who made it.
    package var cluster: ClusterName
    package var kind: Kind

    package init(_ cluster: ClusterName, _ kind: Kind) {
        self.cluster = cluster
        self.kind = kind
    }

    package var description: String {
        switch kind {
        case .claim(let key, .outside(let address)):
            "cluster \(cluster) claims \(address) for \(key), which lies outside its prefixes: "
                + "the record is left out"
        case .claim(let key, .reserved(let address)):
            "cluster \(cluster) claims \(address) for \(key), which is its gateway's or its "
                + "network's: the record is left out"
        case .claim(let key, .duplicate(let address, let holder)):
            "cluster \(cluster) claims \(address) for \(key) and for \(holder): the older claim, "
                + "\(holder)'s, stands"
        case .claims(let count):
            "\(count) records of cluster \(cluster) are left out"
        case .tooMany(let count):
            "cluster \(cluster) has more records than are allowed: \(count) are left out"
        case .unsayable(let what):
            "\(what) of this cluster is not told to others: it breaks the directory's limits, or "
                + "is there twice"
        case .twoGateways(let newest, let other):
            "two gateways say that they are cluster \(cluster)'s: number \(newest) is followed, "
                + "number \(other) is refused; stop one of them"
        case .superseded:
            "cluster \(cluster) knows a newer gateway of this cluster and refuses this one: stop "
                + "one of them, or start this one again if the other is gone"
        case .malformed(let problem): "cluster \(cluster) sends what cannot be read: \(problem)"
        case .unexpected: "cluster \(cluster) sends a message where none of its kind belongs"
        case .gap: "cluster \(cluster) leaves out changes: everything is asked for again"
        case .otherSlice(let name):
            "cluster \(cluster) speaks for another slice"
                + (name.map { ", \($0)" } ?? "")
        case .otherCluster(let name):
            "the gateway at cluster \(cluster)'s address says it is another's"
                + (name.map { ", \($0)'s" } ?? "")
        case .protocolVersion:
            "cluster \(cluster) speaks another version of the directory's protocol: upgrade the "
                + "older gateway"
        case .slow: "cluster \(cluster) did not take what was sent to it: the stream was closed"
        case .manifestRefused(let version):
            "cluster \(cluster) offered a manifest, version \(version), that was refused"
        case .manifestTooLarge(let count):
            "cluster \(cluster) offered a manifest of \(count) bytes, which is too much"
        case .policiesDiffer:
            "cluster \(cluster) has the same manifest and other policies in force"
        case .stranger(let address):
            "a connection from \(address) was refused: it is no other gateway's address"
        }
    }
}
