import Addresses
import ConfigFile

// The book on disk. JSON in form, one lease a line, so that both a person and a tool can read
// it, and any YAML reader too, ours included.

extension AddressBook {
    package static let fileVersion = 1

    package var fileText: String {
        var text = "{\"version\": \(Self.fileVersion),\n \"leases\": ["
        for (index, lease) in all.enumerated() {
            text += index == 0 ? "\n" : ",\n"
            let addresses = lease.addresses.map { "\"\($0)\"" }.joined(separator: ", ")
            text += "  {\"namespace\": \"\(lease.key.namespace)\", "
            text += "\"endpoint\": \"\(lease.key.endpoint)\", \"addresses\": [\(addresses)], "
            text += "\"attached\": \(lease.isAttached), \"step\": \(lease.step)}"
        }
        return text + "\n ]}\n"
    }

    /// The book as it was, on today's prefixes. Leases that do not fit them are dropped and
    /// returned. A damaged file is an error: starting empty would hand out addresses in use.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, file: String, prefixes: [IPPrefix], limit: Int = 4096
    ) throws(ConfigProblems) -> (book: AddressBook, dropped: [Lease]) {
        let limits = ConfigLimits(bytes: 32 << 20, depth: 4, nodes: 2 << 20)
        let leases = try fileType.readDocument(bytes, file: file, limits: limits)
        var book = AddressBook(prefixes: prefixes, limit: limit)
        var dropped: [Lease] = []
        for lease in leases where !book.restore(lease) { dropped.append(lease) }
        return (book, dropped)
    }

    private static var fileType: ConfigType<[Lease]> {
        .object { object in
            _ = object.required("version", ConfigType<Int>.int(fileVersion...fileVersion))
            guard
                let leases = object.required(
                    "leases", .list(of: leaseType.located, atMost: 65536))
            else { return nil }
            var keys: Set<Key> = []
            var addresses: Set<IPAddress> = []
            for lease in leases {
                if !keys.insert(lease.value.key).inserted {
                    object.log.report(lease, "`\(lease.value.key)` is here twice")
                }
                for address in lease.value.addresses where !addresses.insert(address).inserted {
                    object.log.report(lease, "\(address) is here twice")
                }
            }
            return leases.map(\.value)
        }
    }

    private static var leaseType: ConfigType<Lease> {
        .object { object in
            let namespace: NamespaceName? = object.required("namespace", .name)
            let endpoint: EndpointName? = object.required("endpoint", .name)
            let addresses = object.required(
                "addresses", .list(of: ConfigType<IPAddress>.address, atLeast: 1, atMost: 2))
            let attached = object.required("attached", .bool)
            let step = object.required("step", ConfigType<UInt64>.int(0...UInt64.max / 4))
            guard let namespace, let endpoint, let addresses, let attached, let step else {
                return nil
            }
            return Lease(
                key: Key(namespace, endpoint), addresses: addresses, isAttached: attached,
                step: step)
        }
    }
}
