import KafkaWire
import NIOCore

/// The file `meta.properties`: to which cluster and node a directory belongs (KIP-631, KIP-858).
package struct MetaProperties: Equatable, Sendable {
    package static let fileName = "meta.properties"
    private static let limit = 64 << 10

    package var clusterId: String
    package var nodeId: Int32
    package var directoryId: KafkaUUID

    package init(clusterId: String, nodeId: Int32, directoryId: KafkaUUID) {
        self.clusterId = clusterId
        self.nodeId = nodeId
        self.directoryId = directoryId
    }

    /// - Returns: nil where there is no such file.
    package static func read(
        from directory: String, _ disk: any Disk
    ) throws(LogError) -> MetaProperties? {
        let path = DiskPath.join(directory, fileName)
        let bytes: ByteBuffer
        do throws(DiskError) {
            let file = try disk.open(path, create: false)
            // One byte more than may be, to see that it is too large.
            bytes = try file.read(at: 0, count: limit + 1)
        } catch {
            if error.isNotFound { return nil }
            throw .storage(error)
        }
        guard bytes.readableBytes <= limit else {
            throw .invalidFile(path: path, reason: "it is larger than such a file can be")
        }
        var values: [String: String] = [:]
        for line in String(buffer: bytes).split(whereSeparator: \.isNewline) {
            guard !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") else { continue }
            // Java's Properties writes a colon as `\:`.
            values[String(line[..<equals])] = String(line[line.index(after: equals)...])
                .filter { $0 != "\\" }
        }
        guard values["version"] == "1" else {
            throw .invalidFile(
                path: path,
                reason: "it is of version \(values["version"] ?? "?"), and only version 1 is known")
        }
        guard let clusterId = values["cluster.id"], !clusterId.isEmpty,
            let nodeId = values["node.id"].flatMap({ Int32($0) }), nodeId >= 0,
            let directoryId = values["directory.id"].flatMap({ KafkaUUID($0) })
        else {
            throw .invalidFile(path: path, reason: "cluster.id, node.id or directory.id is missing")
        }
        return MetaProperties(clusterId: clusterId, nodeId: nodeId, directoryId: directoryId)
    }

    package func write(to directory: String, _ disk: any Disk) throws(LogError) {
        let text = """
            #
            version=1
            cluster.id=\(clusterId)
            node.id=\(nodeId)
            directory.id=\(directoryId)

            """
        do {
            try disk.replace(
                DiskPath.join(directory, Self.fileName), with: ByteBuffer(string: text))
        } catch {
            throw .storage(error)
        }
    }
}
