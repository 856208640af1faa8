import BrokerConfig
import CommitLog
import Groups
import KafkaRecords
import KafkaWire
import Metadata
import NIOCore
import SimulatedDisk

// Each room's own parsers of what comes from the wire and from disks.
extension FuzzTarget {
    static let kafka =
        [
            FuzzTarget("kafka-message", seeds: { KafkaSeeds.messages }) { fuzzKafkaRequest($0) },
            FuzzTarget("kafka-batches", seeds: { KafkaSeeds.batches }) { fuzzRecordBatches($0) },
            FuzzTarget("kafka-codecs", seeds: { KafkaSeeds.compressed }) { fuzzDecompress($0) },
            FuzzTarget("kafka-metadata-records", seeds: { KafkaSeeds.metadata }) {
                fuzzMetadataRecords($0)
            },
            FuzzTarget("kafka-group-records", seeds: { GroupScript.seeds }) {
                GroupScript.run($0)
            },
            FuzzTarget("kafka-log", maximumBytes: 8192, seeds: { KafkaSeeds.folders }) {
                fuzzSegmentRecovery($0)
            },
            FuzzTarget(
                "kafka-properties", words: KafkaSeeds.propertyWords,
                seeds: { KafkaSeeds.properties }
            ) { PropertyFiles.run($0) },
            nodeFiles,
        ] + nodes
}

private enum PropertyFiles {
    static func run(_ bytes: UnsafeRawBufferPointer) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let file = try? PropertiesFile(parsing: text), let config = try? BrokerConfig(file) {
            // Whatever has been accepted can be asked for.
            for property in BrokerProperty.all { _ = config.text(property.name) }
            _ = (config.brokerListeners, config.controllerListeners, config.topicDefaults)
        }
        let disk = SimulatedDisk()
        try? disk.createDirectory("/d")
        try? disk.replace("/d/meta.properties", with: ByteBuffer(bytes: bytes))
        guard let meta = try? MetaProperties.read(from: "/d", disk) else { return }
        try? meta.write(to: "/d", disk)
        precondition((try? MetaProperties.read(from: "/d", disk)) == meta, "\(meta) is not kept")
    }
}

private enum KafkaSeeds {
    static let batches: [[UInt8]] = Compression.allCases.map { batch($0) }

    static func batch(_ compression: Compression, sequence: Int32 = 3) -> [UInt8] {
        var builder = RecordBatchBuilder()
        builder.producerId = 1
        builder.producerEpoch = 2
        builder.baseSequence = sequence
        for index in 0..<4 {
            builder.append(
                key: index == 1 ? nil : ByteBuffer(string: "key"),
                value: index == 2 ? nil : ByteBuffer(string: "value value \(index)"),
                headers: [RecordHeader("h", ByteBuffer(string: "v"))], timestamp: 1000)
        }
        return ((try? builder.build(compression: compression)).map(Array.init(buffer:))) ?? []
    }

    /// Of each codec a little, and a little that is very much.
    static let compressed: [[UInt8]] = Compression.allCases.enumerated().flatMap { place, codec in
        [ByteBuffer(string: "abcabcabcabc"), ByteBuffer(repeating: 0, count: 1 << 16)].compactMap {
            var out = ByteBuffer()
            guard (try? codec.compress($0, into: &out)) != nil, out.readableBytes < 4000 else {
                return nil
            }
            return [UInt8(place), 12] + Array(buffer: out)
        }
    }

