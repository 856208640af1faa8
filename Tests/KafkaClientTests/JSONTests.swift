import Testing
import slice_broker

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONProblem) -> JSON {
        try JSONParser.parse(Array(text.utf8))
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let value: JSON = [
            "z": [1, -2, .integer(.max), .integer(.min)], "a": ["b": nil, "c": true, "d": false],
            "text": "quote \" back \\ line \n tab \t bell \u{7} del \u{7f} \u{1f600} é",
            "empty": [], "none": [:], "nested": [["x": []], "y"],
        ]
        #expect(try parse(value.compact) == value)
        #expect(try parse(value.pretty) == value)
        #expect(!value.compact.contains("\n"))
        #expect(value.compact.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
        #expect(value.pretty.contains("\"z\": [1,-2,"))
    }

    @Test func everyTruncationIsRefused() {
        let text = #"{"a":[1,{"b":"\u00e9\ud83d\ude00\n"},null],"c":true}"#
        #expect(throws: Never.self) { try parse(text) }
        for length in 0..<text.utf8.count {
            #expect(throws: JSONProblem.self) {
                try JSONParser.parse(Array(text.utf8.prefix(length)))
            }
        }
    }

    @Test(arguments: [
        "{", "}", "[1,]", "{,}", #"{"a" 1}"#, #"{"a":1,"a":2}"#, "1.5", "1e3", "+1", "--1", "01x",
        "nul", "\"\n\"", #""\x""#, #""\u12""#, #""\ud800""#, #""\ud800\u0041""#, "1 2", "'a'",
        "9223372036854775808",
    ])
    func noJSON(_ text: String) {
        #expect(throws: JSONProblem.self) { try parse(text) }
    }

    @Test func depthHasALimit() {
        #expect(throws: JSONProblem.self) {
            try parse(String(repeating: "[", count: 100_000))
        }
        #expect(throws: JSONProblem.self) {
            try JSONParser.parse([UInt8(ascii: "\""), 0xff, UInt8(ascii: "\"")])
        }
    }

    @Test func problemsHaveALine() {
        do throws(JSONProblem) {
            _ = try parse("{\n \"a\": 1,\n \"b\": x\n}")
            Issue.record("was read")
        } catch {
            #expect(error.description == "line 3: a value is expected")
        }
    }

    @Test(
        arguments: [
            (-1, "?"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
            (1_048_524, "1.0 MiB"), (1 << 30, "1.0 GiB"), (123 << 20, "123 MiB"), (.max, "8.0 EiB"),
        ] as [(Int64, String)])
    func bytes(_ count: Int64, _ text: String) {
        #expect(Quantity.bytes(count) == text)
    }

    @Test(
        arguments: [
            (-1, "?"), (0, "0ms"), (999, "999ms"), (1000, "1s"), (59_999, "59s"), (60_000, "1m"),
            (125_000, "2m 5s"), (3_600_000, "1h"), (90_000_000, "1d 1h"),
        ] as [(Int64, String)])
    func durations(_ milliseconds: Int64, _ text: String) {
        #expect(Quantity.duration(milliseconds: milliseconds) == text)
    }
}
