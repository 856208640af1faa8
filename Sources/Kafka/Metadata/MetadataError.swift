import KafkaWire

/// Why a metadata record could not be read or applied. To a controller or a broker each of these is
/// the end: a state that leaves out a record is not the cluster's state.
package enum MetadataError: Error, Equatable, CustomStringConvertible {
    /// The frame around a record is not frame version 1.
    case unknownFrame(UInt32)
    case unknownRecord(apiKey: Int16, version: Int16)
    /// A record that belongs to clusters with ZooKeeper or to a feature that is not there.
    case unsupportedRecord(String)
    case malformed(String)
    case trailingBytes(apiKey: Int16, count: Int)
    case unknownBroker(Int32, epoch: Int64)
    case unknownTopic(KafkaUUID)
    case unknownPartition(KafkaUUID, Int32)
    case duplicateTopic(String)
    case badValue(String)
    case tooMany(String, limit: Int)
    case transaction(String)

    package var description: String {
        switch self {
        case .unknownFrame(let version):
            "metadata record in a frame of version \(version), only version 1 is known"
        case .unknownRecord(let key, let version):
            "unknown metadata record: API key \(key), version \(version)"
        case .unsupportedRecord(let name): "metadata record \(name) is not supported"
        case .malformed(let what): "malformed metadata record: \(what)"
        case .trailingBytes(let key, let count):
            "\(count) bytes left over after a metadata record with API key \(key)"
        case .unknownBroker(let id, let epoch):
            "metadata record for broker \(id) with epoch \(epoch), which is not registered"
        case .unknownTopic(let id): "metadata record for topic id \(id), which does not exist"
        case .unknownPartition(let id, let partition):
            "metadata record for partition \(partition) of topic id \(id), which does not exist"
        case .duplicateTopic(let name): "metadata record for topic \(name), which exists already"
        case .badValue(let what): "metadata record with a value that makes no sense: \(what)"
        case .tooMany(let what, let limit): "more than \(limit) \(what)"
        case .transaction(let what): "metadata transaction: \(what)"
        }
    }
}
