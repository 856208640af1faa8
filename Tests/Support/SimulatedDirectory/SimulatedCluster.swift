import Addresses
import SimulatedWorld
import SliceDirectory
import SliceModel
import Timing

/// Names and numbers of simulated clusters: cluster n has 10.(n / 256).(n % 256).0/24 and, after
/// the manifest has moved it, the same in 11.0.0.0/8.
package enum SimulatedSlice {
    package static let name = named(SliceName.self, "sim")

    package static func named<Name: SliceModelName>(_ type: Name.Type, _ text: String) -> Name {
        guard let name = Name(text) else { preconditionFailure("\(text) is no \(Name.noun)") }
        return name
    }

    package static func cluster(_ number: Int) -> ClusterName {
        named(ClusterName.self, "c\(number)")
    }

    package static func prefix(_ number: Int, isMoved: Bool = false) -> IPPrefix {
        let address = IPv4Address(UInt32(isMoved ? 11 : 10) << 24 | UInt32(number) << 8)
        guard let prefix = IPPrefix(.v4(address), length: 24) else {
            preconditionFailure("24 bits are a prefix")
        }
        return prefix
    }

    package static func address(_ number: Int, _ host: Int, isMoved: Bool = false) -> IPAddress {
        .v4(IPv4Address(UInt32(isMoved ? 11 : 10) << 24 | UInt32(number) << 8 | UInt32(host)))
    }

    package static func key(_ number: Int) -> AddressBook.Key {
        AddressBook.Key(
            named(NamespaceName.self, "ns\(number % 3)"), named(EndpointName.self, "e\(number)"))
    }

    package static func service(_ number: Int) -> ServiceRecord.Key {
        ServiceRecord.Key(
            named(NamespaceName.self, "ns\(number % 3)"), named(ServiceName.self, "s\(number)"))
    }
}

/// What a simulated manifest says: which clusters have moved.
package struct SimulatedManifest: Hashable, Sendable {
    package var version: UInt64
    package var moved: Set<Int>
    package let count: Int
    /// Bytes of its document.
    package let size: Int

    package init(version: UInt64, moved: Set<Int>, count: Int, size: Int) {
        self.version = version
        self.moved = moved
        self.count = count
        self.size = size
    }

    package func slice(of local: Int) -> DirectorySlice {
        let clusters = (0..<count).map { number in
            DirectorySlice.Cluster(
                name: SimulatedSlice.cluster(number),
                prefixes: [SimulatedSlice.prefix(number, isMoved: moved.contains(number))],
                // Gateways' addresses stay: streams then go on across the change.
                addresses: [SimulatedSlice.address(number, 1)])
        }
        return DirectorySlice(
            name: SimulatedSlice.name, local: clusters[local],
            others: clusters.filter { $0.name != clusters[local].name })
    }

    package var document: [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: UInt64($0) &* 7 &+ version) }
    }

    package var digest: DirectoryDigest {
        guard let digest = DirectoryDigest(bytes: (0..<32).map { UInt8($0) &+ UInt8(version) })
        else { preconditionFailure("32 bytes are a digest") }
        return digest
    }
}

/// What one cluster has attached; changes of it are what a simulation is about.
package struct SimulatedRecords: Sendable {
    package var endpoints: [AddressBook.Key: EndpointRecord] = [:]
    package var services: [ServiceRecord.Key: ServiceRecord] = [:]

    package init() {}

    package var sortedEndpoints: [EndpointRecord] { endpoints.values.sorted { $0.key < $1.key } }
    package var sortedServices: [ServiceRecord] { services.values.sorted { $0.key < $1.key } }
}
