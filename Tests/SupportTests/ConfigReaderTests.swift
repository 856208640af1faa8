import Addresses
import ConfigFile
import Testing
import Timing

private enum Colour: String, CaseIterable { case red, green }

private struct Everything: Equatable {
    var text: String?
    var count: Int?
    var flag: Bool?
    var wait: Nanoseconds?
    var size: Int?
    var address: IPAddress?
    var prefix: IPPrefix?
    var endpoint: IPEndpoint?
    var colour: Colour?
    var list: [Int]?

    static var type: ConfigType<Everything> {
        .object { o in
            Everything(
                text: o.optional("text", .string(1...10)),
                count: o.optional("count", .int(-5...100)),
                flag: o.optional("flag", .bool),
                wait: o.optional("wait", .duration(.milliseconds(1)...Nanoseconds.seconds(3600))),
                size: o.optional("size", .byteSize(1...1 << 30)),
                address: o.optional("address", .address),
                prefix: o.optional("prefix", .prefix),
                endpoint: o.optional("endpoint", .endpoint),
                colour: o.optional("colour", .choice),
                list: o.optional("list", .list(of: .int(0...9), atLeast: 1, atMost: 3)))
        }
    }
}

private func read(_ text: String) -> (Everything?, [String]) {
    Array(text.utf8).withUnsafeBytes { bytes in
        do throws(ConfigProblems) {
            return (try Everything.type.readDocument(bytes, file: "f"), [])
        } catch {
            return (nil, error.problems.map(\.description))
        }
    }
}

@Suite struct ConfigReaderTests {
    @Test func readsEveryType() {
        let (value, problems) = read(
            """
            text: hello
            count: -5
            flag: true
            wait: 500ms
            size: 64KiB
            address: fd00::1
            prefix: 10.0.0.0/8
            endpoint: "[fd00::1]:51820"
            colour: green
            list: [1, 2, 3]
            """)
        #expect(problems == [])
        let expected = Everything(
            text: "hello", count: -5, flag: true, wait: .milliseconds(500), size: 65536,
            address: IPAddress("fd00::1"), prefix: IPPrefix("10.0.0.0/8"),
            endpoint: IPEndpoint("[fd00::1]:51820"), colour: .green, list: [1, 2, 3])
        #expect(value == expected)
    }

