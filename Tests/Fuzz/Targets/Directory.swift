import Addresses
import SliceDirectory
import SliceModel

extension FuzzTarget {
    static let directory = [
        FuzzTarget("directory-frames", seeds: { [DirectorySeeds.stream] }) {
            DirectoryFuzz.frames($0)
        },
        FuzzTarget("directory-node", seeds: { DirectorySeeds.scripts }) { bytes in
            var script = FuzzScript(bytes)
            var steps: [(operation: UInt8, bytes: [UInt8])] = []
            while steps.count < 64, let step = script.next() {
                steps.append((step.operation, Array(step.bytes)))
            }
            DirectoryFuzz.node(steps)
        },
        FuzzTarget("directory-store", seeds: { DirectorySeeds.stored }) {
            DirectoryFuzz.store($0)
        },
    ]
}

/// One conversation of each kind.
private enum DirectorySeeds {
    static let stream = messages.flatMap(\.frame)

    static let scripts: [[UInt8]] = [
        // Followed: a snapshot and a delta, then a manifest.
        step(5, [1])
            + [messages[1], .snapshotBegin(version: 3), .snapshotItems(items)]
            .flatMap { step(0, $0.frame) }
            + [
                .snapshotEnd(version: 3), messages[6], .heartbeat(version: 4, newer),
                .manifestBegin(version: 9, .none, byteCount: 3), .manifestBytes([7, 7, 7]),
            ].flatMap { (message: DirectoryMessage) in step(0, message.frame) }
            + step(7),
        // Following, and asking for the manifest.
        step(4)
            + [messages[0], .heartbeat(version: 1, newer), .manifestRequest]
            .flatMap { step(2, $0.frame) } + step(5, [200]) + step(6),
    ]

    static let stored: [[UInt8]] = {
        guard let slice = SliceName("pay"), let east = ClusterName("east") else { return [] }
        return [
            DirectoryStore.encode(
                slice,
                [
                    DirectoryStore.Cluster(
                        name: east, incarnation: 3, version: 4, isPartial: false, items: items)
                ]),
            DirectoryStore.encode(slice, []),
        ]
    }()

    private static func step(_ operation: UInt8, _ bytes: [UInt8] = []) -> [UInt8] {
        FuzzScript.step(operation, 0, bytes)
    }

    private static let newer = DirectoryFacts(manifestVersion: 9)

    private static let items: [DirectoryItem] = {
        guard let namespace = NamespaceName("kafka"), let a = EndpointName("a"),
            let b = EndpointName("b"), let service = ServiceName("s"), let glob = Glob("e*"),
            let labels = EndpointLabels(["role": "broker", "tier": "1"]),
            let first = IPAddress("10.0.2.2"), let second = IPAddress("10.0.3.2")
        else { return [] }
        let key = ServiceRecord.Key(namespace, service)
        return [
            .endpoint(
                EndpointRecord(
                    key: AddressBook.Key(namespace, a), addresses: [first], labels: labels),
                since: 1),
            .endpoint(
                EndpointRecord(key: AddressBook.Key(namespace, b), addresses: [second]), since: 2),
            .service(
                key, ports: [ServicePort(name: "broker", transport: .tcp, port: 9092)],
                importedBy: [glob]),
            .member(key, ServiceRecord.Member(endpoint: a, isHealthy: true)),
        ]
    }()

    static let messages: [DirectoryMessage] = {
        guard let slice = SliceName("pay"), let east = ClusterName("east") else { return [] }
        let facts = DirectoryFacts(manifestVersion: 0)
        return [
            .hello(
                DirectoryMessage.Hello(
                    slice: slice, cluster: east, incarnation: 3, knownIncarnation: 5,
                    knownVersion: 0, facts: facts)),
            .welcome(
                DirectoryMessage.Welcome(cluster: east, incarnation: 3, version: 3, facts: facts)),
            .snapshotBegin(version: 3), .snapshotItems(items), .snapshotEnd(version: 3),
            .refusal(.gap, "changes are missing"),
            .delta(
                DirectoryMessage.Delta(
                    from: 3, to: 4, hasMore: false,
                    changes: items.prefix(1).map { .remove($0.key) })),
        ]
    }()
}
