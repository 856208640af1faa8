import ConfigFile
import LinuxNet

/// Why a slice cannot run, or an endpoint not be attached: whole sentences, each with what to do.
struct SliceFailure: Error, Hashable, CustomStringConvertible {
    var problems: [String]

    init(_ problem: String) { problems = [problem] }
    init(_ problems: [String]) { self.problems = problems }

    var description: String { problems.joined(separator: "\n") }

    /// One line for each thing that is wrong.
    static func lines(_ error: any Error) -> [String] {
        switch error {
        case let failure as SliceFailure: failure.problems
        case let problems as ConfigProblems: problems.problems.map(\.description)
        default: ["\(error)"]
        }
    }
}
