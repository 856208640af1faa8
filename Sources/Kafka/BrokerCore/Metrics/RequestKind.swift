import KafkaWire

/// By what requests are told apart when they are timed: their name, and for fetches who fetches.
package struct RequestKind: Hashable, Sendable {
    package let rawValue: UInt8

    package static let count = 128
    /// A key that no API has.
    static let followersFetch = RequestKind(rawValue: 127)
    private static let consumersFetch = RequestKind(apiKey: FetchRequest.apiKey)

    private init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(index: Int) { rawValue = UInt8(clamping: index) }

    /// Keys of requests that are served are far below; the rest is one kind.
    init(apiKey: Int16) { rawValue = UInt8(min(max(apiKey, 0), 126)) }

    /// Kafka's name, with which fetches of a broker's partitions are told apart.
    package func name(isBroker: Bool) -> String {
        switch self {
        case .followersFetch: "FetchFollower"
        case .consumersFetch where isBroker: "FetchConsumer"
        default: ApiKey(rawValue: Int16(rawValue))?.name ?? "\(rawValue)"
        }
    }
}

extension FetchRequest {
    func isFollowers(_ version: Int16) -> Bool {
        (version >= 15 ? replicaState.replicaId : replicaId) >= 0
    }
}
