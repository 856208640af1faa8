import Addresses
import Testing
import Timing
import WanModel

@Suite struct WanScriptTests {
    private func statement(_ text: String) throws -> WanStatement? {
        try WanScript.statement(Array(text.utf8))
    }

    @Test func everyStatement() throws {
        let ms = Nanoseconds.milliseconds
        let table: [(String, WanStatement?)] = [
            ("", nil), ("  \t # only words", nil),
            ("seed 18446744073709551615", .now(.seed(.max))),
            (
                "site west 10.81.1.0/24 fd81:1::/64",
                .site(threeSites[0])
            ),
            ("limit packets 10", .limit(packets: 10, bytes: nil)),
            ("limit bytes 1MiB packets 9", .limit(packets: 9, bytes: 1_048_576)),
            ("set * delay 10ms", .now(.set(.all, [.delay(ms(10))]))),
            (
                "set west>east delay 1.5ms jitter 250us normal loss 0.5%",
                .now(
                    .set(
                        .oneWay(from: "west", to: "east"),
                        [
                            .delay(.microseconds(1_500)), .jitter(.microseconds(250), .normal),
                            .loss(Probability(partsPerBillion: 5_000_000)),
                        ]))
            ),
            (
                "set a<>b burst 1% 20% 90% duplicate 2% reorder 3% by 4ms",
                .now(
                    .set(
                        .bothWays("a", "b"),
                        [
                            .burst(
                                .init(
                                    enter: Probability("1%")!, leave: Probability("20%")!,
                                    loss: Probability("90%")!)),
                            .duplicate(Probability("2%")!),
                            .reorder(Probability("3%")!, by: ms(4)),
                        ]))
            ),
            (
                "set a burst off reorder 0% rate unlimited queue 64KiB # comment",
                .now(
                    .set(
                        .touching("a"),
                        [.burst(nil), .reorder(.never, by: .zero), .rate(nil), .queue(65_536)]))
            ),
            ("set * rate 1.5gbit", .now(.set(.all, [.rate(1_500_000_000)]))),
            ("at 5s cut west", .at(.seconds(5), .cut(.touching("west")))),
            ("in 500ms heal west>*", .after(ms(500), .heal(.oneWay(from: "west", to: nil)))),
            ("clear *>b\r", .now(.clear(.oneWay(from: nil, to: "b")))),
            ("show", .show(json: false)), ("show json", .show(json: true)),
            ("stats json", .stats(json: true)),
        ]
        for (text, wanted) in table { #expect(try statement(text) == wanted, "\(text)") }
    }

    @Test(arguments: [
        ("fly", 1, "expected one of seed"), ("seed", 5, "expected a number"),
        ("seed -1", 6, "found `-1`"), ("seed 18446744073709551616", 6, "below 2^64"),
        ("set", 4, "SITE>SITE"), ("set *", 6, "expected one of delay"),
        ("set * delay", 12, "a delay such as"), ("set * delay 10", 13, "found `10`"),
        ("set * delay 25h", 13, "at most a day"), ("set * delay .5s", 13, "a delay"),
        ("set * delay 1.s", 13, "a delay"), ("set * delay 0.1ns", 13, "a delay"),
        ("set * loss 101%", 12, "0% to 100%"), ("set * loss 0.1", 12, "0% to 100%"),
        ("set * loss 1% 2%", 15, "found `2%`"), ("set * reorder 1%", 17, "by TIME"),
        ("set * rate 10bit", 12, "1kbit to 1000gbit"), ("set * rate 0", 12, "unlimited"),
        ("set west>west delay 1ms", 5, "no link to itself"), ("cut west<>*", 5, "SITE<>SITE"),
        ("cut west>", 5, "SITE>SITE"), ("cut >", 5, "SITE>SITE"), ("cut West", 5, "SITE"),
        ("cut a b", 7, "nothing more expected, found `b`"), ("at cut *", 4, "a time"),
        ("at 5s", 6, "expected one of seed"), ("at 5s show", 7, "found `show`"),
        ("at 5s at 6s cut *", 7, "found `at`"), ("site west", 10, "a prefix"),
        ("site west 10.0.0.1/24", 11, "beyond its length"), ("site -x 10.0.0.0/8", 6, "site name"),
        ("limit", 6, "packets NUMBER"), ("limit packets 0", 15, "1 to 1048576"),
        ("show xml", 6, "nothing more"), ("cut \u{e9}", 5, "printable ASCII"),
    ])
    func everyRefusalNamesItsPlace(_ text: String, _ column: Int, _ words: String) throws {
        let error = #expect(throws: WanScriptError.self) { try statement(text) }
        #expect(error?.column == column, "\(text): \(error.map(\.description) ?? "")")
        #expect(error?.message.contains(words) == true, "\(error.map(\.description) ?? "")")
    }

    @Test func allErrorsOfAScriptAreReportedWithTheirLines() {
        let failure = #expect(throws: WanScript.Failure.self) {
            try WanScript("seed 1\n\nfly\n# fine\nset * loss 2\n")
        }
        #expect(failure?.errors.map(\.line) == [3, 5])
        #expect(failure?.description.hasPrefix("line 3, column 1: expected one of seed") == true)
    }

