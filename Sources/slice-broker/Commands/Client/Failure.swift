import KafkaClient
import KafkaWire

/// Exit codes. They are part of the interface.
package enum ExitStatus: Int32, Sendable {
    case done = 0
    case failed = 1
    case usage = 2

    package static let help = """
        EXIT CODES
          0  done
          1  the cluster refused or cannot be reached: the message says why
          2  wrong usage, or an input that is not valid
        """
}

/// Why a command ends without having done all that it was asked.
package struct Failure: Error, Equatable, Sendable {
    package var status: ExitStatus
    /// Kafka's name of the error, or a word of our own: stable, for scripts.
    package var code: String
    /// One sentence a line.
    package var message: String
    package var hint: String?

    package init(_ status: ExitStatus, _ code: String, _ message: String, hint: String? = nil) {
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
    }

    package static func usage(_ message: String, hint: String? = nil) -> Failure {
        Failure(.usage, "usage", message, hint: hint)
    }

    package static func refused(
        _ code: ErrorCode, _ what: String, _ detail: String? = nil
    ) -> Failure {
        let said = detail.flatMap { $0.isEmpty ? nil : $0 } ?? Advice.meaning(code)
        return Failure(
            .failed, code.description, "\(what): \(said.map { "\($0) " } ?? "")(\(code))",
            hint: Advice.hint(code))
    }

    /// Several things that went wrong, as one.
    package init(all failures: [Failure]) {
        let first = failures.first ?? Failure(.failed, "internal", "nothing went wrong")
        let hints = failures.compactMap(\.hint)
        self.init(
            first.status,
            failures.allSatisfy { $0.code == first.code } ? first.code : "several",
            failures.map(\.message).joined(separator: "\n"),
            hint: hints.allSatisfy { $0 == hints.first } ? hints.first : nil)
    }

    package init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as ClientError: self.init(client: error)
        default: self.init(.failed, "internal", "\(error)")
        }
    }

    private init(client error: ClientError) {
        switch error {
        case .invalidAddress:
            self = .usage(
                "\(error)", hint: "--bootstrap-server takes host:port, several with commas between")
        case .unreachable:
            self.init(
                .failed, "unreachable", "\(error)",
                hint: "is the broker running, and is that its listener? Name others with "
                    + "--bootstrap-server or $\(ClientOptions.variable)")
        case .lost:
            self.init(
                .failed, "lost", "\(error)",
                hint: "whether it was done is not known: look before you do it again")
        case .unsupported:
            self.init(
                .failed, ErrorCode.unsupportedVersion.description, "\(error)",
                hint: "a controller's listener does not serve clients: name a broker's")
        case .malformed: self.init(.failed, "malformed", "\(error)")
        case .refused(let code, let what, let detail): self = .refused(code, what, detail)
        }
    }

    /// For standard error.
    package func text(json: Bool, style: Style) -> String {
        if json {
            let document: JSON = [
                "code": .string(code), "message": .string(message), "hint": JSON(hint),
            ]
            return document.pretty + "\n"
        }
        var text = ""
        for line in message.split(separator: "\n") {
            text += style.paint("error:", .bad) + " \(TerminalText.clean(String(line)))\n"
        }
        if let hint { text += "hint: \(TerminalText.clean(hint))\n" }
        return text
    }
}
