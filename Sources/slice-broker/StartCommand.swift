import ArgumentParser
import BrokerConfig
import BrokerRuntime
import Glibc
import Logging

struct ConfigOption: ParsableArguments {
    @Option(name: .shortAndLong, help: "The configuration, in Kafka's .properties format.")
    var config = "/etc/slice-broker/broker.properties"

    @Option(
        name: .customLong("override"),
        help: ArgumentHelp("A property that wins over the file's.", valueName: "name=value"))
    var overrides: [String] = []

    /// Says everything that is wrong, and ends with code 2, as nothing has been done.
    func load(json: Bool = false) throws -> BrokerConfig {
        do {
            return try BrokerConfigFile.read(config, overrides: overrides)
        } catch {
            if json { throw Failure(.usage, "config", "\(error)") }
            for line in "\(error)".split(separator: "\n") { complain("\(config): \(line)") }
            throw ExitCode(2)
        }
    }
}

struct OutputOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "JSON on standard output, errors as JSON too.")
    var isJSON = false

    var console: Console {
        var console = Console.current
        console.isJSON = isJSON
        return console
    }
}

func complain(_ line: String) {
    let bytes = Array("slice-broker: \(line)\n".utf8)
    _ = write(2, bytes, bytes.count)
}

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Run the node of a configuration file.",
        discussion: """
            SIGTERM hands leaderships over and stops. A directory must have been formatted with \
            `slice-broker format` before.
            """)

    @OptionGroup var options: ConfigOption

    func run() async throws {
        // First, so that no thread takes them instead.
        let signals = SignalWait([SIGINT, SIGTERM])
        let config = try options.load()
        let logger = BrokerService.openLog(config)
        let status = await BrokerService.run(config, logger: logger, signals: signals.stream)
        if let problem = status {
            // In the log's own form where that is for machines, which read nothing else.
            if config.text("log.format") == "json" {
                logger.critical("\(problem)")
            } else {
                complain(problem)
            }
            throw ExitCode(1)
        }
    }
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what is wrong with a configuration file, if anything.")

    @OptionGroup var options: ConfigOption
    @OptionGroup var output: OutputOption

    func run() throws {
        if output.isJSON { return try runForJSON() }
        _ = try options.load()
        print("\(options.config) is sound")
    }

    /// What is wrong is the result here, and not a failure of the command.
    private func runForJSON() throws {
        var problems: [JSON] = []
        do {
            _ = try BrokerConfigFile.read(options.config, overrides: options.overrides)
        } catch let error as BrokerConfigError {
            problems = error.problems.map { problem in
                let line: Int? = problem.line > 0 ? problem.line : nil
                return ["line": JSON(line), "message": .string(problem.message)]
            }
        } catch {
            problems = [["line": nil, "message": .string("\(error)")]]
        }
        let document: JSON = [
            "config": .string(options.config), "isSound": .bool(problems.isEmpty),
            "problems": .array(problems),
        ]
        output.console.result(document) { "" }
        if !problems.isEmpty { throw ExitCode(2) }
    }
}
