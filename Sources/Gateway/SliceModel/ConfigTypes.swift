import CSodium
import ConfigFile
import Noise

// The types of this room as they are read from a file.

extension ConfigType where Value: SliceModelName {
    package static var name: ConfigType {
        ConfigType<String>.string(1...253)
            .checked { text in
                Value(text) == nil
                    ? "`\(printable(text))` is no \(Value.noun): it "
                        + (Value.self == Region.self ? NameRules.regionRule : NameRules.labelRule)
                    : nil
            }
            .compactMap { Value($0) }
    }
}

extension ConfigType {
    /// For transforms that a check before has already vouched for.
    func compactMap<Other>(_ transform: @escaping (Value) -> Other?) -> ConfigType<Other> {
        ConfigType<Other> { node, path, log in read(node, path, log).flatMap(transform) }
    }

    /// A key's text must not appear in a report: the user may have pasted the private one.
    static func key(_ what: String, _ parse: @escaping (String) -> Value?) -> ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, _) = node.content else {
                log.report(node.start, path, "must be \(what), not \(node.kind)")
                return nil
            }
            guard let value = parse(text) else {
                log.report(
                    node.start, path,
                    "is not \(what): it has \(text.utf8.count) characters, or they are damaged")
                return nil
            }
            return value
        }
    }
}

extension ConfigType where Value == PublicKey {
    package static var publicKey: ConfigType {
        .key("a WireGuard public key (44 characters of base64, from `slicectl pubkey`)") {
            PublicKey(base64: $0)
        }
        .checked {
            isLowOrder($0)
                ? "is a key of low order, with which nothing stays secret: make a new one" : nil
        }
    }

    /// RFC 7748 section 6.1: with such a point the shared secret is zero whoever multiplies.
    private static func isLowOrder(_ key: PublicKey) -> Bool {
        var shared = [UInt8](repeating: 0, count: PublicKey.size)
        let anyScalar = [UInt8](repeating: 0x48, count: PublicKey.size)
        return crypto_scalarmult_curve25519(&shared, anyScalar, key.bytes) != 0
    }
}

extension ConfigType where Value == OwnerPublicKey {
    package static var ownerKey: ConfigType {
        .key("an owner's public key (44 characters of base64, from `slicectl pubkey`)") {
            OwnerPublicKey($0)
        }
    }
}

extension ConfigType where Value == UnderlayEndpoint {
    package static var underlayEndpoint: ConfigType {
        .parsed(
            "an endpoint such as 192.0.2.1:51820, \"[2001:db8::1]:51820\" or gw.example.net:51820"
        ) { UnderlayEndpoint($0) }
    }
}

extension ConfigType where Value == String {
    /// An absolute path of a file or directory.
    package static var absolutePath: ConfigType {
        ConfigType.string(1...4095).checked {
            $0.utf8.first == 47
                ? nil : "`\(printable($0))` must be an absolute path: begin it with /"
        }
    }
}
