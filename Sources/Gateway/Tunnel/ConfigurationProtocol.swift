import Addresses
import Noise
import Timing

// WireGuard's cross-platform configuration protocol (https://www.wireguard.com/xplatform/): a
// request is `get=1` or `set=1`, lines of `key=value`, and a blank line; a reply is lines of
// `key=value` that end with `errno=N` and a blank line.
//
// Where the page is silent we answer as wireguard-go does, because that is what `wg` was tried
// against, with two differences on purpose: a set is applied whole or not at all, and after an
// error the rest of the request is read and dropped, so that the connection stays in step.

/// What a request came to, as the number behind `errno=`: Linux's, negated, as wireguard-go
/// prints them. `wg` turns them into words with strerror(3).
package struct ConfigurationErrno: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    package static let none = Self(rawValue: 0)
    package static let notPermitted = Self(rawValue: -1)
    package static let inputOutput = Self(rawValue: -5)
    package static let noMemory = Self(rawValue: -12)
    package static let busy = Self(rawValue: -16)
    package static let noDevice = Self(rawValue: -19)
    package static let invalid = Self(rawValue: -22)
    package static let readOnly = Self(rawValue: -30)
    /// wireguard-go's number for what has no other.
    package static let unknown = Self(rawValue: -55)
    package static let protocolError = Self(rawValue: -71)
    package static let addressFamilyNotSupported = Self(rawValue: -97)
    package static let portInUse = Self(rawValue: -98)

    /// From a positive errno of the system; anything else is `unknown`.
    package init(system errno: Int32) { rawValue = errno > 0 ? -Int(errno) : -55 }

    /// wireguard-go answers EINVAL when a limit is reached.
    package init(_ error: DeviceChangeError) {
        switch error {
        case .tooManyPeers, .tooManyAllowedIPs: self = .invalid
        }
    }
}

/// Why a request was refused. The reason is for our log: it names keys, never values, since a
/// value may be a secret.
package struct ConfigurationRefusal: Error, Equatable, Sendable {
    package var errno: ConfigurationErrno
    /// Counted from 1, the `set=1` line being the first.
    package var line: Int
    package var reason: String
    /// The stream cannot be brought back into step: reply, then close.
    package var hangUp: Bool

    package init(
        _ errno: ConfigurationErrno, line: Int, reason: String, hangUp: Bool = false
    ) {
        self.errno = errno
        self.line = line
        self.reason = reason
        self.hangUp = hangUp
    }
}

package enum ConfigurationRequest: Sendable {
    case get
    case set(DeviceChange)
    case refused(ConfigurationRefusal)
}

package struct ConfigurationLimits: Sendable {
    /// Of one line, its newline not counted. The longest line of the protocol is an endpoint
    /// with a zone, well below 100 bytes.
    package var lineBytes = 4096
    /// Of one request. 16 MiB is 50,000 peers with five prefixes each.
    package var requestBytes = 16 << 20
    /// Of one request; the device has a limit of its own.
    package var peers = 65_536

    package init() {}
}