    static let metadata: [[UInt8]] = {
        let topic = KafkaUUID(high: 1, low: 2)
        let records: [MetadataRecord] = [
            .featureLevel(.init(name: "metadata.version", featureLevel: 27)),
            .registerBroker(
                .init(
                    brokerId: 1, incarnationId: topic, brokerEpoch: 5,
                    endPoints: [.init(name: "PLAINTEXT", host: "h", port: 9092)], fenced: false)),
            .topic(.init(name: "t", topicId: topic)),
            .partition(
                .init(
                    partitionId: 0, topicId: topic, replicas: [1], isr: [1], leader: 1,
                    leaderEpoch: 0, partitionEpoch: 0)),
            .partitionChange(.init(partitionId: 0, topicId: topic, leader: -1)),
            .config(.init(resourceType: 2, resourceName: "t", name: "retention.ms", value: "5")),
            .producerIds(.init(brokerId: 1, brokerEpoch: 5, nextProducerId: 1000)),
            .removeTopic(.init(topicId: topic)),
        ]
        let parts = records.map { record in
            let bytes = Array(buffer: record.encoded())
            return [UInt8(clamping: bytes.count)] + bytes
        }
        return parts + [parts.flatMap { $0 }]
    }()

    static let messages: [[UInt8]] = {
        func frame<Request: KafkaRequest>(_ request: Request, _ version: Int16) -> [UInt8] {
            [0, 0] + Array(buffer: FuzzedRequest.frame(request, version: version))
        }
        return [
            frame(ApiVersionsRequest(clientSoftwareName: "f", clientSoftwareVersion: "1"), 4),
            frame(MetadataRequest(topics: [.init(name: "t")]), 13),
            frame(MetadataRequest(topics: nil), 1), frame(NodeScript.production, 9),
            frame(NodeScript.production, 3), frame(NodeScript.creation, 7),
            frame(NodeScript.registration, 4),
        ] + (1..<140).map { [UInt8($0), 255] + [UInt8](repeating: 0, count: 40) }
    }()

    /// A partition's folder, as the log itself makes it.
    static let folders: [[UInt8]] = {
        let disk = SimulatedDisk()
        do {
            try disk.createDirectory("/logs")
            let directory = try LogDirectory(path: "/logs", disk: disk)
            defer { directory.abandon() }
            let log = try directory.openLog(
                TopicPartition("f", 0), topicId: nil, config: LogConfig(), nowMs: 1, unique: "u")
            for (epoch, codec) in [Compression.none, .lz4].enumerated() {
                _ = try log.appendAsLeader(
                    ByteBuffer(bytes: batch(codec, sequence: Int32(4 * epoch))),
                    leaderEpoch: Int32(epoch), nowMs: 1000, origin: .client)
            }
            try log.flush()
            try directory.writeCheckpoints()
        } catch {
            preconditionFailure("a folder cannot be made: \(error)")
        }
        // As `fuzzSegmentRecovery` numbers them.
        let kinds: [(String, UInt8)] = [
            (".log", 0), (".index", 4), (".timeindex", 8), (".snapshot", 16),
            ("leader-epoch-checkpoint", 20), ("partition.metadata", 21),
            ("recovery-point-offset-checkpoint", 22),
        ]
        let files = disk.paths.compactMap { path -> [UInt8]? in
            guard let kind = kinds.first(where: { path.hasSuffix($0.0) }), let bytes = disk[path]
            else { return nil }
            return FuzzScript.step(kind.1, 0, Array(buffer: bytes))
        }
        let small = files.filter { $0.count < 2000 }
        return [small.flatMap { $0 }] + small
    }()

    static let propertyWords = [
        "node.id=", "process.roles=", "controller.quorum.voters=", "listeners=", "log.dir=",
        "broker,controller", "PLAINTEXT://", "CONTROLLER://", "\\u0041", "\\\n", "\\:", "version=1",
        "cluster.id=", "directory.id=", "1@h:9093", "99999999999999999999", "-1", "true", ",",
        "compact,delete", "advertised.listeners=", "min.insync.replicas=", "[::1]:9092",
    ]

    static let properties = [
        """
        # a node
        node.id=1
        process.roles=broker,controller
        controller.quorum.voters=1@h:9093,2@[::1]:9093
        listeners=PLAINTEXT://h:9092,CONTROLLER://:9093
        log.dir=/d
        broker.rack = west\\
           ern
        """,
        "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=AAAAAAAAAAEAAAAAAAAAAg\n",
    ].map { Array($0.utf8) }
}
