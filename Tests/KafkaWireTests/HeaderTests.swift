import KafkaWire
import NIOCore
import Testing

@Suite struct HeaderTests {
    @Test(arguments: [
        (ApiKey.produce, Int16(8), Int16(1), Int16(0)), (.produce, 9, 2, 1), (.produce, 99, 2, 1),
        (.fetch, 11, 1, 0), (.fetch, 12, 2, 1), (.offsetDelete, 0, 1, 0),
        // The response header of ApiVersions has no tagged fields in any version (KIP-511).
        (.apiVersions, 0, 1, 0), (.apiVersions, 3, 2, 0), (.apiVersions, 4, 2, 0),
        (.apiVersions, 9, 2, 0),
        (.vote, 0, 2, 1), (.brokerRegistration, 0, 2, 1), (.saslHandshake, 1, 1, 0),
    ])
    func headerVersions(key: ApiKey, version: Int16, request: Int16, response: Int16) {
        #expect(HeaderVersion.request(apiKey: key.rawValue, version: version) == request)
        #expect(HeaderVersion.response(apiKey: key.rawValue, version: version) == response)
    }

    @Test func unknownApisHaveTheOldestHeader() {
        #expect(HeaderVersion.request(apiKey: 999, version: 9) == 1)
        #expect(HeaderVersion.response(apiKey: 999, version: 9) == 0)
        #expect(ApiKey(rawValue: 4) == nil)
    }

    /// The client id is plain in the flexible header too (KIP-482).
    @Test func theClientIdIsNeverCompact() throws {
        let bytes = buffer("0012 0003 00000007 0002 6b63 00")
        let header = try RequestHeader(bytes, version: 2)
        #expect(
            header
                == RequestHeader(
                    requestApiKey: 18, requestApiVersion: 3, correlationId: 7, clientId: "kc"))
        #expect(header.encoded(version: 2) == bytes)
        #expect(try RequestHeader(buffer("0012 0003 00000007 ffff 00"), version: 2).clientId == nil)
        #expect(ResponseHeader(correlationId: 7).encoded(version: 0) == buffer("00000007"))
        #expect(ResponseHeader(correlationId: 7).encoded(version: 1) == buffer("00000007 00"))
    }

    @Test func oneReaderTakesHeaderAndRequest() throws {
        var writer = WireWriter()
        RequestHeader(requestApiKey: 18, requestApiVersion: 3, correlationId: 7, clientId: nil)
            .encode(to: &writer, version: 2)
        ApiVersionsRequest(clientSoftwareName: "a", clientSoftwareVersion: "1")
            .encode(to: &writer, version: 3)
        var reader = WireReader(writer.finishInOneBuffer())
        #expect(try RequestHeader(from: &reader, version: 2).requestApiKey == 18)
        #expect(try ApiVersionsRequest(from: &reader, version: 3).clientSoftwareName == "a")
        #expect(reader.remaining == 0)
    }

    @Test func keysKnowTheirMessages() {
        for type in KafkaMessages.all {
            let key: Int16
            switch type {
            case let type as any KafkaRequest.Type: key = type.apiKey
            case let type as any KafkaResponse.Type: key = type.apiKey
            default: continue
            }
            let api = ApiKey(rawValue: key)
            #expect(api?.validVersions == type.validVersions, "\(type)")
            #expect(api?.flexibleVersions == type.flexibleVersions, "\(type)")
            #expect("\(type)".hasPrefix(api?.name ?? "-"))
        }
        #expect(ApiKey.allCases.count == 75)
    }

    /// Old librdkafka takes a broker that does not offer Produce 0 for one without compression,
    /// and one without JoinGroup 0 for one without groups.
    @Test func advertisedVersionsMindOldClients() {
        #expect(ApiKey.produce.advertisedVersions == 0...13)
        #expect(ApiKey.produce.validVersions == 3...13)
        #expect(ApiKey.joinGroup.advertisedVersions == 0...9)
        #expect(ApiKey.fetch.advertisedVersions == 4...18)
        #expect(ApiKey.fetch.isServedByControllers)
        #expect(ApiKey.fetch.isServedByBrokers)
        #expect(!ApiKey.vote.isServedByBrokers)
        #expect(!ApiKey.produce.isServedByControllers)
    }
}
