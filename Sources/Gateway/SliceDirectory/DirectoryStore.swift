import SliceModel

/// The last known records of other clusters as a file: so a gateway that starts again knows whom
/// its policies are about before anybody has answered.
package enum DirectoryStore {
    package struct Cluster: Hashable, Sendable {
        package var name: ClusterName
        package var incarnation: UInt64
        package var version: UInt64
        /// Nothing may be added to it: it has to be told anew.
        package var isPartial: Bool
        /// Everything it said, also what is not believed.
        package var items: [DirectoryItem]

        package init(
            name: ClusterName, incarnation: UInt64, version: UInt64, isPartial: Bool,
            items: [DirectoryItem]
        ) {
            self.name = name
            self.incarnation = incarnation
            self.version = version
            self.isPartial = isPartial
            self.items = items
        }
    }

    /// Clusters at most, and bytes of a file.
    package static let clusters = 1_024
    package static let byteLimit = 256 << 20
    private static let magic = Array("slice-directory".utf8)
    private static let format: UInt8 = 1

    package static func encode(_ slice: SliceName, _ clusters: [Cluster]) -> [UInt8] {
        var writer = WireWriter()
        writer.append(magic)
        writer.byte(format)
        writer.text(slice.text)
        writer.number(UInt16(clamping: clusters.count))
        for cluster in clusters.prefix(Int(UInt16.max)) {
            writer.text(cluster.name.text)
            writer.number(cluster.incarnation)
            writer.number(cluster.version)
            writer.flag(cluster.isPartial)
            writer.number(UInt32(clamping: cluster.items.count))
            for item in cluster.items { item.write(to: &writer) }
        }
        return writer.bytes
    }

    /// Names must grow, so that no cluster is there twice.
    package static func decode(
        _ bytes: [UInt8], of slice: SliceName, limits: DirectoryLimits = DirectoryLimits()
    ) throws(WireProblem) -> [Cluster] {
        guard bytes.count <= byteLimit else { throw .tooMany("bytes") }
        var reader = WireReader(bytes)
        guard try reader.bytes(magic.count).elementsEqual(magic) else { throw .badValue("file") }
        guard try reader.byte() == format else { throw .badValue("format") }
        guard try reader.name() as SliceName == slice else { throw .badValue("slice") }
        let count = Int(try reader.number(UInt16.self))
        guard count <= Self.clusters else { throw .tooMany("clusters") }
        let most = limits.endpoints + limits.services + limits.members
        var clusters: [Cluster] = []
        for _ in 0..<count {
            var cluster = Cluster(
                name: try reader.name(), incarnation: try reader.number(),
                version: try reader.number(), isPartial: try reader.flag("completeness"),
                items: [])
            if let last = clusters.last?.name, last >= cluster.name {
                throw .badValue("order of clusters")
            }
            let items = Int(try reader.number(UInt32.self))
            guard items <= most else { throw .tooMany("records") }
            for _ in 0..<items { cluster.items.append(try DirectoryItem(reading: &reader)) }
            clusters.append(cluster)
        }
        try reader.finish()
        return clusters
    }
}

extension DirectoryNode {
    /// To be stored when the view has changed.
    package var stored: [UInt8] {
        let clusters = peers.filter { $0.entriesIncarnation > 0 }.map { peer in
            DirectoryStore.Cluster(
                name: peer.name, incarnation: peer.entriesIncarnation, version: peer.version,
                // What was left out for want of room is not there to be added to.
                isPartial: peer.needsAll || peer.entries.dropped > 0, items: peer.entries.items)
        }
        return DirectoryStore.encode(slice.name, clusters)
    }

    mutating func restore(_ clusters: [DirectoryStore.Cluster]) {
        for cluster in clusters {
            guard let place = places[cluster.name], peers[place].entriesIncarnation == 0,
                peers[place].following.shadow == nil, peers[place].following.phase != .live,
                cluster.incarnation > 0
            else { continue }
            var entries = entriesOf(peers[place].cluster)
            for item in cluster.items { _ = entries.put(item) }
            if entries.isDisputed { _ = entries.judge() }
            entries.setState(.stale(since: now))
            peers[place].entries = entries
            peers[place].entriesIncarnation = cluster.incarnation
            peers[place].incarnation = max(peers[place].incarnation, cluster.incarnation)
            peers[place].version = cluster.version
            peers[place].needsAll = entries.dropped > 0 || cluster.isPartial
            changed.insert(cluster.name)
        }
    }
}
