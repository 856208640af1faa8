import Addresses
import SliceModel
import Timing

/// Who is where in a slice: what each cluster says of itself and is believed.
package struct DirectoryView: Sendable {
    package let local: ClusterName
    /// Every cluster of the manifest, also those that have said nothing yet.
    package internal(set) var clusters: [ClusterName: ClusterView]

    package init(local: ClusterName, clusters: [ClusterName: ClusterView] = [:]) {
        self.local = local
        self.clusters = clusters
    }

    package subscript(cluster: ClusterName) -> ClusterView? { clusters[cluster] }

    /// In the order of names.
    package var inOrder: [ClusterView] { clusters.values.sorted { $0.cluster < $1.cluster } }

    /// Whose address it is. Asks each cluster: at most one is believed.
    package func holder(of address: IPAddress) -> (cluster: ClusterView, key: AddressBook.Key)? {
        for view in clusters.values {
            if let holder = view.holders[address] { return (view, holder.key) }
        }
        return nil
    }

    /// The parts of one service, in the order of clusters.
    package func parts(of service: ServiceRecord.Key) -> [ServicePart] {
        inOrder.compactMap { view in
            view.services[service].map {
                ServicePart(cluster: view.cluster, state: view.state, record: $0)
            }
        }
    }

    /// All services of all clusters, merged, in the order of names.
    package var services: [(key: ServiceRecord.Key, parts: [ServicePart])] {
        var parts: [ServiceRecord.Key: [ServicePart]] = [:]
        for view in inOrder {
            for (key, record) in view.services {
                parts[key, default: []].append(
                    ServicePart(cluster: view.cluster, state: view.state, record: record))
            }
        }
        return parts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    package struct ServicePart: Hashable, Sendable {
        package var cluster: ClusterName
        package var state: ClusterView.State
        package var record: ServiceRecord
    }
}

/// One cluster's records, as far as they are believed.
package struct ClusterView: Sendable {
    package enum State: Hashable, Sendable {
        /// Its word, not older than the silence that is allowed; or our own.
        case fresh
        /// What it said last, and when that was.
        case stale(since: Instant)
        /// Nothing is known, or no longer.
        case absent
    }

    /// An address belongs to the endpoint that claimed it first.
    package struct Holder: Hashable, Sendable {
        package var key: AddressBook.Key
        var since: UInt64
    }

    package let cluster: ClusterName
    package internal(set) var state = State.absent
    package internal(set) var endpoints: [AddressBook.Key: EndpointRecord] = [:]
    package internal(set) var holders: [IPAddress: Holder] = [:]
    package internal(set) var services: [ServiceRecord.Key: ServiceRecord] = [:]

    package init(cluster: ClusterName) { self.cluster = cluster }

    /// In the order of names.
    package var sortedEndpoints: [EndpointRecord] {
        endpoints.values.sorted { $0.key < $1.key }
    }

    package var sortedServices: [ServiceRecord] { services.values.sorted { $0.key < $1.key } }

    /// Whether both say the same, whatever their state.
    package func hasSameContent(as other: ClusterView) -> Bool {
        endpoints == other.endpoints && services == other.services
    }
}
