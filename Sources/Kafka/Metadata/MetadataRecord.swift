import KafkaWire
import NIOCore

/// A record of the metadata log (`__cluster_metadata`): Kafka's own, in its own frame.
package enum MetadataRecord: Equatable, Sendable {
    case registerBroker(RegisterBrokerRecord)
    case unregisterBroker(UnregisterBrokerRecord)
    case fenceBroker(FenceBrokerRecord)
    case unfenceBroker(UnfenceBrokerRecord)
    case brokerRegistrationChange(BrokerRegistrationChangeRecord)
    case registerController(RegisterControllerRecord)
    case topic(TopicRecord)
    case removeTopic(RemoveTopicRecord)
    case partition(PartitionRecord)
    case partitionChange(PartitionChangeRecord)
    case clearElr(ClearElrRecord)
    case config(ConfigRecord)
    case featureLevel(FeatureLevelRecord)
    case producerIds(ProducerIdsRecord)
    case clientQuota(ClientQuotaRecord)
    case accessControlEntry(AccessControlEntryRecord)
    case removeAccessControlEntry(RemoveAccessControlEntryRecord)
    case userScramCredential(UserScramCredentialRecord)
    case removeUserScramCredential(RemoveUserScramCredentialRecord)
    case delegationToken(DelegationTokenRecord)
    case removeDelegationToken(RemoveDelegationTokenRecord)
    case zkMigrationState(ZkMigrationStateRecord)
    case beginTransaction(BeginTransactionRecord)
    case endTransaction(EndTransactionRecord)
    case abortTransaction(AbortTransactionRecord)
    case noOp(NoOpRecord)
}

extension MetadataRecord {
    /// The frame's own version, before API key and version; all three are unsigned varints.
    private static let frameVersion: UInt32 = 1

    /// Reads a record from a log record's value.
    package init(decoding value: ByteBuffer) throws(MetadataError) {
        var reader = WireReader(value)
        let frame: UInt32
        let key: UInt32
        let version: UInt32
        do {
            frame = try reader.unsignedVarint()
            key = try reader.unsignedVarint()
            version = try reader.unsignedVarint()
        } catch {
            throw .malformed("\(error)")
        }
        guard frame == Self.frameVersion else { throw .unknownFrame(frame) }
        guard let key = Int16(exactly: key), let version = Int16(exactly: version) else {
            throw .unknownRecord(apiKey: -1, version: -1)
        }
        self = try Self.body(apiKey: key, version: version, from: &reader)
        if reader.remaining > 0 {
            throw .trailingBytes(apiKey: key, count: reader.remaining)
        }
    }

    /// A log record's value.
    package func encoded(for metadataVersion: MetadataVersion = .newest) -> ByteBuffer {
        switch self {
        case .registerBroker(let r): frame(r, metadataVersion.registerBrokerRecordVersion)
        case .unregisterBroker(let r): frame(r)
        case .fenceBroker(let r): frame(r)
        case .unfenceBroker(let r): frame(r)
        case .brokerRegistrationChange(let r):
            frame(r, metadataVersion.registrationChangeRecordVersion)
        case .registerController(let r): frame(r)
        case .topic(let r): frame(r)
        case .removeTopic(let r): frame(r)
        case .partition(let r): frame(r, metadataVersion.partitionRecordVersion)
        case .partitionChange(let r): frame(r, metadataVersion.partitionRecordVersion)
        case .clearElr(let r): frame(r)
        case .config(let r): frame(r)
        case .featureLevel(let r): frame(r)
        case .producerIds(let r): frame(r)
        case .clientQuota(let r): frame(r)
        case .accessControlEntry(let r): frame(r)
        case .removeAccessControlEntry(let r): frame(r)
        case .userScramCredential(let r): frame(r)
        case .removeUserScramCredential(let r): frame(r)
        case .delegationToken(let r): frame(r)
        case .removeDelegationToken(let r): frame(r)
        case .zkMigrationState(let r): frame(r)
        case .beginTransaction(let r): frame(r)
        case .endTransaction(let r): frame(r)
        case .abortTransaction(let r): frame(r)
        case .noOp(let r): frame(r)
        }
    }

    private func frame<R: KafkaMetadataRecord>(_ record: R, _ version: Int16 = 0) -> ByteBuffer {
        var writer = WireWriter()
        writer.unsignedVarint(Self.frameVersion)
        writer.unsignedVarint(UInt32(UInt16(bitPattern: R.apiKey)))
        writer.unsignedVarint(UInt32(UInt16(bitPattern: version)))
        record.encode(to: &writer, version: version)
        return writer.finishInOneBuffer()
    }

    private static func body(
        apiKey: Int16, version: Int16, from reader: inout WireReader
    ) throws(MetadataError) -> Self {
        do {
            switch apiKey {
            case RegisterBrokerRecord.apiKey: return .registerBroker(try read(&reader, version))
            case UnregisterBrokerRecord.apiKey: return .unregisterBroker(try read(&reader, version))
            case TopicRecord.apiKey: return .topic(try read(&reader, version))
            case PartitionRecord.apiKey: return .partition(try read(&reader, version))
            case ConfigRecord.apiKey: return .config(try read(&reader, version))
            case PartitionChangeRecord.apiKey: return .partitionChange(try read(&reader, version))
            case FenceBrokerRecord.apiKey: return .fenceBroker(try read(&reader, version))
            case UnfenceBrokerRecord.apiKey: return .unfenceBroker(try read(&reader, version))
            case RemoveTopicRecord.apiKey: return .removeTopic(try read(&reader, version))
            case DelegationTokenRecord.apiKey: return .delegationToken(try read(&reader, version))
            case UserScramCredentialRecord.apiKey:
                return .userScramCredential(try read(&reader, version))
            case FeatureLevelRecord.apiKey: return .featureLevel(try read(&reader, version))
            case ClientQuotaRecord.apiKey: return .clientQuota(try read(&reader, version))
            case ProducerIdsRecord.apiKey: return .producerIds(try read(&reader, version))
            case BrokerRegistrationChangeRecord.apiKey:
                return .brokerRegistrationChange(try read(&reader, version))
            case AccessControlEntryRecord.apiKey:
                return .accessControlEntry(try read(&reader, version))
            case RemoveAccessControlEntryRecord.apiKey:
                return .removeAccessControlEntry(try read(&reader, version))
            case NoOpRecord.apiKey: return .noOp(try read(&reader, version))
            case ZkMigrationStateRecord.apiKey: return .zkMigrationState(try read(&reader, version))
            case RemoveUserScramCredentialRecord.apiKey:
                return .removeUserScramCredential(try read(&reader, version))
            case BeginTransactionRecord.apiKey: return .beginTransaction(try read(&reader, version))
            case EndTransactionRecord.apiKey: return .endTransaction(try read(&reader, version))
            case AbortTransactionRecord.apiKey: return .abortTransaction(try read(&reader, version))
            case RemoveDelegationTokenRecord.apiKey:
                return .removeDelegationToken(try read(&reader, version))
            case RegisterControllerRecord.apiKey:
                return .registerController(try read(&reader, version))
            case ClearElrRecord.apiKey: return .clearElr(try read(&reader, version))
            default: break
            }
        } catch {
            throw .malformed("API key \(apiKey), version \(version): \(error)")
        }
        throw .unknownRecord(apiKey: apiKey, version: version)
    }

    private static func read<R: KafkaMetadataRecord>(
        _ reader: inout WireReader, _ version: Int16
    ) throws(WireError) -> R {
        try R(from: &reader, version: version)
    }
}
