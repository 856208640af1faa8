import Addresses
import Timing

/// The text form of sites, conditions and commands: one statement a line, `#` to the end of a
/// line is a comment.
///
///     site west 10.81.1.0/24 fd81:1::/64
///     limit packets 65536 bytes 256MB
///     seed 42
///     set * delay 10ms jitter 1ms normal
///     set west>east loss 1% rate 100mbit queue 256kB
///     at 5s cut west
///     at 8s heal west
package struct WanScript: Hashable, Sendable {
    package static let mostBytes = 1 << 20
    package static let mostLineBytes = 1_024
    package static let mostStatements = 4_096
    /// A mistake in every line helps nobody.
    package static let mostErrors = 50

    package struct Line: Hashable, Sendable {
        package var number: Int
        package var statement: WanStatement
    }

    package private(set) var lines: [Line] = []

    package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        package var errors: [WanScriptError]

        package var description: String {
            errors.map(\.description).joined(separator: "\n")
        }
    }

    /// Every error is reported, not just the first.
    package init(_ text: some StringProtocol) throws(Failure) {
        guard text.utf8.count <= Self.mostBytes else {
            throw Failure(errors: [
                WanScriptError(
                    line: 1, column: 1, message: "a script has at most \(Self.mostBytes) bytes")
            ])
        }
        var errors: [WanScriptError] = []
        var number = 0
        for line in Array(text.utf8).split(separator: 10, omittingEmptySubsequences: false) {
            number += 1
            guard errors.count < Self.mostErrors else { break }
            do throws(WanScriptError) {
                guard let statement = try Self.statement(Array(line), line: number) else {
                    continue
                }
                guard lines.count < Self.mostStatements else {
                    throw WanScriptError(
                        line: number, column: 1,
                        message: "a script has at most \(Self.mostStatements) statements")
                }
                lines.append(Line(number: number, statement: statement))
            } catch {
                errors.append(error)
            }
        }
        if !errors.isEmpty { throw Failure(errors: errors) }
    }

    /// The statement of one line, nil if it is empty. Anything may come in here.
    package static func statement(
        _ bytes: [UInt8], line: Int = 1
    ) throws(WanScriptError) -> WanStatement? {
        guard bytes.count <= mostLineBytes else {
            throw WanScriptError(
                line: line, column: mostLineBytes + 1,
                message: "a line has at most \(mostLineBytes) bytes")
        }
        if let strange = bytes.firstIndex(where: { $0 > 126 || ($0 < 32 && $0 != 9 && $0 != 13) }) {
            throw WanScriptError(
                line: line, column: strange + 1, message: "only printable ASCII is allowed")
        }
        var words = WanWords(bytes, line: line)
        guard !words.isAtEnd else { return nil }
        let statement = try words.statement()
        try words.end()
        return statement
    }

    /// For the fuzzer and for tests: any bytes, no trap, and what parses must parse again from
    /// its own text.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let statement = try? Self.statement(Array(bytes.prefix(2_048))),
            let command = statement.command
        else { return }
        let again = try? Self.statement(Array(command.description.utf8))
        precondition(again == .now(command))
    }
}