/// The text of replies and requests.
package enum ConfigurationText {
    /// The whole reply to `get=1`. `hideSecrets` leaves the private key and the pre-shared keys
    /// out; `wg show` then shows the interface without its public key, which it computes.
    package static func reply(to status: DeviceStatus, hideSecrets: Bool = false) -> [UInt8] {
        var out = ConfigurationWriter(
            // No growth once a secret is inside: growth leaves a copy behind.
            capacity: status.peers.reduce(256) { $0 + 512 + $1.allowedIPs.count * 64 })
        if let key = status.privateKey, !hideSecrets {
            key.withUnsafeBytes { out.line("private_key", hex: $0) }
        }
        // Zero stands for "none" in both, and is left out as wireguard-go leaves it out.
        if status.listenPort != 0 { out.line("listen_port", status.listenPort) }
        if status.firewallMark != 0 { out.line("fwmark", status.firewallMark) }
        for peer in status.peers {
            peer.publicKey.withUnsafeBytes { out.line("public_key", hex: $0) }
            if !hideSecrets {
                (peer.presharedKey ?? .none).withUnsafeBytes {
                    out.line("preshared_key", hex: $0)
                }
            }
            out.line("protocol_version", 1)
            if let endpoint = peer.endpoint { out.line("endpoint", endpoint.description) }
            let handshake = max(0, peer.lastHandshake?.nanosecondsSince1970 ?? 0)
            out.line("last_handshake_time_sec", handshake / 1_000_000_000)
            out.line("last_handshake_time_nsec", handshake % 1_000_000_000)
            out.line("tx_bytes", peer.transmittedBytes)
            out.line("rx_bytes", peer.receivedBytes)
            out.line("persistent_keepalive_interval", peer.persistentKeepalive)
            for prefix in peer.allowedIPs { out.line("allowed_ip", prefix.description) }
        }
        out.end(.none)
        return out.bytes
    }

    /// The whole reply to a set, and to whatever was refused.
    package static func reply(_ errno: ConfigurationErrno) -> [UInt8] {
        var out = ConfigurationWriter(capacity: 32)
        out.end(errno)
        return out.bytes
    }

    /// The request that makes `change`.
    package static func request(_ change: DeviceChange) -> [UInt8] {
        var out = ConfigurationWriter(
            capacity: change.peers.reduce(256) { $0 + 512 + $1.allowedIPs.count * 64 })
        out.line("set", 1)
        switch change.privateKey {
        case .set(let key): key.withUnsafeBytes { out.line("private_key", hex: $0) }
        case .clear: out.line("private_key", String(repeating: "0", count: 64))
        case nil: break
        }
        if let port = change.listenPort { out.line("listen_port", port) }
        if let mark = change.firewallMark { out.line("fwmark", mark) }
        if change.replacePeers { out.line("replace_peers", "true") }
        for peer in change.peers {
            peer.publicKey.withUnsafeBytes { out.line("public_key", hex: $0) }
            if peer.remove { out.line("remove", "true") }
            if peer.updateOnly { out.line("update_only", "true") }
            peer.presharedKey?.withUnsafeBytes { out.line("preshared_key", hex: $0) }
            if let endpoint = peer.endpoint { out.line("endpoint", endpoint.description) }
            if let seconds = peer.persistentKeepalive {
                out.line("persistent_keepalive_interval", seconds)
            }
            if peer.replaceAllowedIPs { out.line("replace_allowed_ips", "true") }
            for allowed in peer.allowedIPs {
                out.line("allowed_ip", (allowed.remove ? "-" : "") + allowed.prefix.description)
            }
        }
        out.bytes.append(0x0a)
        return out.bytes
    }
}

/// Lines of `key=value`.
private struct ConfigurationWriter {
    var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func line(_ key: StaticString, _ value: String) {
        begin(key)
        bytes.append(contentsOf: value.utf8)
        bytes.append(0x0a)
    }

    mutating func line(_ key: StaticString, _ value: some BinaryInteger) {
        line(key, String(value))
    }

    mutating func line(_ key: StaticString, hex: UnsafeRawBufferPointer) {
        begin(key)
        for byte in hex {
            bytes.append(Self.digit(byte >> 4))
            bytes.append(Self.digit(byte & 15))
        }
        bytes.append(0x0a)
    }

    mutating func end(_ errno: ConfigurationErrno) {
        line("errno", errno.rawValue)
        bytes.append(0x0a)
    }

    private mutating func begin(_ key: StaticString) {
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(0x3d)
    }

    /// Without a table, so that no cache line tells which digit it was.
    private static func digit(_ nibble: UInt8) -> UInt8 {
        nibble &+ 48 &+ (((9 &- nibble) >> 7) &* 39)
    }
}
