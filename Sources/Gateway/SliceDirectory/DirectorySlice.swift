import Addresses
import SliceModel

/// What the manifest says to a directory: who the others are, where they are, what they may claim.
package struct DirectorySlice: Hashable, Sendable {
    package struct Cluster: Hashable, Sendable {
        package var name: ClusterName
        package var prefixes: [IPPrefix]
        /// Its gateway's, IPv4 first.
        package var addresses: [IPAddress]

        package init(name: ClusterName, prefixes: [IPPrefix], addresses: [IPAddress]) {
            self.name = name
            self.prefixes = prefixes
            self.addresses = addresses
        }
    }

    package var name: SliceName
    package var local: Cluster
    /// In the order of names.
    package var others: [Cluster]

    package init(name: SliceName, local: Cluster, others: [Cluster]) {
        self.name = name
        self.local = local
        self.others = others.sorted { $0.name < $1.name }
    }

    /// Nil if the manifest does not have the cluster.
    package init?(_ manifest: SliceManifest, local: ClusterName) {
        let clusters = manifest.clusters.map {
            Cluster(name: $0.name, prefixes: $0.prefixes, addresses: $0.overlayAddresses)
        }
        guard let mine = clusters.first(where: { $0.name == local }) else { return nil }
        self.init(name: manifest.name, local: mine, others: clusters.filter { $0.name != local })
    }
}
