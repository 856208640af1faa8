import Addresses
import SliceModel

/// The names of one slice as its gateways answer for them. It does not change: another state of
/// the slice is another zone. An answer is one look in a dictionary.
///
/// Whatever is served has a node, and so has everything between it and the zone (RFC 8020).
package final class SliceZone: Sendable {
    /// Short, because what is healthy changes; long enough that a resolver asks once for a
    /// burst of connections. Negative answers live as long (RFC 2308 section 5).
    package static let ttlSeconds: UInt32 = 5
    /// So many members of a service are answered at most, the nearest.
    package static let maximumMembers = 512
    /// The first label under the zone that is no cluster.
    package static let servicesLabel = "svc"
    /// The first label under a cluster that is no namespace.
    package static let gatewayLabel = "gateway"

    enum Node: Sendable {
        /// There is something below (RFC 8020).
        case empty
        case host([IPAddress])
        case service(Service)
        case port(Service, [Int: UInt16])
        /// A service that this cluster does not import: there is no such name here.
        case notImported(Service)
    }

    final class Service: Sendable {
        struct Member: Sendable {
            var addresses: [IPAddress]
            /// What SRV leads to.
            var target: NameKey
        }

        /// The healthy members of one cluster.
        struct Group: Sendable {
            /// How many clusters are nearer, with or without this service.
            var rank: Int
            var members: [Member]
        }

        let key: ServiceRecord.Key
        /// Nearest first.
        let groups: [Group]
        /// Members that are not in the groups.
        let unhealthy: Int
        let stale: Int

        init(_ key: ServiceRecord.Key, _ groups: [Group], unhealthy: Int, stale: Int) {
            self.key = key
            self.groups = groups
            self.unhealthy = unhealthy
            self.stale = stale
        }
    }

    package let slice: SliceName
    package let name: ZoneName
    package let serial: UInt32
    /// What has no name, and why, for the log. At most so many as `SliceZone.maximumOmissions`.
    package let omissions: [String]
    package static let maximumOmissions = 16

    let nodes: [NameKey: Node]
    let pointers: [IPAddress: NameKey]
    let prefixes: [IPPrefix]
    /// The local gateway: the zone's name server.
    let primary: NameKey

    package init(_ table: NameTable) {
        var builder = ZoneBuilder(table)
        builder.build()
        slice = table.slice
        name = table.zone
        serial = table.serial
        omissions = builder.omissions
        nodes = builder.nodes
        pointers = builder.pointers
        prefixes = table.prefixes
        primary = ZoneBuilder.key([Self.gatewayLabel, table.local.text])
    }

    /// How many names there are, those between included.
    package var count: Int { nodes.count }
}