    @Test(arguments: [
        // Unknown and missing.
        ("txet: a", "f:1:1: txet: unknown field; did you mean `text`?"),
        ("zzzzzz: a", "f:1:1: zzzzzz: unknown field; known here: text, count"),
        ("text:", "f:1:1: text: has no value: give it one or remove the field"),
        ("- a", "f:1:1: must be a map of fields, not a list"),
        // Text that readers disagree about.
        ("text: no", "`no` could be read as true or false: quote it, \"no\""),
        ("text: Yes", "true or false"), ("text: ON", "true or false"),
        ("text: y", "true or false"), ("text: 010", "a number"), ("text: 1_000", "a number"),
        ("text: 0x1F", "a number"), ("text: 0o17", "a number"), ("text: 0b11", "a number"),
        ("text: 1e3", "a number"), ("text: -.5", "a number"), ("text: .inf", "a number"),
        ("text: -.NaN", "a number"), ("text: 1:30", "base sixty"),
        ("text: -190:20:30", "base sixty"), ("text: 2001-12-14", "a date"),
        ("text: =", "an operator"),
        ("text: 3", "a number"), ("text: [a]", "must be text, not a list"),
        ("text: \"\"", "has 0 bytes; at least 1"),
        ("text: abcdefghijk", "has 11 bytes; at most 10"),
        ("text: \"a\\0b\"", "a control character"), ("text: \"a\\x9bb\"", "a control character"),
        // Numbers.
        ("count: 010", "begins with 0"), ("count: 0x10", "not a whole number"),
        ("count: 1_0", "not a whole number"), ("count: 1.0", "not a whole number"),
        ("count: +1", "not a whole number"), ("count: \"1\"", "without quotes"),
        ("count: 101", "101 is out of range: -5 to 100"), ("count: -6", "out of range"),
        ("count: 99999999999999999999999", "out of range"), ("count: --1", "not a whole number"),
        ("count: -0", "out of range"), ("count: {}", "must be a whole number, not a map"),
        // Truth.
        ("flag: yes", "`yes` is not true or false: write true"),
        ("flag: Off", "write false"), ("flag: True", "write true"),
        ("flag: 1", "not true or false"),
        ("flag: \"true\"", "without quotes"),
        // Quantities.
        ("wait: 10", "`10` is not a duration"), ("wait: 10 s", "not a duration"),
        ("wait: 1.5s", "not a duration"), ("wait: 010s", "not a duration"),
        ("wait: s", "not a duration"), ("wait: -1s", "not a duration"),
        ("wait: 2h", "out of range: 1ms to 1h"), ("wait: 999us", "out of range"),
        ("wait: 9223372036854775807h", "not a duration"),
        ("size: 1KB", "not a size"), ("size: 1024", "not a size"), ("size: 2GiB", "out of range"),
        // Addresses.
        ("address: 10.0.0.256", "`10.0.0.256` is not an address"),
        ("address: 010.0.0.1", "not an address"), ("address: 10.0.0.1/8", "not an address"),
        ("prefix: 10.0.0.1/8", "bits set beyond /8: write 10.0.0.0/8"),
        ("prefix: 10.0.0.1", "not a prefix"), ("prefix: 10.0.0.0/33", "not a prefix"),
        ("endpoint: 10.0.0.1", "not an address with a port"),
        ("endpoint: 10.0.0.1:65536", "not an address with a port"),
        // Words and lists.
        ("colour: gren", "`gren` is not one of red, green; did you mean `green`?"),
        ("colour: blue", "`blue` is not one of red, green"),
        ("list: 1", "must be a list, not a single"),
        ("list: []", "f:1:7: list: needs at least 1 item"),
        ("list: [1,2,3,4]", "f:1:14: list[3]: too many: 4 items, at most 3"),
        ("list: [1,~]", "f:1:10: list[1]: must be a whole number, not nothing"),
    ])
    func reports(_ text: String, _ expected: String) {
        let (value, problems) = read(text)
        #expect(value == nil)
        let wanted = expected == "an operator" ? "a YAML operator" : expected
        #expect(problems.contains { $0.contains(wanted) }, "\(text): \(problems)")
        #expect(problems.count == 1, "\(text): \(problems)")
    }

    @Test(arguments: [
        "hello", "a-b", "nope", "yesno", "1.2.3.4", "fd00::1", "v1", "0xyz", "1h", "-", "1-2", "é",
        "2001-12-xx",
    ])
    func acceptsPlainText(_ text: String) {
        // A lone dash is a list in YAML: only quoted can it be text.
        let written = text == "-" ? "\"-\"" : text
        let (value, problems) = read("text: \(written)")
        #expect(value?.text == text, "\(problems)")
    }

    @Test(arguments: [
        "no", "010", "1:30", "~", "", "=", "2001-12-14", "a", "\"", "\\", "a b", "é#",
    ])
    func quotedTextComesBack(_ text: String) {
        let (value, problems) = read("text: \(plainIfSafe(text))\ncount: 1")
        #expect(text.isEmpty ? problems.count == 1 : value?.text == text, "\(problems)")
    }

    @Test func everythingWrongIsReportedInOrder() {
        let (_, problems) = read("colour: x\ncount: x\nflag: x\nother: x\ntext: no\n")
        let lines = problems.map { $0.split(separator: ":")[1] }
        #expect(lines == ["1", "2", "3", "4", "5"], "\(problems)")
    }

    @Test func terminalIsSafe() {
        let (_, problems) = read("\"a\\e[31m\\nb\": 1\ncolour: \"\\e]0;x\\a\\u202e\"\n")
        #expect(problems.count == 2)
        for problem in problems {
            #expect(!problem.unicodeScalars.contains { $0.value < 32 || $0.value == 0x202e })
        }
    }

    @Test func closestWord() {
        let words = ["manifest", "privateKeyFile", "listenPort", "owner"]
        #expect(Similarity.closest(to: "manifset", among: words) == "manifest")
        #expect(Similarity.closest(to: "private_key_file", among: words) == "privateKeyFile")
        #expect(Similarity.closest(to: "listen-port", among: words) == "listenPort")
        #expect(Similarity.closest(to: "Owners", among: words) == "owner")
        #expect(Similarity.closest(to: "prefixes", among: words) == nil)
        #expect(Similarity.closest(to: "", among: words) == nil)
        #expect(Similarity.closest(to: String(repeating: "x", count: 100_000), among: words) == nil)
    }
}
