/// What the metadata says of another broker, as far as replication minds.
package struct BrokerStatus: Equatable, Sendable {
    package var id: Int32
    package var epoch: Int64
    package var rack: String?
    package var isFenced: Bool
    package var isInControlledShutdown: Bool

    package init(
        id: Int32, epoch: Int64, rack: String? = nil, isFenced: Bool = false,
        isInControlledShutdown: Bool = false
    ) {
        self.id = id
        self.epoch = epoch
        self.rack = rack
        self.isFenced = isFenced
        self.isInControlledShutdown = isInControlledShutdown
    }
}

/// The brokers of the cluster, few and sorted by id.
package struct BrokerTable: Equatable, Sendable {
    package private(set) var brokers: [BrokerStatus]

    package init(_ brokers: [BrokerStatus] = []) {
        self.brokers = brokers.sorted { $0.id < $1.id }
    }

    package subscript(id: Int32) -> BrokerStatus? {
        guard let index = index(of: id) else { return nil }
        return brokers[index]
    }

    package func rack(of id: Int32) -> String? {
        guard let index = index(of: id) else { return nil }
        return brokers[index].rack
    }

    /// Registered and not fenced.
    package func isAlive(_ id: Int32) -> Bool {
        guard let index = index(of: id) else { return false }
        return !brokers[index].isFenced
    }

    /// The epoch of a broker that lives; a fetch that carries an older one is from a process that
    /// has ended (KIP-903).
    package func aliveEpoch(of id: Int32) -> Int64? {
        guard let index = index(of: id), !brokers[index].isFenced else { return nil }
        return brokers[index].epoch
    }

    /// May this broker join an ISR, having fetched under that epoch? (KIP-841, KIP-903)
    package func mayJoinISR(_ id: Int32, fetchedEpoch: Int64?) -> Bool {
        guard let index = index(of: id), let fetchedEpoch else { return false }
        let broker = brokers[index]
        return !broker.isFenced && !broker.isInControlledShutdown
            && (fetchedEpoch == -1 || fetchedEpoch == broker.epoch)
    }

    private func index(of id: Int32) -> Int? {
        var low = 0
        var high = brokers.count
        while low < high {
            let middle = (low + high) / 2
            if brokers[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < brokers.count && brokers[low].id == id ? low : nil
    }
}
