/// Keyed BLAKE2s of 16 bytes over everything in a handshake message before the MAC itself
/// (WireGuard paper 5.4.4). MAC1 is the 16 bytes before the last 16, MAC2 the last 16.
package enum MAC1 {
    /// Fills in MAC1. `key` is the receiver's.
    package static func append(to message: UnsafeMutableRawBufferPointer, key: Bytes32) {
        precondition(message.count >= 32, "a handshake message has room for two MACs")
        let end = message.count - 32
        key.withUnsafeBytes { key in
            mac(key, UnsafeRawBufferPointer(message), end) { mac in
                UnsafeMutableRawBufferPointer(rebasing: message[end..<(end + 16)])
                    .copyMemory(from: mac)
            }
        }
    }

    /// Whether MAC1 was made for the owner of `key`. Says nothing about who made it.
    package static func verify(_ message: UnsafeRawBufferPointer, key: Bytes32) -> Bool {
        guard message.count >= 32, let base = message.baseAddress else { return false }
        let end = message.count - 32
        return key.withUnsafeBytes { key in
            mac(key, message, end) { Sodium.equal($0.baseAddress ?? base, base + end, 16) }
        }
    }
}

/// The MAC under a cookie, which proves that the sender receives at its source address.
package enum MAC2 {
    static func append(to message: UnsafeMutableRawBufferPointer, cookie: UnsafeRawBufferPointer) {
        precondition(message.count >= 32, "a handshake message has room for two MACs")
        let end = message.count - 16
        mac(cookie, UnsafeRawBufferPointer(message), end) { mac in
            UnsafeMutableRawBufferPointer(rebasing: message[end..<(end + 16)])
                .copyMemory(from: mac)
        }
    }

    static func verify(_ message: UnsafeRawBufferPointer, cookie: UnsafeRawBufferPointer) -> Bool {
        guard message.count >= 32, let base = message.baseAddress else { return false }
        let end = message.count - 16
        return mac(cookie, message, end) {
            Sodium.equal($0.baseAddress ?? base, base + end, 16)
        }
    }
}

private func mac<R>(
    _ key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer, _ count: Int,
    _ use: (UnsafeRawBufferPointer) -> R
) -> R {
    Sodium.withScratch(16) { mac in
        var hash = BLAKE2s(key: key, digestSize: 16)
        hash.update(UnsafeRawBufferPointer(rebasing: message[..<count]))
        hash.finish(into: mac)
        return use(UnsafeRawBufferPointer(start: mac, count: 16))
    }
}
