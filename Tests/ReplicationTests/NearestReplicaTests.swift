import KafkaWire
import Replication
import Testing
import Timing

/// KIP-392.
@Suite struct NearestReplicaTests {
    private func fetch(
        _ node: TestNode, _ request: FetchRequest, version: Int16 = 17
    ) throws -> FetchResponse {
        let token = node.token()
        return try #require(
            fetched(node.step { $0.fetch(request, version: version, token: token) }, token))
    }

    private func rackAware() throws -> TestNode {
        var config = ReplicationConfig()
        config.replicaSelector = .rackAware
        let node = try TestNode(config: config)
        node.lead()
        try node.append(["a", "b"])
        return node
    }

    @Test func consumersAreSentToTheirRack() throws {
        let node = try rackAware()
        func preferred(_ rack: String, at offset: Int64 = 0, version: Int16 = 17) throws -> Int32? {
            let data = try fetch(
                node, fetchRequest([want(offset)], rack: rack), version: version
            ).only
            if data?.preferredReadReplica != -1 { #expect(data?.byteCount == 0) }
            return data?.preferredReadReplica
        }
        // Broker 2 has not fetched: it is not known to have anything.
        #expect(try preferred("r2") == -1)
        node.followerFetch(2, at: 2)
        #expect(try preferred("r2") == 2)
        #expect(try preferred("r1") == -1)
        #expect(try preferred("r3") == -1)
        #expect(try preferred("elsewhere") == -1)
        #expect(try preferred("") == -1)
        #expect(try preferred("r2", version: 10) == -1)
        node.followerFetch(3, at: 1)
        #expect(try preferred("r3", at: 1) == 3)
        #expect(try preferred("r3", at: 2) == -1)
        // Out of the ISR it may lag for ever.
        node.lead(partitionEpoch: 2, isr: [1, 3])
        #expect(try preferred("r2") == -1)
    }

    @Test func theSelectorIsOffByDefault() throws {
        let node = try TestNode()
        node.lead()
        node.followerFetch(2, at: 0)
        let data = try fetch(node, fetchRequest([want(0)], rack: "r2")).only
        #expect(data?.preferredReadReplica == -1)
        #expect(ReplicaSelector(className: "x") == nil)
        #expect(
            ReplicaSelector(className: "org.apache.kafka.common.replica.RackAwareReplicaSelector")
                == .rackAware)
    }

    @Test func theFurthestOfARackIsTaken() throws {
        let node = try rackAware()
        node.step {
            $0.setBrokers(
                BrokerTable([
                    BrokerStatus(id: 1, epoch: 10, rack: "x"),
                    BrokerStatus(id: 2, epoch: 20, rack: "y"),
                    BrokerStatus(id: 3, epoch: 30, rack: "y"),
                ]))
        }
        node.followerFetch(2, at: 1)
        node.followerFetch(3, at: 2)
        var data = try fetch(node, fetchRequest([want(0)], rack: "y")).only
        #expect(data?.preferredReadReplica == 3)
        // A fenced one is not there to be read from.
        node.step {
            $0.setBrokers(
                BrokerTable([
                    BrokerStatus(id: 1, epoch: 10, rack: "x"),
                    BrokerStatus(id: 2, epoch: 20, rack: "y"),
                    BrokerStatus(id: 3, epoch: 30, rack: "y", isFenced: true),
                ]))
        }
        data = try fetch(node, fetchRequest([want(0)], rack: "y")).only
        #expect(data?.preferredReadReplica == 2)
    }
}
