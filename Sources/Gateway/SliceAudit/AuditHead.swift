import Bytes
import CSodium

/// BLAKE2b-256 of the exact bytes of a line, without its end.
package struct AuditDigest: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(of message: [UInt8]) {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = crypto_generichash(&digest, digest.count, message, UInt64(message.count), nil, 0)
        bytes = digest
    }

    /// 64 hexadecimal digits in lower case.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 64, !text.utf8.contains(where: { 65...70 ~= $0 }),
            let bytes = Hex.decode(text)
        else { return nil }
        self.bytes = bytes
    }

    private init(zeros: Int) { bytes = [UInt8](repeating: 0, count: zeros) }

    /// What comes before the first line.
    package static let none = AuditDigest(zeros: 32)

    package var description: String { Hex.encode(bytes) }
}

/// Where a log ends: whoever keeps one can tell later whether everything up to there is still what
/// it was. `SEQUENCE:HASH` as text.
package struct AuditHead: Hashable, Sendable, CustomStringConvertible {
    /// What every reader of JSON keeps exactly (RFC 8259 section 6).
    package static let maximumSequence: UInt64 = 1 << 53 - 1

    package let sequence: UInt64
    package let hash: AuditDigest

    package init(sequence: UInt64, hash: AuditDigest) {
        self.sequence = min(sequence, Self.maximumSequence)
        self.hash = hash
    }

    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let sequence = UInt64(parts[0]),
            sequence <= Self.maximumSequence, String(sequence) == parts[0],
            let hash = AuditDigest(parts[1])
        else { return nil }
        self.init(sequence: sequence, hash: hash)
    }

    package var description: String { "\(sequence):\(hash)" }
}

/// Names of the files of one log.
package enum AuditPaths {
    /// Where the gateway writes if its configuration names no other place.
    package static let standard = "/var/lib/slice-gateway/audit.log"

    /// The head beside a log: `audit.head` of `audit.log`.
    package static func head(_ path: String) -> String {
        path.hasSuffix(".log") ? "\(path.dropLast(4)).head" : "\(path).head"
    }

    /// An older file: the greater the number, the older.
    package static func older(_ path: String, _ number: Int) -> String { "\(path).\(number)" }

    /// As many as anybody would keep.
    package static let maximumOlder = 99
}
