import Addresses
import SliceDirectory
import SliceModel
import Testing
import Timing

@Suite struct StoreTests {
    private func sample() throws -> [DirectoryStore.Cluster] {
        let service = try Sample.service("kafka/kafka")
        return [
            DirectoryStore.Cluster(
                name: try #require(ClusterName("east")), incarnation: 2, version: 9,
                isPartial: false,
                items: [
                    .endpoint(try Sample.endpoint("kafka/a", "10.80.2.2"), since: 1),
                    .service(service, ports: [], importedBy: nil),
                    .member(service, try Sample.member("a")),
                ]),
            DirectoryStore.Cluster(
                name: try #require(ClusterName("west")), incarnation: 1, version: 0,
                isPartial: true, items: []),
        ]
    }

    @Test func itComesBack() throws {
        let slice = try #require(SliceName("pay"))
        let bytes = DirectoryStore.encode(slice, try sample())
        #expect(try DirectoryStore.decode(bytes, of: slice) == sample())
        for count in 0..<bytes.count {
            #expect(throws: WireProblem.self) {
                try DirectoryStore.decode(Array(bytes[..<count]), of: slice)
            }
        }
        #expect(throws: WireProblem.trailing) {
            try DirectoryStore.decode(bytes + [0], of: slice)
        }
        #expect(throws: WireProblem.badValue("slice")) {
            try DirectoryStore.decode(bytes, of: try #require(SliceName("other")))
        }
        #expect(throws: WireProblem.badValue("order of clusters")) {
            try DirectoryStore.decode(
                DirectoryStore.encode(slice, try sample().reversed()), of: slice)
        }
    }

    @Test func limitsHold() throws {
        let slice = try #require(SliceName("pay"))
        var limits = DirectoryLimits()
        (limits.endpoints, limits.services, limits.members) = (1, 1, 0)
        let bytes = DirectoryStore.encode(slice, try sample())
        #expect(throws: WireProblem.tooMany("records")) {
            try DirectoryStore.decode(bytes, of: slice, limits: limits)
        }
    }
}
