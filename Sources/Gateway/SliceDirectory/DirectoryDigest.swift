import Bytes

/// 32 bytes that name a content: a manifest (`ManifestDigest`) or the policies it was compiled to.
package struct DirectoryDigest: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    package static let byteCount = 32
    package static let none = DirectoryDigest(0, 0, 0, 0)

    private let words: (UInt64, UInt64, UInt64, UInt64)

    private init(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) { words = (a, b, c, d) }

    /// Nil unless there are 32.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, byte) in bytes.enumerated() {
            words[index / 8] = words[index / 8] << 8 | UInt64(byte)
        }
        self.init(words[0], words[1], words[2], words[3])
    }

    package var bytes: [UInt8] {
        [words.0, words.1, words.2, words.3].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }

    package var description: String { Hex.encode(bytes) }

    package static func == (a: Self, b: Self) -> Bool { a.words == b.words }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    init(reading reader: inout WireReader) throws(WireProblem) {
        self.init(
            try reader.number(), try reader.number(), try reader.number(), try reader.number())
    }

    func write(to writer: inout WireWriter) {
        writer.number(words.0)
        writer.number(words.1)
        writer.number(words.2)
        writer.number(words.3)
    }
}

/// What a gateway goes by: told in hello, welcome and every heartbeat.
package struct DirectoryFacts: Hashable, Sendable {
    /// 0: none yet.
    package var manifestVersion: UInt64
    package var manifestDigest: DirectoryDigest
    package var policyDigest: DirectoryDigest

    package init(
        manifestVersion: UInt64 = 0, manifestDigest: DirectoryDigest = .none,
        policyDigest: DirectoryDigest = .none
    ) {
        self.manifestVersion = manifestVersion
        self.manifestDigest = manifestDigest
        self.policyDigest = policyDigest
    }

    init(reading reader: inout WireReader) throws(WireProblem) {
        manifestVersion = try reader.number()
        guard manifestVersion <= DirectoryLimits.largestManifestVersion else {
            throw .badValue("manifest version")
        }
        manifestDigest = try DirectoryDigest(reading: &reader)
        policyDigest = try DirectoryDigest(reading: &reader)
    }

    func write(to writer: inout WireWriter) {
        writer.number(manifestVersion)
        manifestDigest.write(to: &writer)
        policyDigest.write(to: &writer)
    }
}
