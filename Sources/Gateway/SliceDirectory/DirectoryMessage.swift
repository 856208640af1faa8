import SliceModel

/// What two gateways say on one stream. The one that connects follows: it says hello, asks, and
/// says how far it is. The one that accepts writes: its own records, and nobody else's.
package enum DirectoryMessage: Hashable, Sendable {
    /// Follower, first.
    case hello(Hello)
    /// Writer, first.
    case welcome(Welcome)
    /// Writer: forget what you have of me; what follows is all, and began at this version.
    case snapshotBegin(version: UInt64)
    case snapshotItems([DirectoryItem])
    /// All is said, up to this version.
    case snapshotEnd(version: UInt64)
    case delta(Delta)
    /// Both. `version`: the writer's own, or how far the follower is.
    case heartbeat(version: UInt64, DirectoryFacts)
    /// Follower: send me your manifest.
    case manifestRequest
    /// Writer: so many bytes follow; 0 means that there is none.
    case manifestBegin(version: UInt64, DirectoryDigest, byteCount: UInt32)
    case manifestBytes([UInt8])
    /// Both, last.
    case refusal(DirectoryRefusal, String)

    package static let protocolVersion: UInt8 = 1

    package struct Hello: Hashable, Sendable {
        package var slice: SliceName
        package var cluster: ClusterName
        package var incarnation: UInt64
        /// What it has of the writer's records; 0 and 0 is nothing.
        package var knownIncarnation: UInt64
        package var knownVersion: UInt64
        package var facts: DirectoryFacts

        package init(
            slice: SliceName, cluster: ClusterName, incarnation: UInt64,
            knownIncarnation: UInt64, knownVersion: UInt64, facts: DirectoryFacts
        ) {
            self.slice = slice
            self.cluster = cluster
            self.incarnation = incarnation
            self.knownIncarnation = knownIncarnation
            self.knownVersion = knownVersion
            self.facts = facts
        }
    }

    package struct Welcome: Hashable, Sendable {
        package var cluster: ClusterName
        package var incarnation: UInt64
        package var version: UInt64
        package var facts: DirectoryFacts

        package init(
            cluster: ClusterName, incarnation: UInt64, version: UInt64, facts: DirectoryFacts
        ) {
            self.cluster = cluster
            self.incarnation = incarnation
            self.version = version
            self.facts = facts
        }
    }

    /// The state of all records that changed after `from` and up to `to`.
    package struct Delta: Hashable, Sendable {
        package var from: UInt64
        package var to: UInt64
        /// The next one belongs to it: to be applied together.
        package var hasMore: Bool
        package var changes: [DirectoryChange]

        package init(from: UInt64, to: UInt64, hasMore: Bool, changes: [DirectoryChange]) {
            self.from = from
            self.to = to
            self.hasMore = hasMore
            self.changes = changes
        }
    }

    private static let magic: UInt32 = 0x534c_4452
}

/// Why a stream ends.
package enum DirectoryRefusal: UInt8, CaseIterable, Sendable, CustomStringConvertible {
    case protocolVersion = 1
    case otherSlice
    /// The address it comes from belongs to another cluster.
    case otherCluster
    case olderIncarnation
    case replaced
    case malformed
    case unexpected
    /// A delta that does not continue what was said before.
    case gap
    case slow
    case stopping

    package var description: String {
        switch self {
        case .protocolVersion: "another version of the directory's protocol"
        case .otherSlice: "another slice"
        case .otherCluster: "the address belongs to another cluster"
        case .olderIncarnation: "a newer gateway of the same cluster is known"
        case .replaced: "replaced by a newer stream"
        case .malformed: "malformed message"
        case .unexpected: "unexpected message"
        case .gap: "changes are missing"
        case .slow: "too slow"
        case .stopping: "stopping"
        }
    }
}

extension DirectoryMessage {
    var type: UInt8 {
        switch self {
        case .hello: 1
        case .welcome: 2
        case .snapshotBegin: 3
        case .snapshotItems: 4
        case .snapshotEnd: 5
        case .delta: 6
        case .heartbeat: 7
        case .manifestRequest: 8
        case .manifestBegin: 9
        case .manifestBytes: 10
        case .refusal: 11
        }
    }

    /// With its length before it.
    package var frame: [UInt8] {
        var writer = WireWriter()
        writer.number(UInt32(0))
        writer.byte(type)
        switch self {
        case .hello(let hello):
            writer.number(Self.magic)
            writer.byte(Self.protocolVersion)
            writer.text(hello.slice.text)
            writer.text(hello.cluster.text)
            writer.number(hello.incarnation)
            writer.number(hello.knownIncarnation)
            writer.number(hello.knownVersion)
            hello.facts.write(to: &writer)
        case .welcome(let welcome):
            writer.byte(Self.protocolVersion)
            writer.text(welcome.cluster.text)
            writer.number(welcome.incarnation)
            writer.number(welcome.version)
            welcome.facts.write(to: &writer)
        case .snapshotBegin(let version), .snapshotEnd(let version):
            writer.number(version)
        case .snapshotItems(let items):
            for item in items { item.write(to: &writer) }
        case .delta(let delta):
            writer.number(delta.from)
            writer.number(delta.to)
            writer.flag(delta.hasMore)
            for change in delta.changes { change.write(to: &writer) }
        case .heartbeat(let version, let facts):
            writer.number(version)
            facts.write(to: &writer)
        case .manifestRequest: break
        case .manifestBegin(let version, let digest, let byteCount):
            writer.number(version)
            digest.write(to: &writer)
            writer.number(byteCount)
        case .manifestBytes(let bytes): writer.append(bytes)
        case .refusal(let reason, let text):
            writer.byte(reason.rawValue)
            writer.append(Self.printable(text.utf8))
        }
        writer.closeFrame(at: 0)
        return writer.bytes
    }

