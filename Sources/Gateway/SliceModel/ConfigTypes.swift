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

extension ConfigType where Value == Glob {
    package static var glob: ConfigType {
        ConfigType<String>.string(1...253)
            .checked { text in
                Glob(text) == nil ? "`\(printable(text))` is no pattern: it \(Glob.rule)" : nil
            }
            .compactMap { Glob($0) }
    }
}

extension ConfigType where Value == [Glob] {
    /// One of them is enough. None at all would match nothing, which nobody means.
    package static var globs: ConfigType {
        .list(of: .glob, atLeast: 1, atMost: ManifestLimits.globs)
    }
}

extension ConfigType where Value == [EndpointSelector.LabelMatch] {
    /// `{role: "client*"}`, in the order of keys.
    package static var labelMatches: ConfigType {
        let matches = ConfigType<[(key: Located<String>, value: Glob)]>.map(
            of: .labelWord, to: .glob, atMost: ManifestLimits.labels)
        return ConfigType { node, path, log in
            if case .map(let entries) = node.content, entries.isEmpty {
                log.report(node.start, path, "needs at least 1 label")
            }
            return matches.read(node, path, log).map { found in
                found.map { EndpointSelector.LabelMatch(key: $0.key.value, value: $0.value) }
                    .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            }
        }
    }
}

extension ConfigType where Value == EndpointLabels {
    /// `{role: broker}`.
    package static var labels: ConfigType {
        ConfigType<[(key: Located<String>, value: String)]>.map(
            of: .labelWord, to: .labelWord, atMost: EndpointLabels.limit
        )
        .compactMap { pairs in
            EndpointLabels(
                Dictionary(pairs.map { ($0.key.value, $0.value) }, uniquingKeysWith: { a, _ in a }))
        }
    }
}

extension ConfigType where Value == PortMatch {
    package static var portMatch: ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, _) = node.content else {
                log.report(node.start, path, "must be such as tcp/9092, not \(node.kind)")
                return nil
            }
            if let match = PortMatch(text) { return match }
            let why = text.hasPrefix("icmp/") ? ": icmp has no ports" : ""
            log.report(
                node.start, path,
                "`\(printable(text))` is not understood\(why); it \(PortMatch.rule)")
            return nil
        }
    }
}

extension ConfigType where Value == String {
    /// A label's name or value.
    package static var labelWord: ConfigType {
        ConfigType.string(1...253).checked {
            EndpointLabels.isWord($0)
                ? nil : "`\(printable($0))` is no part of a label, which \(EndpointLabels.rule)"
        }
    }

    /// For people: one line, nothing that a terminal would obey or hide.
    package static func remark(_ length: ClosedRange<Int>) -> ConfigType {
        ConfigType.string(length).checked { text in
            printable(text, limit: .max) == text
                ? nil : "holds an invisible character or one that turns the direction: remove it"
        }
    }

    /// An absolute path of a file or directory.
    package static var absolutePath: ConfigType {
        ConfigType.string(1...4095).checked {
            $0.utf8.first == 47
                ? nil : "`\(printable($0))` must be an absolute path: begin it with /"
        }
    }
}
