import KafkaWire

/// What became of one of several things that were asked for at once.
struct Outcome {
    /// `topic orders`.
    var subject: String
    /// What follows it when it was done: `is created`.
    var done: String
    var code: ErrorCode
    var detail: String?
    /// For machines; the error is added.
    var members: [(String, JSON)]

    init(
        _ subject: String, _ done: String, _ code: ErrorCode = .none, detail: String? = nil,
        _ members: [(String, JSON)]
    ) {
        self.subject = subject
        self.done = done
        self.code = code
        self.detail = detail
        self.members = members
    }

    var json: JSON {
        let isDone = code == .none
        return .object(
            members + [
                ("error", isDone ? nil : .string(code.description)),
                ("message", isDone ? nil : JSON(detail ?? Advice.meaning(code))),
            ])
    }

    /// Tells what was done; what was not becomes the failure of the command.
    static func report(_ outcomes: [Outcome], _ console: Console) throws {
        console.result(.array(outcomes.map(\.json))) {
            outcomes.filter { $0.code == .none }
                .map { "\(TerminalText.clean("\($0.subject) \($0.done)"))\n" }.joined()
        }
        let failures = outcomes.filter { $0.code != .none }
            .map { Failure.refused($0.code, $0.subject, $0.detail) }
        if !failures.isEmpty { throw Failure(all: failures) }
    }
}
