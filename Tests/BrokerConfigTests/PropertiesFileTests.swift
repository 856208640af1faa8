import BrokerConfig
import Testing

struct PropertiesFileTests {
    struct Example: Sendable {
        var text: String
        var entries: [[String]]
    }

    static let examples: [Example] = [
        .init(text: "", entries: []),
        .init(text: "a=1", entries: [["a", "1"]]),
        .init(text: "a = 1\nb:2\nc 3", entries: [["a", "1"], ["b", "2"], ["c", "3"]]),
        .init(text: "# comment\n! another\n\n  a=1", entries: [["a", "1"]]),
        .init(text: "a=1,\\\n   2,\\\n   3", entries: [["a", "1,2,3"]]),
        .init(text: "a=x\\\\\nb=2", entries: [["a", "x\\"], ["b", "2"]]),
        .init(text: "a\\ b=c\\u0041\\t.", entries: [["a b", "cA\t."]]),
        .init(text: "a=b=c", entries: [["a", "b=c"]]),
        .init(text: "a", entries: [["a", ""]]),
        .init(text: "a=1  \r\nb=2", entries: [["a", "1"], ["b", "2"]]),
        .init(text: "listeners=PLAINTEXT://:9092", entries: [["listeners", "PLAINTEXT://:9092"]]),
        .init(text: "a=\\\n# not a comment", entries: [["a", "# not a comment"]]),
    ]

    @Test(arguments: examples) func parses(_ example: Example) throws {
        let file = try PropertiesFile(parsing: example.text)
        #expect(file.entries.map { [$0.key, $0.value] } == example.entries)
    }

    @Test func countsLines() throws {
        let file = try PropertiesFile(parsing: "\n# x\na=1\\\n2\nb=3")
        #expect(file.entries.map(\.line) == [3, 5])
    }

    @Test func refusesBrokenEscapes() {
        #expect(throws: PropertiesError.self) { try PropertiesFile(parsing: "a=1\nb=\\u12") }
        #expect(throws: PropertiesError.self) { try PropertiesFile(parsing: "=1") }
    }

    @Test func everyPrefixIsAnErrorOrAFile() {
        let text = "a.b=c\\u0041\\\n d : \\t x\n!#\n=\n\\"
        for count in 0...text.count { _ = try? PropertiesFile(parsing: String(text.prefix(count))) }
    }
}
