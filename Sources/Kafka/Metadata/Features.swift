/// Names of features whose level the metadata log decides (KIP-584).
package enum FeatureName {
    package static let metadataVersion = "metadata.version"
    package static let eligibleLeaderReplicas = "eligible.leader.replicas.version"
    package static let groupVersion = "group.version"
    package static let transactionVersion = "transaction.version"
    package static let kraftVersion = "kraft.version"
}

/// The level of `metadata.version`: which records may be written, and in which version.
/// The levels are those of Apache Kafka's `MetadataVersion`.
package struct MetadataVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var level: Int16

    package init(level: Int16) { self.level = level }

    /// 3.7-IV2, the first with a directory for each replica. Older logs can be replayed, but a
    /// controller does not lead a cluster that is held at an older level.
    package static let oldest = Self(level: 17)
    /// 4.0-IV1: eligible leader replicas (KIP-966) may be recorded.
    package static let firstWithEligibleLeaderReplicas = Self(level: 23)
    /// 4.0-IV3
    package static let newest = Self(level: 25)
    /// What a log without the feature means.
    package static let implied = Self(level: 1)

    package static func < (a: Self, b: Self) -> Bool { a.level < b.level }

    package var mayRecordEligibleLeaders: Bool { self >= .firstWithEligibleLeaderReplicas }
    package var partitionRecordVersion: Int16 { mayRecordEligibleLeaders ? 2 : 1 }
    package var registerBrokerRecordVersion: Int16 { 3 }
    package var registrationChangeRecordVersion: Int16 { 2 }

    /// Whether going back from this level to another would lose something that was recorded.
    package func losesMetadata(goingBackTo older: Self) -> Bool {
        self >= .firstWithEligibleLeaderReplicas && older < .firstWithEligibleLeaderReplicas
    }

    package var description: String {
        switch level {
        case 17: "3.7-IV2"
        case 18: "3.7-IV3"
        case 19: "3.7-IV4"
        case 20: "3.8-IV0"
        case 21: "3.9-IV0"
        case 22: "4.0-IV0"
        case 23: "4.0-IV1"
        case 24: "4.0-IV2"
        case 25: "4.0-IV3"
        default: "level \(level)"
        }
    }
}

/// The versions of a feature that a node can work with.
package struct FeatureRange: Hashable, Sendable, CustomStringConvertible {
    package var lowest: Int16
    package var highest: Int16

    package init(_ lowest: Int16, _ highest: Int16) {
        self.lowest = lowest
        self.highest = highest
    }

    package func contains(_ level: Int16) -> Bool { lowest <= level && level <= highest }
    package var description: String { "\(lowest) to \(highest)" }
}

/// A feature and the versions of it that a node supports.
package struct SupportedFeature: Hashable, Sendable {
    package var name: String
    package var range: FeatureRange

    package init(name: String, range: FeatureRange) {
        self.name = name
        self.range = range
    }

    /// What this software can do.
    package static let ours: [SupportedFeature] = [
        .init(
            name: FeatureName.eligibleLeaderReplicas, range: .init(0, 1)),
        .init(
            name: FeatureName.metadataVersion,
            range: .init(MetadataVersion.oldest.level, MetadataVersion.newest.level)),
    ]
}
