import KafkaWire

/// Who this process is, from its formatted directory.
package struct NodeIdentity: Sendable {
    package var clusterID: String
    package var nodeID: Int32
    package var directoryID: KafkaUUID
    /// Of the metadata log, where that is in a directory of its own.
    package var metadataDirectoryID: KafkaUUID
    /// New at every start.
    package var incarnation: KafkaUUID

    package init(
        clusterID: String, nodeID: Int32, directoryID: KafkaUUID,
        metadataDirectoryID: KafkaUUID? = nil, incarnation: KafkaUUID
    ) {
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.directoryID = directoryID
        self.metadataDirectoryID = metadataDirectoryID ?? directoryID
        self.incarnation = incarnation
    }
}
