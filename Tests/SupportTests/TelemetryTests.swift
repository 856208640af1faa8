import Glibc
import Logging
import Telemetry
import Testing
import Timing

@Suite struct TelemetryTests {
    private func record(
        _ message: String, _ fields: [(key: String, value: String)] = [],
        seconds: Int64 = 1_700_000_000, nanoseconds: Int64 = 42_999_999
    ) -> LogRecord {
        LogRecord(
            level: "warning", priority: 4, label: "tunnel", message: message, fields: fields,
            secondsSince1970: seconds, nanoseconds: nanoseconds)
    }

    private func text(_ record: LogRecord, _ style: LogStyle) -> String {
        String(decoding: record.line(style), as: UTF8.self)
    }

    @Test func theThreeStyles() {
        let r = record("peer gone", [("peer", "west"), ("why", "no \"answer\""), ("zero", "")])
        #expect(
            text(r, .human)
                == "2023-11-14T22:13:20.042Z warning  peer gone peer=west "
                + "why=\"no \\\"answer\\\"\" zero=\"\"\n")
        #expect(
            text(r, .journal)
                == "<4>peer gone peer=west why=\"no \\\"answer\\\"\" zero=\"\"\n")
        #expect(
            text(r, .json)
                == #"{"time":"2023-11-14T22:13:20.042Z","level":"warning","logger":"tunnel","#
                + #""message":"peer gone","fields":{"peer":"west","why":"no \"answer\"","#
                + #""zero":""}}"# + "\n")
    }

    @Test func thePartThatSpeaksStandsBesideTheWordsInJSON() {
        let r = record("x", [("node", "1"), ("part", "quorum")])
        #expect(
            text(r, .json)
                == #"{"time":"2023-11-14T22:13:20.042Z","level":"warning","logger":"tunnel","#
                + #""part":"quorum","message":"x","fields":{"node":"1"}}"# + "\n")
        #expect(text(r, .journal) == "<4>x node=1 part=quorum\n")
        let long = text(record(String(repeating: "x", count: 5000), [("part", "quorum")]), .json)
        #expect(long.contains(#""part":"quorum","message":"xxx"#))
        #expect(long.contains(#""fields":{"truncated":"true"}"#))
    }

    @Test func nothingFromOutsideEndsTheLineOrReachesTheTerminal() {
        let evil = "a\nb\r\u{1b}[31m\u{7f}\u{9b}\u{202e}\0"
        for style in [LogStyle.human, .journal, .json] {
            let line = record(evil, [(evil, evil)]).line(style)
            #expect(line.last == 0x0a)
            #expect(line.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7f })
            let scalars = String(decoding: line, as: UTF8.self).unicodeScalars
            #expect(!scalars.contains { (0x80..<0xa0).contains($0.value) || $0.value == 0x202e })
        }
    }

    @Test func longLinesAreCutAtACharacter() {
        for length in [4000, 4060, 4061, 4062, 4063, 4090, 5000, 100_000] {
            for unit in ["x", "\u{e9}", "\u{1F600}", "\u{1}"] {
                let r = record(
                    String(repeating: unit, count: length),
                    [("k", String(repeating: unit, count: length))])
                for style in [LogStyle.human, .journal, .json] {
                    let line = r.line(style)
                    #expect(line.count <= LogRecord.maximumLineBytes)
                    #expect(String(validating: line, as: UTF8.self) != nil)
                    #expect(line.last == 0x0a)
                    if style == .json { #expect(line.suffix(2).first == UInt8(ascii: "}")) }
                }
            }
        }
    }

    /// Dates from `date -u -d @N`.
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00"), (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"), (4_107_542_400, "2100-03-01T00:00:00"),
            (-1, "1969-12-31T23:59:59"), (1_735_689_599, "2024-12-31T23:59:59"),
            (Int64.max, "9999-12-31T23:59:59"),
        ] as [(Int64, String)])
    func civilTime(seconds: Int64, expected: String) {
        let line = text(record("", seconds: seconds, nanoseconds: 0), .human)
        #expect(line.hasPrefix(expected + ".000Z"))
    }

    @Test func styleIsDetected() {
        #expect(LogStyle.detect(journalStream: "8:9", isTerminal: false) == .journal)
        #expect(LogStyle.detect(journalStream: "8:9", isTerminal: true) == .human)
        #expect(LogStyle.detect(journalStream: nil, isTerminal: false) == .human)
        #expect(LogStyle.detect(journalStream: "", isTerminal: false) == .human)
        #expect(LogStyle.detect(journalStream: "8:9", isTerminal: true, json: true) == .json)
    }

    @Test func handlerWritesOneLinePerRecord() {
        var ends: [CInt] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { close(ends[0]) }
        var logger = Logger(label: "test") { label in
            LineLogHandler(label: label, style: .journal, descriptor: ends[1])
        }
        logger[metadataKey: "slice"] = "kafka"
        logger.debug("too low to be seen")
        logger.info("hello", metadata: ["b": "2", "a": "1", "slice": "other"])
        logger.critical("bye")
        close(ends[1])
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &bytes, bytes.count)
        #expect(
            String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
                == "<6>hello a=1 b=2 slice=other\n<2>bye slice=kafka\n")
    }

    @Test func rateLimitHoldsAndTells() {
        var limit = RateLimit<String>(2, per: .seconds(10))
        func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: 5) + .seconds(seconds) }
        #expect(limit.step("a", at: at(0)) == .pass(suppressed: 0))
        #expect(limit.step("a", at: at(1)) == .pass(suppressed: 0))
        #expect(limit.step("a", at: at(2)) == .hold)
        #expect(limit.step("a", at: at(9)) == .hold)
        #expect(limit.step("b", at: at(9)) == .pass(suppressed: 0))
        #expect(limit.step("a", at: at(10)) == .pass(suppressed: 2))
        #expect(limit.step("a", at: at(11)) == .pass(suppressed: 0))
        #expect(limit.step("a", at: at(12)) == .hold)
        #expect(limit.drain(at: at(19), by: <).isEmpty)
        let over = limit.drain(at: at(20), by: <)
        #expect(over.map(\.key) == ["a"] && over.map(\.suppressed) == [1])
        #expect(limit.step("a", at: at(20)) == .pass(suppressed: 0))
    }

    @Test func rateLimitIsBounded() {
        var limit = RateLimit<Int>(1, per: .seconds(1), maximumKeys: 10)
        let start = Instant(nanoseconds: 0)
        for key in 0..<10 { #expect(limit.step(key, at: start) == .pass(suppressed: 0)) }
        #expect(limit.step(11, at: start) == .hold)
        #expect(limit.overflowed == 1)
        for key in 100..<110 {
            #expect(limit.step(key, at: start + .seconds(1)) == .pass(suppressed: 0))
        }
    }
}
