import ArgumentParser
import KafkaClient
import KafkaRecords
import NIOCore

enum AcksArgument: String, ExpressibleByArgument, CaseIterable {
    case none = "0"
    case leader = "1"
    case all

    /// `-1` is what Kafka's clients call it.
    init?(argument: String) { self.init(rawValue: argument == "-1" ? "all" : argument) }

    var code: Int16 {
        switch self {
        case .none: 0
        case .leader: 1
        case .all: -1
        }
    }
}

extension Compression: ExpressibleByArgument {
    package init?(argument: String) { self.init(name: argument) }
    package static var allValueStrings: [String] { allCases.map(\.description) }
}

struct ProduceCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "produce", abstract: "Write the lines of standard input to a topic.",
        discussion: """
            Each line becomes a record. Nothing is printed unless something goes wrong, or takes \
            more than 2 s; --json prints what was written.

              seq 1000 | slice-broker produce numbers
              echo 'k1:v1' | slice-broker produce orders --key-separator :

            With --acks all, which is the default, nothing is written twice, even if it must be \
            sent again.
            """)

    @Argument(help: "The topic's name.")
    var topic: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("What stands between key and value of a line.", valueName: "text"))
    var keySeparator: String?

    @Option(help: ArgumentHelp("The key of all records.", valueName: "key"))
    var key: String?

    @Option(
        help: ArgumentHelp(
            "A value that stands for none, which deletes the key where the topic is compacted.",
            valueName: "text"))
    var nullMarker: String?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp("A header of all records; may be repeated.", valueName: "name=value"))
    var headers: [SettingArgument] = []

    @Option(
        name: .shortAndLong,
        help: "Where all records go. Otherwise the key decides, as with Kafka's own producer.")
    var partition: Int32?

    @Option(help: "Who must have a record before it counts: 0, 1 (the leader) or all in sync.")
    var acks: AcksArgument = .all

    @Option(name: .shortAndLong, help: "none, gzip, snappy, lz4 or zstd.")
    var compression: Compression = .none

    @Option(help: ArgumentHelp("Of one batch, before it is compressed.", valueName: "bytes"))
    var batchSize = 256 << 10

    @Option(help: ArgumentHelp("How long to try.", valueName: "seconds"))
    var timeout = 30

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if keySeparator?.isEmpty == true {
            throw ValidationError("--key-separator must not be empty")
        }
        if key != nil, keySeparator != nil {
            throw ValidationError("the key is either --key or what stands before --key-separator")
        }
        guard (1...(64 << 20)).contains(batchSize) else {
            throw ValidationError("--batch-size is 1 to 67108864 bytes")
        }
        guard (1...86_400).contains(timeout) else {
            throw ValidationError("--timeout is 1 to 86400 seconds")
        }
        if let partition, partition < 0 { throw ValidationError("--partition is 0 or more") }
    }

    /// When it is said that nothing is written yet, and how often.
    private static let patience = Duration.seconds(2)
    private static let reminder = Duration.seconds(10)

    var settings: Producer.Settings {
        var settings = Producer.Settings()
        settings.acks = acks.code
        settings.compression = compression
        settings.batchBytes = batchSize
        settings.timeoutMilliseconds = timeout * 1000
        settings.partition = partition
        return settings
    }

    func run(_ session: ClientSession) throws {
        let producer = try Producer(session.cluster, topic: topic, settings)
        var progress = Progress(session.console)
        defer { progress.end() }
        var next = Self.patience
        producer.waits = { failure, lasted in
            guard lasted >= next else { return }
            next = lasted + Self.reminder
            progress.end()
            session.console.note(
                "trying again, for \(lasted.components.seconds) s of \(timeout) s by now: "
                    + Failure(failure).message)
        }
        let format = LineFormat(keySeparator: keySeparator, nullMarker: nullMarker)
        let fixed = headers.map { RecordHeader($0.name, ByteBuffer(string: $0.value)) }
        let fixedKey = key.map { ByteBuffer(string: $0) }
        var splitter = LineSplitter()
        var number = 0
        func add(_ line: ArraySlice<UInt8>) throws {
            number += 1
            guard let (key, value) = format.split(line) else {
                throw Failure(
                    .usage, "input",
                    "line \(number) has no \"\(keySeparator ?? "")\" between key and value",
                    hint: "the \(number - 1) before it were sent")
            }
            try producer.add(
                key: key.map { ByteBuffer(bytes: $0) } ?? fixedKey,
                value: value.map { ByteBuffer(bytes: $0) }, headers: fixed,
                timestamp: Pause.wallMilliseconds)
        }
        do {
            while true {
                next = Self.patience
                let chunk = try StandardInput.read()
                if chunk.isEmpty { break }
                for line in try splitter.lines(in: chunk) { try add(line) }
                // Who types, or writes now and then, does not wait for a batch to fill.
                if !StandardInput.isReady(milliseconds: 5) { try producer.flush() }
                progress.update("\(producer.summary.records) records")
            }
            if let line = splitter.end() { try add(line) }
            try producer.flush()
        } catch let error as Failure {
            try producer.flush()
            throw error
        } catch {
            progress.end()
            throw incomplete(error, producer.summary)
        }
        if session.console.isJSON {
            let json = ProduceView(topic: topic, producer.summary).json
            session.console.out(Array((json.pretty + "\n").utf8))
        }
    }

    /// How much is there all the same.
    private func incomplete(_ error: any Error, _ summary: Producer.Summary) -> Failure {
        var failure = Failure(error)
        let count = Quantity.count(summary.records, "record")
        failure.message += "\n\(count) written before that; what follows them was not"
        return failure
    }
}

/// `produce --json`.
package struct ProduceView: Sendable {
    private let topic: String
    private let summary: Producer.Summary

    package init(topic: String, _ summary: Producer.Summary) {
        self.topic = topic
        self.summary = summary
    }

    package var json: JSON {
        [
            "topic": .string(topic), "records": JSON(summary.records),
            "bytes": JSON(summary.bytes), "batches": JSON(summary.batches),
            "retries": JSON(summary.retries),
            "partitions": .array(
                summary.partitions.sorted { $0.key < $1.key }.map { index, partition in
                    [
                        "partition": JSON(index), "records": JSON(partition.records),
                        "firstOffset": JSON(partition.firstOffset),
                        "lastOffset": JSON(partition.lastOffset),
                    ]
                }),
        ]
    }
}
