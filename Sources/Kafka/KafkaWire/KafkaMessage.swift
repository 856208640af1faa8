import NIOCore

/// What generated structs have in common: the message itself and each struct in it.
package protocol KafkaStruct: Sendable, Equatable {
    init(from reader: inout WireReader, version: Int16) throws(WireError)
    /// A field that this version does not have is left out; null where this version has no null
    /// becomes an empty value.
    func encode(to writer: inout WireWriter, version: Int16)
}

package protocol KafkaMessage: KafkaStruct {
    static var validVersions: ClosedRange<Int16> { get }
    /// The first version with compact encodings and tagged fields.
    static var flexibleVersions: Int16? { get }
}

package protocol KafkaRequest: KafkaMessage {
    associatedtype Response: KafkaResponse
    static var apiKey: Int16 { get }
}

package protocol KafkaResponse: KafkaMessage {
    static var apiKey: Int16 { get }
}

/// A record of `__cluster_metadata`.
package protocol KafkaMetadataRecord: KafkaMessage {
    static var apiKey: Int16 { get }
}

extension KafkaMessage {
    package static func check(_ version: Int16) throws(WireError) {
        guard validVersions.contains(version) else {
            throw .unsupportedVersion(message: "\(Self.self)", version: version)
        }
    }

    /// The message that the buffer starts with. Bytes after it are left alone.
    package init(_ buffer: ByteBuffer, version: Int16) throws(WireError) {
        var reader = WireReader(buffer)
        try self.init(from: &reader, version: version)
    }

    /// The message in one buffer. Records must be in memory.
    package func encoded(version: Int16) -> ByteBuffer {
        var writer = WireWriter()
        encode(to: &writer, version: version)
        return writer.finishInOneBuffer()
    }

    /// A message behind its version in two bytes, as coordinators' records, group subscriptions
    /// and assignments, and control records have it.
    package init(versionPrefixed buffer: ByteBuffer) throws(WireError) {
        var reader = WireReader(buffer)
        let version = try reader.int16()
        try self.init(from: &reader, version: version)
    }

    package func versionPrefixed(version: Int16) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(version)
        encode(to: &writer, version: version)
        return writer.finishInOneBuffer()
    }
}

/// The list of every generated message is in Registry.swift.
package enum KafkaMessages {}

/// Which version of the header goes with a request's version (KIP-482).
package enum HeaderVersion {
    /// A version or key that we do not know has the header that it most likely has.
    package static func request(apiKey: Int16, version: Int16) -> Int16 {
        isFlexible(apiKey, version) ? 2 : 1
    }

    /// A client that asks for a version of ApiVersions that the broker does not know gets an
    /// answer of version 0, so the header of ApiVersions can never depend on the version (KIP-511).
    package static func response(apiKey: Int16, version: Int16) -> Int16 {
        apiKey != ApiKey.apiVersions.rawValue && isFlexible(apiKey, version) ? 1 : 0
    }

    private static func isFlexible(_ apiKey: Int16, _ version: Int16) -> Bool {
        guard let first = ApiKey(rawValue: apiKey)?.flexibleVersions else { return false }
        return version >= first
    }
}
