import Glibc

/// Where a command's words go: results to standard output, everything else to standard error.
package struct Console: Sendable {
    package var out: @Sendable ([UInt8]) -> Void
    package var error: @Sendable ([UInt8]) -> Void
    package var outIsTerminal = false
    package var errorIsTerminal = false
    package var isJSON = false
    package var style = Style.plain

    package init(
        out: @escaping @Sendable ([UInt8]) -> Void, error: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.out = out
        self.error = error
    }

    /// Commands are made by the argument parser, which has no place to hand this in.
    @TaskLocal package static var current = Console.process

    package static let process: Console = {
        var console = Console(out: { write($0, to: 1) }, error: { write($0, to: 2) })
        console.outIsTerminal = isatty(1) == 1
        console.errorIsTerminal = isatty(2) == 1
        return console
    }()

    private static func write(_ bytes: [UInt8], to descriptor: CInt) {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                giveUp(errno, descriptor)
            }
            if count == rest.count { return }
            rest.removeFirst(count)
        }
    }

    /// A reader that went away has what it wanted; a full disk has not, and must not look done.
    private static func giveUp(_ code: CInt, _ descriptor: CInt) -> Never {
        if descriptor == 1, code != EPIPE {
            let reason = String(cString: strerror(code))
            write(Array("error: cannot write the result: \(reason)\n".utf8), to: 2)
        }
        Glibc.exit(ExitStatus.failed.rawValue)
    }

    /// The result of a command: JSON for machines, `text` for people.
    package func result(_ json: @autoclosure () -> JSON, text: () -> String) {
        out(Array((isJSON ? json().pretty + "\n" : text()).utf8))
    }

    /// Advice: nothing that a script would read, and nothing at all with --json.
    package func note(_ text: String) {
        if !isJSON { error(Array((TerminalText.clean(text) + "\n").utf8)) }
    }
}

/// How far long work is, on standard error: one line that changes on a terminal, else a line now
/// and then.
package struct Progress {
    private let console: Console
    private var next = ContinuousClock.now
    private var isShown = false

    package init(_ console: Console) {
        self.console = console
        if !console.errorIsTerminal { next += .seconds(5) }
    }

    package mutating func update(_ text: @autoclosure () -> String) {
        guard !console.isJSON, .now >= next else { return }
        let line = TerminalText.clean(text())
        if console.errorIsTerminal {
            next = .now + .milliseconds(200)
            console.error(Array("\r\u{1b}[K\(line)".utf8))
            isShown = true
        } else {
            next = .now + .seconds(5)
            console.error(Array("\(line)\n".utf8))
        }
    }

    /// Takes the line away: what follows is the result.
    package mutating func end() {
        if isShown { console.error(Array("\r\u{1b}[K".utf8)) }
        isShown = false
    }
}
