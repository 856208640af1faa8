import KafkaWire
import Metadata
import NIOCore
import Testing

@Suite struct RecordTests {
    static let id = KafkaUUID(high: 1, low: 2)

    /// One of each, with values that are not the defaults.
    static let every: [MetadataRecord] = [
        .registerBroker(
            .init(
                brokerId: 3, incarnationId: id, brokerEpoch: 17,
                endPoints: [.init(name: "PLAINTEXT", host: "h", port: 9_092, securityProtocol: 1)],
                features: [
                    .init(name: "metadata.version", minSupportedVersion: 1, maxSupportedVersion: 25)
                ], rack: nil, fenced: false, inControlledShutdown: true, logDirs: [id])),
        .unregisterBroker(.init(brokerId: 3, brokerEpoch: 17)),
        .fenceBroker(.init(id: 3, epoch: 17)), .unfenceBroker(.init(id: 3, epoch: 17)),
        .brokerRegistrationChange(
            .init(
                brokerId: 3, brokerEpoch: 17, fenced: -1, inControlledShutdown: 1, logDirs: [id])),
        .registerController(
            .init(
                controllerId: 1, incarnationId: id,
                endPoints: [.init(name: "C", host: "h", port: 9_093)],
                features: [
                    .init(name: "kraft.version", minSupportedVersion: 0, maxSupportedVersion: 1)
                ])),
        .topic(.init(name: "orders", topicId: id)), .removeTopic(.init(topicId: id)),
        .partition(
            .init(
                partitionId: 4, topicId: id, replicas: [1, 2, 3], isr: [1, 2],
                removingReplicas: [3], addingReplicas: [2], leader: 1, leaderRecoveryState: 1,
                leaderEpoch: 5, partitionEpoch: 9, directories: [id, id, id],
                eligibleLeaderReplicas: [3], lastKnownElr: [2])),
        .partitionChange(
            .init(
                partitionId: 4, topicId: id, isr: [], leader: -1, replicas: [1],
                removingReplicas: [], addingReplicas: [2], leaderRecoveryState: 0,
                directories: [id], eligibleLeaderReplicas: [1], lastKnownElr: [])),
        .clearElr(.init(topicName: "orders")),
        .config(.init(resourceType: 2, resourceName: "orders", name: "a", value: nil)),
        .featureLevel(.init(name: "metadata.version", featureLevel: 25)),
        .producerIds(.init(brokerId: 3, brokerEpoch: 17, nextProducerId: 2_000)),
        .clientQuota(
            .init(
                entity: [.init(entityType: "user", entityName: nil)], key: "producer_byte_rate",
                value: 1.5, remove: false)),
        .accessControlEntry(
            .init(
                id: id, resourceType: 2, resourceName: "*", patternType: 3, principal: "User:a",
                host: "*", operation: 3, permissionType: 3)),
        .removeAccessControlEntry(.init(id: id)),
        .userScramCredential(
            .init(
                name: "a", mechanism: 1, salt: ByteBuffer(string: "s"),
                storedKey: ByteBuffer(string: "k"), serverKey: ByteBuffer(string: "v"),
                iterations: 4_096)),
        .removeUserScramCredential(.init(name: "a", mechanism: 1)),
        .delegationToken(.init(owner: "User:a", requester: "User:a", tokenId: "t")),
        .removeDelegationToken(.init(tokenId: "t")), .zkMigrationState(.init(zkMigrationState: 0)),
        .beginTransaction(.init(name: "n")), .endTransaction(.init()),
        .abortTransaction(.init(reason: "r")), .noOp(.init()),
    ]

    @Test(arguments: every)
    func everyRecordComesBack(record: MetadataRecord) throws {
        #expect(try MetadataRecord(decoding: record.encoded()) == record)
    }

    @Test func frameIsKafkas() {
        // frame version 1, API key 12, version 0, "metadata.version" with its length and one, level
        // 25, no tags.
        let bytes = MetadataRecord.featureLevel(
            .init(name: "metadata.version", featureLevel: 25)
        ).encoded()
        #expect(
            Array(bytes.readableBytesView)
                == [1, 12, 0, 17] + Array("metadata.version".utf8) + [0, 25, 0])
    }

    @Test func versionsFollowTheClusters() {
        func version(_ record: MetadataRecord, _ level: Int16) -> UInt8? {
            let view = record.encoded(for: MetadataVersion(level: level)).readableBytesView
            return view.dropFirst(2).first
        }
        #expect(version(.partition(.init()), 22) == 1)
        #expect(version(.partition(.init()), 23) == 2)
        #expect(version(.partitionChange(.init()), 22) == 1)
        #expect(version(.partitionChange(.init()), 25) == 2)
        #expect(version(.registerBroker(.init()), 25) == 3)
        #expect(version(.brokerRegistrationChange(.init()), 25) == 2)
        #expect(version(.topic(.init()), 25) == 0)
    }

    @Test func everyTruncationIsRefused() {
        for record in Self.every {
            let whole = record.encoded()
            for length in 0..<whole.readableBytes {
                guard let part = whole.getSlice(at: 0, length: length) else { continue }
                #expect(throws: MetadataError.self) { try MetadataRecord(decoding: part) }
            }
        }
    }

    @Test func strangersAreRefused() {
        func error(_ bytes: [UInt8]) -> MetadataError? {
            do throws(MetadataError) {
                _ = try MetadataRecord(decoding: ByteBuffer(bytes: bytes))
                return nil
            } catch { return error }
        }
        #expect(error([0, 20, 0, 0]) == .unknownFrame(0))
        #expect(error([2, 20, 0, 0]) == .unknownFrame(2))
        #expect(error([1, 99, 0, 0]) == .unknownRecord(apiKey: 99, version: 0))
        #expect(error([1, 20, 0, 0, 7, 7]) == .trailingBytes(apiKey: 20, count: 2))
        #expect(error([1, 0xFF, 0xFF, 0x7F, 0]) == .unknownRecord(apiKey: -1, version: -1))
        #expect(error([]) != nil)
        // A version of a known record that this software does not know.
        #expect(error([1, 20, 1, 0]) != nil)
    }

    /// Random bytes and damaged records: an error or a record, never a trap; and what can be read
    /// can be applied or is refused.
    @Test func damagedBytes() {
        var random = TestRandom(7)
        let whole = Self.every.map { Array($0.encoded().readableBytesView) }
        for _ in 0..<20_000 {
            var bytes = whole.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            guard let record = try? MetadataRecord(decoding: ByteBuffer(bytes: bytes)) else {
                continue
            }
            var image = MetadataImage()
            var changes: [MetadataChange] = []
            for start in [MetadataRecord.topic(.init(name: "orders", topicId: Self.id)), record] {
                try? image.apply(start, into: &changes)
            }
            if case .partition(let r) = record { #expect(image.partitionCount <= 1, "\(r)") }
        }
    }

    /// The entry for fuzzers, with damaged sequences of every record.
    @Test func fuzzEntry() {
        var random = TestRandom(17)
        let whole = Self.every.map { Array($0.encoded().readableBytesView) }
        for round in 0..<2_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let record = whole.randomElement(using: &random) ?? []
                bytes += [UInt8(clamping: record.count)] + record
            }
            for _ in 0..<round % 4 {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            bytes.withUnsafeBytes(fuzzMetadataRecords)
        }
    }
}
