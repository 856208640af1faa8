import AdminAPI
import ConfigFile
import Glibc
import LinuxNet
import SliceModel

/// Exit codes. They are part of the interface: `slicectl --help` lists them.
package enum ExitStatus: Int32, Sendable {
    case done = 0
    case failed = 1
    case invalid = 2
    case unreachable = 3
    case notFound = 4
    case conflict = 5

    static let help = """
        EXIT CODES
          0  done
          1  refused or failed: the message says why
          2  wrong usage, or an input file that is not valid
          3  the daemon cannot be reached: not running, not allowed, no answer
          4  not found: a slice, endpoint, cluster or file
          5  conflict: an older manifest, a name or file that is taken
        """
}

/// Why a command ends without having done what it was asked.
package struct Failure: Error, Sendable {
    package var status: ExitStatus
    /// A stable word for scripts, as in `APIError.Code`.
    package var code: String
    package var message: String
    package var hint: String?
    package var problems: [ConfigProblem] = []

    package init(
        _ status: ExitStatus, _ code: String, _ message: String, hint: String? = nil,
        problems: [ConfigProblem] = []
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.problems = problems
    }

    static func usage(_ message: String, hint: String? = nil) -> Failure {
        Failure(.invalid, "usage", message, hint: hint)
    }

    package init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as APIError: self.init(refusal: error)
        case let error as AdminClientError: self.init(client: error)
        case let error as ConfigProblems:
            self.init(
                .invalid, "invalidFile",
                error.problems.count == 1
                    ? "the file has a problem" : "the file has \(error.problems.count) problems",
                problems: error.problems)
        case let error as LinuxError: self.init(linux: error)
        case let error as SignatureProblem:
            self.init(.failed, "badSignature", error.description)
        case let error as OwnerKeyProblem:
            self.init(.invalid, "invalidKey", error.description)
        case let error as SlicePlanProblem:
            self.init(.notFound, "notFound", error.description)
        default: self.init(.failed, "internalError", "\(error)")
        }
    }

    private init(refusal error: APIError) {
        let status: ExitStatus =
            switch error.code {
            case .invalidRequest, .tooLarge: .invalid
            case .notFound: .notFound
            case .conflict: .conflict
            case .unavailable, .timeout: .unreachable
            default: .failed
            }
        self.init(status, error.code.rawValue, error.message, hint: error.hint)
    }

    private init(client error: AdminClientError) {
        let code =
            switch error.reason {
            case .notRunning, .notListening: "notRunning"
            case .notAllowed: "notAllowed"
            case .cannotConnect: "cannotConnect"
            case .timeout: "timeout"
            case .brokenReply: "brokenReply"
            }
        self.init(.unreachable, code, error.message, hint: error.hint)
    }

    private init(linux error: LinuxError) {
        let (status, code): (ExitStatus, String) =
            error.isAbsent
            ? (.notFound, "notFound")
            : error.exists
                ? (.conflict, "conflict")
                : error.isPermission ? (.failed, "notAllowed") : (.failed, "systemError")
        // What to do has a line of its own, so the sentence need not say it too.
        var message = error.description
        var hint = error.hint
        if let text = hint, message.hasSuffix("; \(text)") { message.removeLast(text.count + 2) }
        if let detail = error.detail, let command = detail.split(separator: ": run ").last,
            detail.hasSuffix(": run \(command)"), message.hasSuffix(": run \(command)")
        {
            message.removeLast(command.count + 6)
            hint = "run \(command)"
        }
        self.init(status, code, message, hint: hint)
    }
}

extension Failure {
    struct Document: Encodable {
        struct Problem: Encodable {
            var file: String
            var line: Int
            var column: Int
            var path: String
            var message: String
        }
        var code: String
        var message: String
        var hint: String?
        var problems: [Problem]?
    }

    private var document: Document {
        Document(
            code: code, message: message, hint: hint,
            problems: problems.isEmpty
                ? nil
                : problems.map {
                    Document.Problem(
                        file: $0.file, line: $0.line, column: $0.column, path: $0.path,
                        message: $0.message)
                })
    }

    /// For standard error.
    package func text(json: Bool, style: Style) -> String {
        if json, let text = try? Console.json(document) { return text + "\n" }
        var text = ""
        for problem in problems { text += DisplayText.clean(problem.description) + "\n" }
        text += style.paint("error:", .bad) + " \(DisplayText.clean(message))\n"
        if let hint { text += "hint: \(DisplayText.clean(hint))\n" }
        return text
    }
}
