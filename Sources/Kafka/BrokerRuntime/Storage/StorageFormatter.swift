import BrokerConfig
import BrokerCore
import CommitLog
import Glibc
import KafkaWire

/// `slice-broker format`: makes the directories of a node ready for its first start.
package enum StorageFormatter {
    package struct Directory: Sendable {
        package var path: String
        /// It was formatted already, and is as it was.
        package var wasFormatted: Bool
    }

    /// - Returns: the node's directories, those first that were formatted already.
    /// - Throws: why it was not done; nothing was changed then.
    package static func format(
        _ config: BrokerConfig, clusterId: String, ignoreFormatted: Bool
    ) throws -> [Directory] {
        guard !clusterId.isEmpty, clusterId.utf8.count <= 64,
            clusterId.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "=") })
        else {
            throw NodeStartError(
                "a cluster's id is up to 64 printable characters; `slice-broker random-uuid` "
                    + "makes one")
        }
        let disk = PosixDisk()
        let paths = Set([config.logDirectory, config.metadataDirectory]).sorted()
        var fresh: [String] = []
        var done: [Directory] = []
        for path in paths {
            try makeDirectories(path, disk)
            guard let meta = try MetaProperties.read(from: path, disk) else {
                try checkEmpty(path, disk)
                fresh.append(path)
                continue
            }
            guard meta.clusterId == clusterId, meta.nodeId == config.nodeID else {
                throw NodeStartError(
                    "\(path) is formatted already, for node \(meta.nodeId) of cluster "
                        + "\(meta.clusterId). To use it for something else, empty it first")
            }
            guard ignoreFormatted else {
                throw NodeStartError(
                    "\(path) is formatted already for this node and cluster; "
                        + "--ignore-formatted makes that no error")
            }
            done.append(Directory(path: path, wasFormatted: true))
        }
        for path in fresh {
            let id = KafkaUUID(high: .random(in: 1 ... .max), low: .random(in: .min ... .max))
            try MetaProperties(clusterId: clusterId, nodeId: config.nodeID, directoryId: id)
                .write(to: path, disk)
            done.append(Directory(path: path, wasFormatted: false))
        }
        return done
    }

    private static func makeDirectories(_ path: String, _ disk: PosixDisk) throws {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            try disk.createDirectory(made)
        }
    }

    /// A directory with logs in it and without a name on them is somebody's.
    private static func checkEmpty(_ path: String, _ disk: PosixDisk) throws {
        let foreign = try disk.list(path).first {
            $0.isDirectory && TopicPartition(directoryName: $0.name) != nil
        }
        if let foreign {
            throw NodeStartError(
                "\(path) holds a log (\(foreign.name)) but no \(MetaProperties.fileName): it is "
                    + "not known whose it is. Restore that file, or name an empty directory")
        }
    }
}
