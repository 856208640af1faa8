import ConfigFile

/// `signature: {key, value}` at the end of a manifest.
package struct ManifestSignature: Hashable, Sendable {
    /// Which owner says to have signed.
    package var key: OwnerPublicKey
    /// 64 bytes: Ed25519, detached.
    package var value: [UInt8]

    package init(key: OwnerPublicKey, value: [UInt8]) {
        self.key = key
        self.value = value
    }

    static var type: ConfigType<ManifestSignature> {
        .object { object in
            let key = object.required("key", .ownerKey)
            let value = object.required(
                "value",
                ConfigType<[UInt8]>.key(
                    "a signature (88 characters of base64); sign again with `slicectl slice sign`"
                ) { text in
                    Base64.decode(text).flatMap { $0.count == 64 ? $0 : nil }
                })
            guard let key, let value else { return nil }
            return ManifestSignature(key: key, value: value)
        }
    }
}

/// Why a manifest's signature does not count.
package enum SignatureProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case unsigned
    case otherOwner(OwnerPublicKey)
    case changedAfterSigning

    package var description: String {
        switch self {
        case .unsigned:
            "the manifest is not signed: have its owner run `slicectl slice sign`"
        case .otherOwner(let key):
            "the manifest is signed by \(key), which is not the owner that gateway.conf names"
        case .changedAfterSigning:
            "the manifest was changed after it was signed: have its owner look at the change and "
                + "run `slicectl slice sign` again"
        }
    }
}

extension SliceManifest {
    /// Whether `owner` signed what the manifest says.
    package func verify(owner: OwnerPublicKey) throws(SignatureProblem) {
        guard let signature else { throw .unsigned }
        guard signature.key == owner else { throw .otherOwner(signature.key) }
        guard owner.verifies(signature.value, of: signedBytes) else { throw .changedAfterSigning }
    }

    /// `text` with its signature added or replaced, and every other byte of it kept.
    package static func sign(
        _ text: String, with owner: OwnerKeyPair, file: String
    ) throws(ConfigProblems) -> String {
        let place = try SignatureText(text, file: file)
        // A damaged old signature must not keep anyone from signing anew.
        let manifest = try parse(text: place.replacing(with: nil), file: file)
        let signature = ManifestSignature(
            key: owner.publicKey, value: owner.sign(manifest.signedBytes))
        let signed = place.replacing(with: signature)
        // Editing text is where one errs: what leaves here has been read again.
        let check = try parse(text: signed, file: file)
        guard check.signedBytes == manifest.signedBytes, check.signature == signature else {
            throw SignatureText.problem(
                file, "the signature cannot be placed in this document: write it in block style")
        }
        return signed
    }
}

/// Where the signature stands in a manifest's text.
private struct SignatureText {
    private let units: [UInt8]
    /// The lines of the `signature` field, in bytes; nil if there is none.
    private let old: Range<Int>?
    private let lineEnd: String

    init(_ text: String, file: String) throws(ConfigProblems) {
        units = Array(text.utf8)
        lineEnd = text.utf8.contains(13) ? "\r\n" : "\n"
        let log = ConfigLog(file: file)
        let root = ConfigParser.parse(text: text, limits: ManifestLimits.document, log: log)
        guard let root, case .map(let entries) = root.content else {
            try log.throwIfAny()
            throw Self.problem(file, "a manifest must be a map of fields")
        }
        guard !root.isFlow else {
            throw Self.problem(
                file, "to be signed, a manifest must be in block style, not inside { }")
        }
        guard let entry = entries.first(where: { $0.name == "signature" }) else {
            old = nil
            return
        }
        let start = Self.byte(ofScalar: entry.key.start.offset, in: units)
        var end = Self.byte(ofScalar: max(entry.value.end.offset, entry.key.end.offset), in: units)
        // To the end of its last line, the break included. A block scalar's end is already there.
        while end < units.count, units[end] != 10, end == 0 || units[end - 1] != 10 { end += 1 }
        if end < units.count, units[end] == 10, end == 0 || units[end - 1] != 10 { end += 1 }
        old = min(start, end)..<end
    }

    /// The text with `signature` in the place of the old one, or at the end; nil removes.
    func replacing(with signature: ManifestSignature?) -> String {
        let block = signature.map {
            "signature:\(lineEnd)  key: \($0.key)\(lineEnd)  value: "
                + "\(Base64.encode($0.value))\(lineEnd)"
        }
        var kept = units
        if let old {
            kept.replaceSubrange(old, with: Array((block ?? "").utf8))
        } else if let block {
            let place = Self.end(of: units)
            let needsBreak = place > 0 && units[place - 1] != 10
            kept.insert(contentsOf: Array(((needsBreak ? lineEnd : "") + block).utf8), at: place)
        }
        return String(decoding: kept, as: UTF8.self)
    }

    static func problem(_ file: String, _ message: String) -> ConfigProblems {
        ConfigProblems([
            ConfigProblem(file: file, line: 1, column: 1, path: "", message: message)
        ])
    }

    /// Where a last field goes: the end of the text, or before a `...` line that ends the document.
    private static func end(of units: [UInt8]) -> Int {
        var lineStart = 0
        for index in units.indices {
            if index == lineStart, units[index...].starts(with: "...".utf8) {
                let next = index + 3
                if next == units.count || [9, 10, 13, 32].contains(units[next]) { return index }
            }
            if units[index] == 10 { lineStart = index + 1 }
        }
        return units.count
    }

    private static func byte(ofScalar offset: Int, in units: [UInt8]) -> Int {
        var scalars = 0
        for (index, unit) in units.enumerated() where unit & 0xc0 != 0x80 {
            if scalars == offset { return index }
            scalars += 1
        }
        return units.count
    }
}
