import CSodium
import ConfigFile

/// The bytes a manifest's signature covers.
///
/// They come from the generic tree, not from the manifest's fields, so that no field, present or
/// future, can be left out; and from the tree's values, not from the text, so that comments,
/// formatting, key order and a journey through JSON leave the signature alone. Every value is
/// preceded by its kind and length, so that two trees never have the same bytes:
///
///     null    n
///     scalar  s  length as 8 bytes, big-endian  UTF-8
///     list    l  count as 8 bytes               items
///     map     m  count as 8 bytes               key (as a scalar), value, ... by key bytes
///
/// A scalar's quotes are formatting. That is safe because each field has one type: `"3"` is
/// refused where 3 is meant, never taken for something else.
package enum ManifestEncoding {
    /// Keeps these signatures apart from any other use of the owner's key.
    static let domain = "slice-gateway.dev manifest signature v1\n"

    package static func signedBytes(of root: ConfigNode) -> [UInt8] {
        var bytes = Array(domain.utf8)
        let fields = ["apiVersion", "kind", "metadata", "spec"].compactMap { name in
            // Even without any metadata: a map without a name.
            name == "metadata" ? (name, root[name]) : root[name].map { (name, $0) }
        }
        appendMap(of: fields.count, to: &bytes)
        for (name, value) in fields {
            appendScalar(name, to: &bytes)
            if name != "metadata", let value {
                append(value, to: &bytes)
                continue
            }
            let given = value?["name"]
            appendMap(of: given == nil ? 0 : 1, to: &bytes)
            if let given {
                appendScalar("name", to: &bytes)
                append(given, to: &bytes)
            }
        }
        return bytes
    }

    /// Depth is bounded by the parser's limits, so recursion is too.
    static func append(_ node: ConfigNode, to bytes: inout [UInt8]) {
        switch node.content {
        case .null: bytes.append(UInt8(ascii: "n"))
        case .scalar(let text, _): appendScalar(text, to: &bytes)
        case .list(let items):
            appendList(of: items.count, to: &bytes)
            for item in items { append(item, to: &bytes) }
        case .map(let entries):
            appendMap(of: entries.count, to: &bytes)
            let names = entries.map { $0.name ?? "" }
            // Places are sorted, not nodes, which are larger.
            let order = names.indices.sorted {
                names[$0].utf8.lexicographicallyPrecedes(names[$1].utf8)
            }
            for index in order {
                appendScalar(names[index], to: &bytes)
                append(entries[index].value, to: &bytes)
            }
        }
    }

    /// As many items follow.
    static func appendList(of count: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "l"))
        appendCount(count, to: &bytes)
    }

    /// As many keys and values follow, in the order of the keys' bytes.
    static func appendMap(of count: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "m"))
        appendCount(count, to: &bytes)
    }

    static func appendScalar(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "s"))
        appendCount(text.utf8.count, to: &bytes)
        bytes += text.utf8
    }

    /// Before a length that two bytes hold, as nearly all are.
    private static let sixZeros = [UInt8](repeating: 0, count: 6)

    private static func appendCount(_ count: Int, to bytes: inout [UInt8]) {
        if count < 1 << 16 {
            bytes += sixZeros
            bytes.append(UInt8(truncatingIfNeeded: count >> 8))
            bytes.append(UInt8(truncatingIfNeeded: count))
            return
        }
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: UInt64(count) >> UInt64(shift)))
        }
    }

    /// BLAKE2b-256, without a key.
    static func digest(of message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = crypto_generichash(&digest, digest.count, message, UInt64(message.count), nil, 0)
        return digest
    }
}

/// Names the content of a manifest: BLAKE2b-256 of what its signature covers.
package struct ManifestDigest: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(of manifest: SliceManifest) {
        bytes = ManifestEncoding.digest(of: manifest.signedBytes)
    }

    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    package init?(_ base64: String) {
        guard base64.utf8.count == 44, let bytes = Base64.decode(base64) else { return nil }
        self.init(bytes: bytes)
    }

    package var description: String { Base64.encode(bytes) }
}
