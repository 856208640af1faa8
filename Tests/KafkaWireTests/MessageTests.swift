import KafkaWire
import NIOCore
import Testing

@Suite struct MessageTests {
    @Test func vectorsCoverEveryMessageInEveryVersion() {
        let expected = KafkaMessages.all.reduce(0) { $0 + $1.validVersions.count }
        #expect(Vector.all.count == expected)
        #expect(expected > 400)
    }

    @Test func vectorsComeOutAsTheyWentIn() throws {
        for vector in Vector.all {
            var reader = WireReader(vector.bytes)
            let message = try vector.type.init(from: &reader, version: vector.version)
            #expect(reader.remaining == 0, "\(vector.type) \(vector.version)")
            let again = message.encoded(version: vector.version)
            #expect(again == vector.bytes, "\(vector.type) \(vector.version)")
        }
    }

    @Test func everyPrefixIsAnError() {
        for vector in Vector.all {
            for length in 0..<vector.bytes.readableBytes {
                guard let prefix = vector.bytes.getSlice(at: 0, length: length) else { continue }
                #expect(throws: WireError.self, "\(vector.type) \(vector.version) \(length)") {
                    _ = try vector.type.init(prefix, version: vector.version)
                }
            }
        }
    }

    @Test func versionsThatAreNotThereAreRefused() {
        for type in KafkaMessages.all {
            for version in [type.validVersions.lowerBound - 1, type.validVersions.upperBound + 1] {
                let error = WireError.unsupportedVersion(message: "\(type)", version: version)
                #expect(throws: error) {
                    _ = try type.init(ByteBuffer(repeating: 0, count: 64), version: version)
                }
            }
        }
    }

    /// No change of a message may do more than be refused, or come out the same twice.
    @Test func damagedMessagesDoNotTrap() {
        var random = SplitMix64(state: 42)
        for (index, vector) in Vector.all.enumerated() {
            let place = KafkaMessages.all.firstIndex { $0 == vector.type } ?? 0
            let version = vector.version - vector.type.validVersions.lowerBound
            // A first byte of 0 stands for a request with its header.
            let head = [UInt8(place == 0 ? KafkaMessages.all.count : place), UInt8(version)]
            for _ in 0..<40 {
                var bytes = head + vector.bytes.readableBytesView
                for _ in 0..<Int.random(in: 1...3, using: &random) where bytes.count > 2 {
                    let at = Int.random(in: 2..<bytes.count, using: &random)
                    bytes[at] =
                        [0, 1, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &random)]
                        .randomElement(using: &random) ?? 0
                }
                bytes.withUnsafeBytes { fuzzKafkaRequest($0) }
            }
            guard index % 8 == 0 else { continue }
            var noise = [0, 0] as [UInt8]
            for _ in 0..<60 { noise.append(UInt8.random(in: 0...255, using: &random)) }
            noise[2] = 0
            noise[3] %= 84
            noise[4] = 0
            noise[5] %= 8
            noise.withUnsafeBytes { fuzzKafkaRequest($0) }
        }
    }

    @Test func unknownTagsAreSkipped() throws {
        // A Heartbeat of version 4: group "g", generation 7, member "m", no instance id, and the
        // tagged fields 0 of one byte and 300 of none, of which we know nothing.
        let bytes = buffer("0267 00000007 026d 00 02 00 01 aa ac02 00")
        let request = try HeartbeatRequest(bytes, version: 4)
        #expect(request == HeartbeatRequest(groupId: "g", generationId: 7, memberId: "m"))
        #expect(request.encoded(version: 4) == buffer("0267 00000007 026d 00 00"))
    }

    @Test func tagsOfLaterVersionsAreSkipped() throws {
        // Tag 1 of a Fetch request is the replica's state from version 15 on.
        var request = FetchRequest(replicaId: 3, replicaState: .init(replicaId: 3, replicaEpoch: 9))
        var bytes = request.encoded(version: 15)
        #expect(try FetchRequest(bytes, version: 15).replicaState.replicaEpoch == 9)
        request.replicaState = .init()
        bytes = request.encoded(version: 14)
        bytes.moveWriterIndex(to: bytes.writerIndex - 1)
        bytes.writeBytes(hexadecimal("01 01 0d 00000003 0000000000000009 00"))
        #expect(try FetchRequest(bytes, version: 14) == request)
    }

    @Test func aTagMustTakeTheBytesThatItSays() {
        // Tag 0 of a Fetch request of version 12 is the cluster id: "ab" takes three bytes.
        let start = "ffffffff 00000000 00000000 00000000 00 00000000 ffffffff 01 01 01"
        #expect(throws: Never.self) {
            _ = try FetchRequest(buffer(start + "01 00 03 036162"), version: 12)
        }
        for tag in ["01 00 04 036162 00", "01 00 02 036162"] {
            #expect(throws: WireError.self) {
                _ = try FetchRequest(buffer(start + tag), version: 12)
            }
        }
    }

    @Test func fieldsOfOtherVersionsKeepTheirDefaults() throws {
        let full = FetchRequest(maxWaitMs: 5, sessionId: 9, sessionEpoch: 4, rackId: "west")
        let read = try FetchRequest(full.encoded(version: 4), version: 4)
        #expect(read == FetchRequest(maxWaitMs: 5))
        #expect(read.sessionEpoch == -1)
    }

    @Test func nullWhereTheVersionHasNoneIsEmpty() throws {
        let all = MetadataRequest(topics: nil)
        #expect(try MetadataRequest(all.encoded(version: 0), version: 0).topics == [])
        #expect(try MetadataRequest(all.encoded(version: 1), version: 1).topics == nil)
        #expect(throws: WireError.unexpectedNull(at: 4)) {
            _ = try MetadataRequest(buffer("ffffffff"), version: 0)
        }
    }

    @Test func longTaggedFieldsKeepTheirBytes() throws {
        // Node endpoints of a Fetch response take more than the 127 bytes of a one-byte size.
        let nodes = (0..<40).map { number in
            FetchResponse.NodeEndpoint(nodeId: number, host: "host", port: 9092, rack: "west")
        }
        let response = FetchResponse(sessionId: 1, nodeEndpoints: nodes)
        let bytes = response.encoded(version: 16)
        #expect(try FetchResponse(bytes, version: 16) == response)
    }

    @Test func coordinatorsRecordsCarryTheirVersion() throws {
        let key = OffsetCommitKey(group: "g", topic: "t", partition: 3)
        let bytes = key.versionPrefixed(version: 1)
        #expect(bytes == buffer("0001 0001 67 0001 74 00000003"))
        #expect(try OffsetCommitKey(versionPrefixed: bytes) == key)
        #expect(throws: WireError.self) { _ = try GroupMetadataKey(versionPrefixed: bytes) }
    }

    @Test func recordsAreSlicesOfTheRequest() throws {
        let records = ByteBuffer(repeating: 7, count: 10_000)
        let request = ProduceRequest(
            acks: -1, timeoutMs: 1000,
            topicData: [
                .init(name: "t", partitionData: [.init(index: 1, records: .bytes(records))])
            ])
        let bytes = request.encoded(version: 9)
        let read = try ProduceRequest(bytes, version: 9)
        let slice = try #require(read.topicData.first?.partitionData.first?.records?.bytes)
        #expect(slice == records)
        let (whole, part) = (
            bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) },
            slice.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        )
        #expect(part > whole && part < whole + UInt(bytes.readableBytes))
    }
}
