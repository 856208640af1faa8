import KafkaWire

/// A cluster as a tool sees it: some broker to ask, and the one that a request must go to.
package final class KafkaCluster {
    package struct Node: Equatable, Sendable {
        package var id: Int32
        package var address: ServerAddress
        package var rack: String?
    }

    private let bootstrap: [ServerAddress]
    private var anyConnection: KafkaConnection?
    private var connections: [Int32: KafkaConnection] = [:]
    private var nodes: [Int32: Node] = [:]

    /// - Parameter servers: `host:port,host:port`.
    package init(bootstrap servers: String) throws(ClientError) {
        bootstrap = try ServerAddress.list(servers)
    }

    /// Whoever answers first: of the places that were named, or of the brokers that are known.
    package func any() throws(ClientError) -> KafkaConnection {
        if let anyConnection { return anyConnection }
        let known = brokers.map(\.address).filter { !bootstrap.contains($0) }
        var first: ClientError?
        for address in bootstrap + known {
            do throws(ClientError) {
                let connection = try KafkaConnection(address)
                anyConnection = connection
                return connection
            } catch {
                guard error.isPassing else { throw error }
                first = first ?? error
            }
        }
        throw first ?? .unreachable("no server", reason: "none was named")
    }

    /// The brokers that were told of, by number.
    package var brokers: [Node] { nodes.values.sorted { $0.id < $1.id } }

    package func connection(to broker: Int32) throws(ClientError) -> KafkaConnection {
        if let connection = connections[broker] { return connection }
        let connection = try open(broker)
        connections[broker] = connection
        return connection
    }

    /// A connection that nobody else uses.
    package func open(_ broker: Int32) throws(ClientError) -> KafkaConnection {
        if nodes[broker] == nil { _ = try metadata([]) }
        guard let node = nodes[broker] else {
            throw .unreachable(
                "broker \(broker)", reason: "no broker that is alive has that number")
        }
        return try KafkaConnection(node.address)
    }

    /// Asks a broker, any if none is named. A connection that is of no use any more is forgotten.
    package func call<Request: KafkaRequest>(
        _ request: Request, at broker: Int32? = nil, atMost: Int16 = .max
    ) throws(ClientError) -> Request.Response {
        let connection: KafkaConnection
        if let broker {
            connection = try self.connection(to: broker)
        } else {
            connection = try any()
        }
        do throws(ClientError) {
            return try connection.call(request, atMost: atMost)
        } catch {
            switch error {
            case .lost, .malformed: forget(broker)
            default: break
            }
            throw error
        }
    }

    package func forget(_ broker: Int32?) {
        if let broker { connections[broker] = nil } else { anyConnection = nil }
    }

    // MARK: What lies where

    /// Of the topics that are named, or of all.
    package func metadata(
        _ topics: [String]?, mayCreate: Bool = false
    ) throws(ClientError) -> MetadataResponse {
        let answer = try call(
            MetadataRequest(
                topics: topics.map { names in names.map { .init(name: $0) } },
                allowAutoTopicCreation: mayCreate))
        guard answer.errorCode == .none else {
            throw .refused(answer.errorCode, "the cluster does not describe itself")
        }
        nodes = [:]
        for broker in answer.brokers {
            nodes[broker.nodeId] = Node(
                id: broker.nodeId,
                address: ServerAddress(host: broker.host, port: UInt16(clamping: broker.port)),
                rack: broker.rack)
        }
        return answer
    }

    /// Where the partitions of a topic lie. One that was created just now may not be known yet.
    package func layout(
        of topic: String, mayCreate: Bool = false
    ) throws(ClientError) -> TopicLayout {
        var attempts = Attempts(milliseconds: mayCreate ? 15_000 : 0)
        while true {
            let answer = try metadata([topic], mayCreate: mayCreate)
            let found = answer.topics.first { $0.name == topic }
            let code = found?.errorCode ?? .unknownTopicOrPartition
            if code == .none, let found { return TopicLayout(topic, found) }
            guard code.isPassing, attempts.pause() else { throw .refused(code, "topic \(topic)") }
        }
    }

    /// Where a consumer group is looked after.
    package func coordinator(of group: String) throws(ClientError) -> Int32 {
        try Attempts.until(
            milliseconds: 10_000, giveUp: .refused(.coordinatorNotAvailable, "group \(group)")
        ) { () throws(ClientError) in
            let answer = try call(
                FindCoordinatorRequest(key: group, keyType: 0, coordinatorKeys: [group]))
            let found = answer.coordinators.first
            let code = found?.errorCode ?? answer.errorCode
            guard code == .none else {
                throw .refused(
                    code, what: "group \(group) has no coordinator",
                    detail: found?.errorMessage ?? answer.errorMessage)
            }
            return found?.nodeId ?? answer.nodeId
        }
    }
}
