import KafkaWire

extension ReplicaManager {
    /// The answer to a fetch that an effect asked for. Nil: the connection was lost, or the
    /// answer could not be understood; everything else under way there is lost with it.
    package func fetched(
        from leader: Int32, correlation: UInt64, _ response: FetchResponse?
    ) {
        fetchers[leader]?.answered(correlation, response)
    }

    package func listedOffsets(
        from leader: Int32, correlation: UInt64, _ response: ListOffsetsResponse?
    ) {
        fetchers[leader]?.listedOffsets(correlation, response)
    }

    func sendFetches() { fetchers.send(context) }
}