    /// From the content of a frame, its type first.
    init(reading reader: inout WireReader) throws(WireProblem) {
        switch try reader.byte() {
        case 1: self = .hello(try Hello(reading: &reader))
        case 2: self = .welcome(try Welcome(reading: &reader))
        case 3: self = .snapshotBegin(version: try reader.number())
        case 4:
            var items: [DirectoryItem] = []
            while reader.remaining > 0 { items.append(try DirectoryItem(reading: &reader)) }
            self = .snapshotItems(items)
        case 5: self = .snapshotEnd(version: try reader.number())
        case 6: self = .delta(try Delta(reading: &reader))
        case 7:
            self = .heartbeat(
                version: try reader.number(), try DirectoryFacts(reading: &reader))
        case 8: self = .manifestRequest
        case 9:
            self = .manifestBegin(
                version: try reader.number(), try DirectoryDigest(reading: &reader),
                byteCount: try reader.number())
        case 10: self = .manifestBytes(reader.rest())
        case 11:
            guard let reason = DirectoryRefusal(rawValue: try reader.byte()) else {
                throw .badValue("refusal")
            }
            let text = reader.rest()
            guard text == Self.printable(text) else { throw .badValue("text") }
            self = .refusal(reason, String(decoding: text, as: UTF8.self))
        case let type: throw .unknownType(type)
        }
        try reader.finish()
    }

    /// It ends in a log.
    private static func printable(_ text: some Sequence<UInt8>) -> [UInt8] {
        text.prefix(DirectoryLimits.refusalText).map { 32...126 ~= $0 ? $0 : 63 }
    }
}

extension DirectoryMessage.Hello {
    init(reading reader: inout WireReader) throws(WireProblem) {
        guard try reader.number(UInt32.self) == DirectoryMessage.magic else {
            throw .badValue("greeting")
        }
        // What comes after it may look otherwise in another version.
        guard try reader.byte() == DirectoryMessage.protocolVersion else {
            throw .badValue("protocol version")
        }
        slice = try reader.name()
        cluster = try reader.name()
        incarnation = try reader.number()
        knownIncarnation = try reader.number()
        knownVersion = try reader.number()
        facts = try DirectoryFacts(reading: &reader)
        guard incarnation > 0 else { throw .badValue("incarnation") }
    }
}

extension DirectoryMessage.Welcome {
    init(reading reader: inout WireReader) throws(WireProblem) {
        guard try reader.byte() == DirectoryMessage.protocolVersion else {
            throw .badValue("protocol version")
        }
        cluster = try reader.name()
        incarnation = try reader.number()
        version = try reader.number()
        facts = try DirectoryFacts(reading: &reader)
        guard incarnation > 0 else { throw .badValue("incarnation") }
    }
}

extension DirectoryMessage.Delta {
    init(reading reader: inout WireReader) throws(WireProblem) {
        from = try reader.number()
        to = try reader.number()
        hasMore = try reader.flag("continuation")
        guard from <= to else { throw .badValue("range of versions") }
        changes = []
        while reader.remaining > 0 { changes.append(try DirectoryChange(reading: &reader)) }
    }
}

/// Cuts a stream into messages. What is not yet a whole frame is kept, and is never more than one.
package struct DirectoryFrameDecoder: Sendable {
    private var buffer: [UInt8] = []
    private var place = 0

    package init() {}

    package var bufferedBytes: Int { buffer.count - place }

    /// To be followed by `next` until there is nothing.
    package mutating func append(_ bytes: [UInt8]) {
        if place == buffer.count {
            buffer = bytes
            place = 0
        } else {
            buffer.removeFirst(place)
            place = 0
            buffer.append(contentsOf: bytes)
        }
    }

    /// After an error the stream is out of step for good.
    package mutating func next() throws(WireProblem) -> DirectoryMessage? {
        guard buffer.count - place >= 4 else { return nil }
        var header = WireReader(buffer, place..<place + 4)
        let length: UInt32 = try header.number()
        guard 1...UInt32(DirectoryLimits.frameBytes) ~= length else { throw .frameLength(length) }
        let start = place + 4
        guard buffer.count - start >= Int(length) else { return nil }
        place = start + Int(length)
        var reader = WireReader(buffer, start..<place)
        let message = try DirectoryMessage(reading: &reader)
        if place == buffer.count {
            buffer = []
            place = 0
        }
        return message
    }
}
