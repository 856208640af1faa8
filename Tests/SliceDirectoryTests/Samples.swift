import Addresses
import SliceDirectory
import SliceModel
import Testing

enum Sample {
    static func key(_ text: String) throws -> AddressBook.Key {
        let parts = text.split(separator: "/").map(String.init)
        return AddressBook.Key(
            try #require(NamespaceName(parts[0])), try #require(EndpointName(parts[1])))
    }

    static func service(_ text: String) throws -> ServiceRecord.Key {
        let parts = text.split(separator: "/").map(String.init)
        return ServiceRecord.Key(
            try #require(NamespaceName(parts[0])), try #require(ServiceName(parts[1])))
    }

    static func endpoint(
        _ text: String, _ addresses: String..., labels: [String: String] = [:]
    ) throws -> EndpointRecord {
        EndpointRecord(
            key: try key(text), addresses: try addresses.map { try #require(IPAddress($0)) },
            labels: try #require(EndpointLabels(labels)))
    }

    static func member(_ name: String, _ isHealthy: Bool = true) throws -> ServiceRecord.Member {
        ServiceRecord.Member(endpoint: try #require(EndpointName(name)), isHealthy: isHealthy)
    }

    static let facts = DirectoryFacts(
        manifestVersion: 7, manifestDigest: digest(1), policyDigest: digest(2))

    static func digest(_ byte: UInt8) -> DirectoryDigest {
        DirectoryDigest(bytes: [UInt8](repeating: byte, count: 32)) ?? .none
    }

    /// One of everything.
    static func messages() throws -> [DirectoryMessage] {
        let west = try #require(ClusterName("west"))
        let endpoint = try endpoint(
            "kafka/broker-0", "10.80.1.2", "fd00:80:0:1::2", labels: ["role": "broker", "a": "b"])
        let service = try service("kafka/kafka")
        let ports = [ServicePort(name: "broker", transport: .tcp, port: 9092)]
        let items: [DirectoryItem] = [
            .endpoint(endpoint, since: 3),
            .endpoint(try Sample.endpoint("kafka/six", "fd00:80:0:1::3"), since: 4),
            .service(service, ports: ports, importedBy: nil),
            .service(service, ports: [], importedBy: [try #require(Glob("e*"))]),
            .service(service, ports: [], importedBy: []),
            .member(service, try member("broker-0")),
        ]
        return [
            .hello(
                DirectoryMessage.Hello(
                    slice: try #require(SliceName("pay")), cluster: west, incarnation: 5,
                    knownIncarnation: 4, knownVersion: 9, facts: facts)),
            .welcome(
                DirectoryMessage.Welcome(
                    cluster: west, incarnation: 5, version: 12, facts: facts)),
            .snapshotBegin(version: 12), .snapshotItems(items), .snapshotItems([]),
            .snapshotEnd(version: 13),
            .delta(
                DirectoryMessage.Delta(
                    from: 12, to: 20, hasMore: true,
                    changes: items.map { .put($0) } + items.map { .remove($0.key) })),
            .heartbeat(version: 20, facts), .manifestRequest,
            .manifestBegin(version: 8, digest(3), byteCount: 4), .manifestBytes([1, 2, 3, 4]),
            .refusal(.olderIncarnation, "a newer one is known"),
        ]
    }
}
