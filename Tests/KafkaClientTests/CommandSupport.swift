import ArgumentParser
import Glibc
import KafkaWire
import Synchronization
import Testing
import slice_broker

/// What one call of a command left behind.
struct Run {
    var status: Int32
    var out: String
    var error: String
}

private struct Root: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slice-broker", subcommands: ClientCommands.all)
}

private final class Collector: Sendable {
    private let gathered = Mutex<[UInt8]>([])
    func add(_ bytes: [UInt8]) { gathered.withLock { $0 += bytes } }
    var text: String { String(decoding: gathered.withLock { $0 }, as: UTF8.self) }
}

/// Calls a command in this process.
func invoke(_ arguments: [String]) async -> Run {
    let (out, error) = (Collector(), Collector())
    let console = Console(out: { out.add($0) }, error: { error.add($0) })
    let status = await Invocation.run(Root.self, arguments, console: console)
    return Run(status: status, out: out.text, error: error.text)
}

func invoke(_ arguments: String..., at broker: FakeBroker) async -> Run {
    await invoke(arguments + ["--bootstrap-server", "127.0.0.1:\(broker.port)"])
}

/// What a person or a script should read, in a file of its own.
func golden(_ name: String, source: String = #filePath) throws -> String {
    let tests = source.split(separator: "/").dropLast(2).joined(separator: "/")
    let path = "/\(tests)/Golden/SliceBroker/\(name)"
    let file = try #require(fopen(path, "r"), "\(path)")
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
}

/// Holds a view's text and JSON against the files of that name.
func expectGolden(
    _ name: String, _ text: String, _ json: JSON, at location: SourceLocation = #_sourceLocation
) throws {
    #expect(text == (try golden("\(name).txt")), sourceLocation: location)
    #expect(json.pretty + "\n" == (try golden("\(name).json")), sourceLocation: location)
}
