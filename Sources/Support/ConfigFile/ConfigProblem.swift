/// One thing that is wrong with a configuration file, where it is, and what to do about it.
package struct ConfigProblem: Error, Hashable, Sendable {
    package var file: String
    /// From 1. The column counts Unicode scalars, as editors do.
    package var line: Int
    package var column: Int
    /// The field, such as `spec.prefixes[1]`; empty for the document itself.
    package var path: String
    package var message: String

    package init(file: String, line: Int, column: Int, path: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.message = message
    }
}

extension ConfigProblem: CustomStringConvertible {
    /// As compilers print it, so that editors can jump to the place.
    package var description: String {
        let place = "\(file):\(line):\(column): "
        return path.isEmpty ? place + message : place + path + ": " + message
    }
}

/// Everything that is wrong with a file, in the order of the file.
package struct ConfigProblems: Error, Hashable, Sendable, CustomStringConvertible {
    package var problems: [ConfigProblem]

    package init(_ problems: [ConfigProblem]) { self.problems = problems }

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Where problems gather while a document is read. Bounded: a hostile document must not turn
/// into an unbounded report.
package final class ConfigLog {
    package let file: String
    private let limit: Int
    /// What is gathered, in the plural.
    private let noun: String
    private var gathered: [ConfigProblem] = []
    private var leftOut = 0

    package init(file: String, limit: Int = 100, noun: String = "problems") {
        self.file = file
        self.limit = limit
        self.noun = noun
    }

    package var isEmpty: Bool { gathered.isEmpty }

    /// What is reported from now on is only counted: costly hints are not worth their making.
    package var isFull: Bool { gathered.count >= limit }

    package func report(_ mark: ConfigMark, _ path: ConfigPath, _ message: String) {
        guard gathered.count < limit else {
            leftOut += 1
            return
        }
        let problem = ConfigProblem(
            file: file, line: mark.line, column: mark.column, path: path.description,
            message: message)
        // Two checks may find the same thing at the same place; once is enough for the reader.
        if !gathered.contains(problem) { gathered.append(problem) }
    }

    package func report<Value>(_ located: Located<Value>, _ message: String) {
        report(located.mark, located.path, message)
    }

    /// In the order of the file; at one place, in the order of finding.
    package var problems: [ConfigProblem] {
        var sorted = gathered.enumerated().sorted { a, b in
            (a.element.line, a.element.column, a.offset)
                < (b.element.line, b.element.column, b.offset)
        }.map(\.element)
        if leftOut > 0, let last = sorted.last {
            sorted.append(
                ConfigProblem(
                    file: file, line: last.line, column: last.column, path: "",
                    message: "and \(leftOut) more \(noun), not shown: mend these first"))
        }
        return sorted
    }

    package func throwIfAny() throws(ConfigProblems) {
        if !gathered.isEmpty { throw ConfigProblems(problems) }
    }
}
