import AdminAPI
import Testing
import slicectl

@Suite struct TextTests {
    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
            (12_595, "12.3 KiB"), (102_400, "100 KiB"), (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"), (UInt64.max, "16.0 EiB"),
        ] as [(UInt64, String)])
    func bytes(count: UInt64, text: String) { #expect(Units.bytes(count) == text) }

    @Test(
        arguments: [
            (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"),
            (UInt64.max, "18,446,744,073,709,551,615"),
        ] as [(UInt64, String)])
    func counts(count: UInt64, text: String) { #expect(Units.count(count) == text) }

    @Test(
        arguments: [
            (0.1234, "0.12 ms"), (9.994, "9.99 ms"), (9.996, "10.0 ms"), (12.34, "12.3 ms"),
            (123.4, "123 ms"), (9999, "9999 ms"), (12_340, "12.3 s"), (-1, "?"), (.nan, "?"),
            (.infinity, "?"),
        ] as [(Double, String)])
    func milliseconds(value: Double, text: String) { #expect(Units.milliseconds(value) == text) }

    @Test(
        arguments: [
            (0, "now"), (0.99, "now"), (3.9, "3s ago"), (60, "1m ago"), (125, "2m 5s ago"),
            (11_520, "3h 12m ago"), (352_800, "4d 2h ago"), (1e300, "11574074d 1h ago"), (-3, "?"),
            (.nan, "?"),
        ] as [(Double, String)])
    func ages(seconds: Double, text: String) { #expect(Units.ago(seconds) == text) }

    @Test(
        arguments: [
            (1.005, 0, "1"), (0.5, 0, "1"), (-0.04, 1, "0.0"), (-1.25, 1, "-1.3"),
            (2.0, 3, "2.000"),
            (0.0625, 3, "0.063"),
        ] as [(Double, Int, String)])
    func decimals(value: Double, count: Int, text: String) {
        #expect(Units.fixed(value, count) == text)
    }

    @Test func tableColumnsStandUnderOneAnother() {
        let table = Table(
            [.init("NAME"), .init("EMPTY"), .init("BYTES", .right), .init("NOTE")],
            rows: [
                ["a", "", "5 B", "first"], ["日本", "", "123 B", ""],
                ["e\u{301}te", "", "", "third\nline\u{1b}[2J"],
            ])
        #expect(
            table.text(indent: 2) == """
                  NAME  BYTES  NOTE
                  a       5 B  first
                  日本  123 B
                  e\u{301}te          third line?[2J

                """)
        #expect(Table([.init("A")]).text() == "")
    }

    @Test func widthsAreThoseOfATerminal() {
        #expect(DisplayText.width("abc") == 3)
        #expect(DisplayText.width("日本") == 4)
        #expect(DisplayText.width("e\u{301}") == 1)
        #expect(DisplayText.width("") == 0)
        #expect(DisplayText.clean("a\u{202e}b\u{7f}\tc\r\n") == "a?b? c  ")
    }

    @Test func globalOptionsMayStandFirst() {
        #expect(Invocation.hoist(["status", "x"]) == ["status", "x"])
        #expect(
            Invocation.hoist(["--json", "--socket", "s", "slice", "show", "f"])
                == ["slice", "show", "f", "--json", "--socket", "s"])
        #expect(
            Invocation.hoist(["--socket=s", "ping", "a", "--", "-b"])
                == ["ping", "a", "--socket=s", "--", "-b"])
        #expect(Invocation.hoist(["--json"]) == ["--json"])
        #expect(Invocation.hoist(["--json", "--help"]) == ["--json", "--help"])
        #expect(Invocation.hoist([]) == [])
    }
}
