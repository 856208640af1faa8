import NIOCore

/// How the records of a batch are compressed. The raw value is what the attributes hold.
package enum Compression: UInt8, Hashable, Sendable, CaseIterable {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4
}

extension Compression: CustomStringConvertible {
    /// The name that `compression.type` has for it.
    package var description: String {
        switch self {
        case .none: "none"
        case .gzip: "gzip"
        case .snappy: "snappy"
        case .lz4: "lz4"
        case .zstd: "zstd"
        }
    }

    package init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.description == name }) else {
            return nil
        }
        self = found
    }
}
