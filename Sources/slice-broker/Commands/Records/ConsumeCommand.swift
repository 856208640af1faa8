import ArgumentParser
import KafkaClient
import KafkaRecords
import NIOCore

struct ConsumeCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "consume", abstract: "Print the records of a topic.",
        discussion: """
            Ends with the records that were there at the start, unless it is told to follow. \
            Records of one partition come in order. No group is involved, and nothing is committed.

              slice-broker consume orders --from latest --follow
              slice-broker consume orders --partition 0 --last 10 --json

            With --json each record is one line. A key or value that is not UTF-8 text is in \
            keyBase64 or valueBase64 instead.
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(help: ArgumentHelp("Where to begin: \(PlaceArgument.help).", valueName: "place"))
    var from: PlaceArgument = .earliest

    @Option(
        help: ArgumentHelp("Begin so many before the end of each partition.", valueName: "count"))
    var last: Int64?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only these: 0-3,7.", valueName: "partitions"))
    var partition: PartitionsArgument?

    @Option(name: .shortAndLong, help: "End after so many records.")
    var count: Int?

    @Flag(name: .shortAndLong, help: "Go on with the records that come.")
    var follow = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Print the key too, and this behind it.", valueName: "text"))
    var keySeparator: String?

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if let last, last < 0 { throw ValidationError("--last is 0 or more") }
        if let count, count < 1 { throw ValidationError("--count is 1 or more") }
        if last != nil, from != .earliest {
            throw ValidationError("say where to begin once: either --from or --last")
        }
    }

    private func start(now: Int64) -> Consumer.Start {
        if let last { return .last(last) }
        if let point = from.point(now: now) { return .point(point) }
        if case .offset(let offset) = from { return .offset(offset) }
        return .point(.earliest)
    }

    func run(_ session: ClientSession) throws {
        let consumer = try Consumer(
            session.cluster, topic: topic, partitions: partition?.indexes,
            from: start(now: Pause.wallMilliseconds), follows: follow)
        let format = RecordFormat(
            topic: topic, isJSON: session.console.isJSON, keySeparator: keySeparator)
        var left = count ?? .max
        var progress = Progress(session.console)
        defer { progress.end() }
        var printed = 0
        var told: ClientError?
        while !consumer.isAtEnd, left > 0 {
            let records = try consumer.poll().prefix(left)
            left -= records.count
            printed += records.count
            var bytes: [UInt8] = []
            for record in records {
                format.write(record, to: &bytes)
                if bytes.count > 1 << 20 {
                    session.console.out(bytes)
                    bytes = []
                }
            }
            if !bytes.isEmpty { session.console.out(bytes) }
            if consumer.trouble != told {
                told = consumer.trouble
                if let told { session.console.note("\(told); trying again") }
            }
            // On a terminal the records themselves show how it goes.
            if !session.console.outIsTerminal { progress.update("\(printed) records") }
        }
    }
}

/// How `consume` prints a record.
package struct RecordFormat: Sendable {
    private let topic: String
    private let isJSON: Bool
    private let keySeparator: [UInt8]?

    package init(topic: String, isJSON: Bool, keySeparator: String? = nil) {
        self.topic = topic
        self.isJSON = isJSON
        self.keySeparator = keySeparator.map { Array($0.utf8) }
    }

    package func write(_ received: Consumer.Received, to bytes: inout [UInt8]) {
        let record = received.record
        if isJSON {
            bytes += json(received).compact.utf8
        } else {
            if let keySeparator {
                if let key = record.key { bytes += key.readableBytesView }
                bytes += keySeparator
            }
            if let value = record.value { bytes += value.readableBytesView }
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    private func json(_ received: Consumer.Received) -> JSON {
        let record = received.record
        let place: [(String, JSON)] = [
            ("topic", .string(topic)), ("partition", JSON(received.partition)),
            ("offset", JSON(record.offset)), ("timestamp", JSON(record.timestamp)),
        ]
        let headers = record.headers.map { header in
            JSON.object(Self.member("key", header.key) + Self.member("value", header.value))
        }
        return .object(
            place + Self.member("key", record.key) + Self.member("value", record.value)
                + [("headers", .array(headers))])
    }

    private static func member(_ name: String, _ bytes: ByteBuffer?) -> [(String, JSON)] {
        guard let bytes else { return [(name, nil)] }
        if let text = String(validating: bytes.readableBytesView, as: UTF8.self) {
            return [(name, .string(text))]
        }
        return [(name, nil), ("\(name)Base64", .string(base64(bytes.readableBytesView)))]
    }

    /// RFC 4648 section 4.
    private static func base64(_ bytes: ByteBufferView) -> String {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let group = rest.prefix(3)
            rest = rest.dropFirst(3)
            var bits: UInt32 = 0
            for byte in group { bits = bits << 8 | UInt32(byte) }
            bits <<= UInt32(8 * (3 - group.count))
            for digit in 0..<4 {
                out.append(
                    digit <= group.count
                        ? alphabet[Int(bits >> UInt32(18 - 6 * digit) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
