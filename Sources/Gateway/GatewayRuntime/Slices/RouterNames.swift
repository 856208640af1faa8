import Noise
import SliceModel

/// Names and hardware addresses of what a slice makes in the kernel. All follow from the slice's
/// and the endpoint's names, so that a daemon that was killed finds its things again.
package enum RouterNames {
    /// What the aliases of our interfaces begin with.
    package static let aliasPrefix = "slice-gateway "

    package static func namespace(prefix: String, slice: SliceName) -> String {
        prefix + slice.text
    }

    /// The TUN device, called like its namespace. `wg show` finds it by this name on the whole
    /// machine, where namespaces have different names.
    package static func tunnel(namespace: String) -> String { interface(namespace) }

    /// What an endpoint sees: an interface called like the slice.
    package static func endpointInterface(slice: SliceName) -> String { interface(slice.text) }

    /// The end of an endpoint's veth in the router namespace.
    package static func port(namespace: String, _ key: AddressBook.Key) -> String {
        "ep" + hex(digest("port", namespace, key.description).prefix(6))
    }

    package static func tunnelAlias(_ slice: SliceName) -> String {
        "\(aliasPrefix)\(slice)"
    }

    package static func portAlias(_ slice: SliceName, _ key: AddressBook.Key) -> String {
        "\(aliasPrefix)\(slice)/\(key)"
    }

    /// Locally administered and unicast (IEEE 802, section 8.2 of the overview standard).
    package static func hardwareAddress(
        namespace: String, _ key: AddressBook.Key, routerSide: Bool
    ) -> [UInt8] {
        let side = routerSide ? "router" : "endpoint"
        return [0x02] + digest("mac", namespace, key.description, side).prefix(5)
    }

    /// Interface names have 15 bytes: longer ones are cut, and told apart by a digest.
    private static func interface(_ name: String) -> String {
        guard name.utf8.count > 15 else { return name }
        let start = String(decoding: name.utf8.prefix(9), as: UTF8.self)
        return start + "-" + hex(digest("interface", name).prefix(3)).prefix(5)
    }

    private static func digest(_ parts: String...) -> [UInt8] {
        var hash = BLAKE2s()
        for part in parts {
            // Each with its length, or "a" "bc" would be "ab" "c".
            hash.update([UInt8(truncatingIfNeeded: part.utf8.count)])
            hash.update(Array(part.utf8))
        }
        return hash.finish()
    }

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