    @Test func sizesAreBounded() {
        let long = String(repeating: " ", count: WanScript.mostLineBytes + 1)
        #expect(throws: WanScriptError.self) { try statement(long) }
        let large = String(repeating: "\n", count: WanScript.mostBytes + 1)
        #expect(throws: WanScript.Failure.self) { try WanScript(large) }
        let many = String(repeating: "cut *\n", count: WanScript.mostStatements + 1)
        #expect(throws: WanScript.Failure.self) { try WanScript(many) }
        let wrong = String(repeating: "fly\n", count: 1_000)
        let failure = #expect(throws: WanScript.Failure.self) { try WanScript(wrong) }
        #expect(failure?.errors.count == WanScript.mostErrors)
    }

    private let sample = """
        site west 10.81.1.0/24 fd81:1::/64
        site east 10.81.3.0/24
        limit packets 100 bytes 9kB
        seed 42
        set west>east delay 10ms jitter 1ms tail loss 1% burst 1% 10% 50%
        set west>east duplicate 2% rate 9mbit queue 1MB
        at 1.5s set * reorder 5% by 2ms
        in 8s heal west<>east # back
        """

    @Test func everyPrefixOfAScriptParsesOrRefuses() {
        for n in 0...sample.utf8.count { _ = try? WanScript(Substring(sample.utf8.prefix(n))) }
    }

    @Test func fuzzEntryTakesAnything() {
        var random = SplitMix64(seed: 5)
        let lines = sample.split(separator: "\n").map { Array($0.utf8) }
        for i in 0..<20_000 {
            var bytes = lines[i % lines.count]
            for _ in 0...random.next(below: 4) {
                let at = Int(random.next(below: UInt64(bytes.count)))
                bytes[at] = UInt8(truncatingIfNeeded: random.next() >> 57)
            }
            bytes.withUnsafeBytes { WanScript.fuzz($0) }
        }
        [UInt8](repeating: 0xff, count: 5_000).withUnsafeBytes { WanScript.fuzz($0) }
    }

    /// What `show` says, read again, makes a model that says the same.
    @Test func showIsAScriptThatMakesTheStateAgain() throws {
        let model = try wan(
            """
            set * delay 10ms
            set west>east jitter 1.5ms normal loss 0.25% burst 1% 10% rate 1.5gbit queue 1234B
            set east>* duplicate 3% reorder 4% by 5ms
            cut central
            at 5s cut west
            at 5s heal west
            """)
        let text = model.show()
        #expect(
            text.contains(
                "set west>east delay 10ms jitter 1.5ms normal loss 0.25% burst 1% 10% 100%"))
        #expect(text.contains("at 5s cut west\nat 5s heal west"))
        #expect(try wan(text).show() == text)
    }

    @Test func reportsNameEveryLinkAndReason() throws {
        var rig = Rig(model: try wan("cut west>east"))
        rig.offer(1, at: start)
        rig.offer(2, from: east, to: west, at: start)
        rig.finish()
        let stats = rig.model.stats()
        #expect(stats.contains("west>east offered 1 (100 bytes) delivered 0 (0 bytes)"))
        #expect(stats.contains("dropped 1 (cut 1)"))
        #expect(rig.model.statsJSON().contains(#""from":"east","to":"west","offered_packets":1"#))
        #expect(rig.model.showJSON().contains(#""from":"west","to":"east","cut":true"#))
    }
}
