import Addresses
import SliceModel

/// Everything that a gateway knows of a slice and that has to do with names: what a `SliceZone`
/// is made from.
package struct NameTable: Hashable, Sendable {
    package struct Cluster: Hashable, Sendable {
        package var name: ClusterName
        /// To its gateway and back, as last measured; nil if it never was.
        package var rttMicroseconds: UInt64?
        /// It has not been heard of for a while: its endpoints keep their names, but no service
        /// leads to them.
        package var isStale: Bool
        /// The gateway's.
        package var overlayAddresses: [IPAddress]
        package var endpoints: [EndpointRecord]
        package var services: [ServiceRecord]

        package init(
            _ name: ClusterName, rttMicroseconds: UInt64? = nil, isStale: Bool = false,
            overlayAddresses: [IPAddress] = [], endpoints: [EndpointRecord] = [],
            services: [ServiceRecord] = []
        ) {
            self.name = name
            self.rttMicroseconds = rttMicroseconds
            self.isStale = isStale
            self.overlayAddresses = overlayAddresses
            self.endpoints = endpoints
            self.services = services
        }
    }

    package var slice: SliceName
    package var zone: ZoneName
    /// The asking gateway's cluster: what it imports is visible, and what is near is near to it.
    package var local: ClusterName
    package var clusters: [Cluster]
    /// The slice's: in them we know what each address is called, and what has no name.
    package var prefixes: [IPPrefix]
    /// Of the SOA record; goes up with each change.
    package var serial: UInt32

    package init(
        slice: SliceName, zone: ZoneName = .standard, local: ClusterName,
        clusters: [Cluster] = [], prefixes: [IPPrefix] = [], serial: UInt32 = 1
    ) {
        self.slice = slice
        self.zone = zone
        self.local = local
        self.clusters = clusters
        self.prefixes = prefixes
        self.serial = serial
    }

    /// Nearest first: the local one, then by round trip, then those never measured; by name
    /// where that is equal.
    var byDistance: [Cluster] {
        func rank(_ cluster: Cluster) -> (Int, UInt64) {
            if cluster.name == local { return (0, 0) }
            return cluster.rttMicroseconds.map { (1, $0) } ?? (2, 0)
        }
        return clusters.sorted { a, b in
            let (x, y) = (rank(a), rank(b))
            return x == y ? a.name < b.name : x < y
        }
    }
}
