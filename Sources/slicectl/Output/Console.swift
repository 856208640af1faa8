import AdminAPI
import FoundationEssentials
import Glibc

/// Where a command's words go: results to standard output, everything else to standard error.
package struct Console: Sendable {
    package var out: @Sendable (String) -> Void
    package var error: @Sendable (String) -> Void
    package var outIsTerminal: Bool
    package var errorIsTerminal: Bool
    package var isJSON = false
    package var style = Style.plain

    package init(
        out: @escaping @Sendable (String) -> Void, error: @escaping @Sendable (String) -> Void,
        outIsTerminal: Bool = false, errorIsTerminal: Bool = false
    ) {
        self.out = out
        self.error = error
        self.outIsTerminal = outIsTerminal
        self.errorIsTerminal = errorIsTerminal
    }

    /// Commands are made by the argument parser, which has no place to hand this in.
    @TaskLocal package static var current = Console.process

    package static let process = Console(
        out: { write($0, to: 1) }, error: { write($0, to: 2) }, outIsTerminal: isatty(1) == 1,
        errorIsTerminal: isatty(2) == 1)

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[done...])
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    giveUp(errno, descriptor)
                }
                done += count
            }
        }
    }

    /// A reader that went away has what it wanted; a full disk has not, and must not look done.
    private static func giveUp(_ code: Int32, _ descriptor: Int32) -> Never {
        if descriptor == 1, code != EPIPE {
            write("error: cannot write the result: \(String(cString: strerror(code)))\n", to: 2)
        }
        Glibc.exit(ExitStatus.failed.rawValue)
    }

    package func line(_ text: String = "") { out(text + "\n") }

    /// Advice and progress: nothing that a script would read, and nothing at all with --json.
    package func note(_ text: String) {
        if !isJSON { error(text + "\n") }
    }

    /// The result of a command: JSON for machines, `text` for people.
    package func result(_ value: some Encodable, text: () -> String) throws {
        out(isJSON ? try Self.json(value) + "\n" : text())
    }

    /// Keys in order and slashes as they are, so that two runs can be compared.
    package static func json(_ value: some Encodable, compact: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if !compact { encoder.outputFormatting.insert(.prettyPrinted) }
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
