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
        appendMap(
            [
                ("apiVersion", root["apiVersion"].map(encoded)),
                ("kind", root["kind"].map(encoded)),
                ("metadata", encodedMap([("name", root["metadata"]?["name"].map(encoded))])),
                ("spec", root["spec"].map(encoded)),
            ], to: &bytes)
        return bytes
    }

    /// Depth is bounded by the parser's limits, so recursion is too.
    static func encoded(_ node: ConfigNode) -> [UInt8] {
        switch node.content {
        case .null: return [UInt8(ascii: "n")]
        case .scalar(let text, _):
            var bytes: [UInt8] = []
            appendScalar(text, to: &bytes)
            return bytes
        case .list(let items):
            var bytes = [UInt8(ascii: "l")]
            appendCount(items.count, to: &bytes)
            for item in items { bytes += encoded(item) }
            return bytes
        case .map(let entries):
            return encodedMap(entries.map { ($0.name ?? "", encoded($0.value)) })
        }
    }

    private static func encodedMap(_ fields: [(String, [UInt8]?)]) -> [UInt8] {
        var bytes: [UInt8] = []
        appendMap(fields, to: &bytes)
        return bytes
    }

    private static func appendMap(_ fields: [(String, [UInt8]?)], to bytes: inout [UInt8]) {
        let present = fields.compactMap { name, value in value.map { (name, $0) } }
            .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        bytes.append(UInt8(ascii: "m"))
        appendCount(present.count, to: &bytes)
        for (name, value) in present {
            appendScalar(name, to: &bytes)
            bytes += value
        }
    }

    private static func appendScalar(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "s"))
        appendCount(text.utf8.count, to: &bytes)
        bytes += text.utf8
    }

    private static func appendCount(_ count: Int, to bytes: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: UInt64(count) >> UInt64(shift)))
        }
    }
}

/// Names the content of a manifest: BLAKE2b-256 of what its signature covers.
package struct ManifestDigest: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(of manifest: SliceManifest) {
        var digest = [UInt8](repeating: 0, count: 32)
        let message = manifest.signedBytes
        _ = crypto_generichash(&digest, digest.count, message, UInt64(message.count), nil, 0)
        bytes = digest
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
