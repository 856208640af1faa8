import CSodium

/// Keys as text, the way `wg` writes them: 44 characters of base64 or 64 hexadecimal digits.
/// libsodium's coders take the same time whatever the bytes are.
enum KeyText {
    static let base64Length = 44
    static let hexLength = 64

    /// Strict: the standard alphabet, padding present, no spare bits set, nothing around it.
    static func decodeBase64(_ text: String, into key: UnsafeMutableRawPointer) -> Bool {
        decode(text, base64Length) { characters in
            var size = 0
            return sodium_base642bin(
                key.assumingMemoryBound(to: UInt8.self), 32, characters, base64Length, nil, &size,
                nil, Int32(sodium_base64_VARIANT_ORIGINAL)) == 0 && size == 32
        }
    }

    /// Strict: 64 digits of either case and nothing else.
    static func decodeHex(_ text: String, into key: UnsafeMutableRawPointer) -> Bool {
        decode(text, hexLength) { characters in
            var size = 0
            return sodium_hex2bin(
                key.assumingMemoryBound(to: UInt8.self), 32, characters, hexLength, nil, &size,
                nil) == 0 && size == 32
        }
    }

    static func base64(_ key: UnsafeRawPointer) -> String {
        text(capacity: base64Length + 1) { characters in
            _ = sodium_bin2base64(
                characters, base64Length + 1, key.assumingMemoryBound(to: UInt8.self), 32,
                Int32(sodium_base64_VARIANT_ORIGINAL))
        }
    }

    static func hex(_ key: UnsafeRawPointer) -> String {
        text(capacity: hexLength + 1) { characters in
            _ = sodium_bin2hex(
                characters, hexLength + 1, key.assumingMemoryBound(to: UInt8.self), 32)
        }
    }

    private static func decode(
        _ text: String, _ length: Int, _ body: (UnsafePointer<CChar>) -> Bool
    ) -> Bool {
        var text = text
        return text.withUTF8 { units in
            guard units.count == length, let base = units.baseAddress else { return false }
            return base.withMemoryRebound(to: CChar.self, capacity: length, body)
        }
    }

    /// `fill` writes `capacity - 1` ASCII characters and a zero.
    private static func text(
        capacity: Int, _ fill: (UnsafeMutablePointer<CChar>) -> Void
    ) -> String {
        Sodium.withScratch(capacity) { scratch in
            let characters = scratch.bindMemory(to: CChar.self, capacity: capacity)
            fill(characters)
            return String(cString: characters)
        }
    }
}
