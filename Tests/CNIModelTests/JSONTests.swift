import CNIModel
import Foundation
import Testing

@Suite struct JSONTests {
    static func parse(_ text: String) throws -> JSON { try JSONParser.parse(Array(text.utf8)) }

    /// What goes in comes out: order, numbers, unknown things.
    @Test(arguments: [
        #"{}"#, #"[]"#, #"null"#, #"true"#, #"-0.50e+07"#, #""""#, #"{"b":1,"a":[1.50,null,{}]}"#,
        #"{"a":1,"a":2}"#, #"["\"\\\n\t\u0001é\#u{1f600}"]"#, #"12345678901234567890123456789"#,
    ])
    func staysAsItIs(_ text: String) throws {
        #expect(String(decoding: try Self.parse(text).bytes, as: UTF8.self) == text)
    }

    @Test(arguments: [
        (#" { "a" : [ 1 , 2 ] } "#, #"{"a":[1,2]}"#),
        (#""\u00e9\/\ud83d\ude00""#, "\"é/\u{1f600}\""),
        (#""\ud83d""#, "\"\u{fffd}\""), (#""\ud83d\u0041""#, "\"\u{fffd}A\""),
        (#""\ude00x""#, "\"\u{fffd}x\""), (#""\b\f\n\r\t""#, #""\u0008\u000c\n\r\t""#),
    ])
    func isWrittenPlainly(_ text: String, _ plain: String) throws {
        #expect(String(decoding: try Self.parse(text).bytes, as: UTF8.self) == plain)
    }

    @Test(arguments: [
        ("", "line 1, column 1: there is nothing"), (" ", "line 1, column 2: it ends too early"),
        ("{\"a\": }", "line 1, column 7: this is no JSON value"),
        ("{\n \"a\": 1\n b", "line 3, column 2: a comma or } is missing"),
        ("{a: 1}", "line 1, column 2: a name in double quotes is missing"),
        ("{\"a\" 1}", "line 1, column 6: a colon is missing"),
        ("[1,]", "line 1, column 4: this is no JSON value"),
        ("[1 2]", "line 1, column 4: a comma or ] is missing"),
        ("1 2", "line 1, column 3: something comes after the end"),
        ("01", "line 1, column 2: something comes after the end"),
        ("1.", "line 1, column 3: a digit is missing"),
        ("-", "line 1, column 2: a digit is missing"),
        ("\"a", "line 1, column 3: a text has no end"),
        ("\"\\x\"", "line 1, column 4: an unknown escape"),
        ("\"\\u12g4\"", "line 1, column 6: an escape needs four hexadecimal digits"),
        ("\"\n\"", "line 2, column 1: a control character in a text"),
        ("nul", "line 1, column 1: this is no JSON value"),
    ])
    func isRefused(_ text: String, _ problem: String) {
        #expect {
            try Self.parse(text)
        } throws: {
            "\($0)" == problem
        }
    }

    @Test func hasLimits() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try Self.parse(nested(JSONParser.maximumDepth))
        #expect(throws: JSONProblem.self) { try Self.parse(nested(JSONParser.maximumDepth + 1)) }
        #expect(throws: JSONProblem.self) { try Self.parse(nested(1_000_000)) }
        let long = [UInt8](repeating: 0x20, count: JSONParser.maximumBytes + 1)
        #expect(throws: JSONProblem.self) { try JSONParser.parse(long) }
        #expect(throws: JSONProblem.self) { try JSONParser.parse([0x22, 0xff, 0x22]) }
    }

    /// Foundation's reader agrees on what is JSON, save that it lets a last comma pass.
    @Test func agreesWithFoundation() throws {
        for text in [
            #"{"a":[1,"x",{"b":null}]}"#, "[1 2]", "{\"a\":1", "[-]", "[1e5]",
            "[\"\\ud83d\\ude00\"]",
        ] {
            let theirs = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            #expect((theirs != nil) == ((try? Self.parse(text)) != nil), "\(text)")
        }
    }

    @Test func aDuplicateCountsLast() throws {
        var object = try #require(try Self.parse(#"{"a":1,"b":null,"a":2}"#).object)
        #expect(object["a"]?.integer == 2)
        #expect(object["b"] == nil)
        object["a"] = .bool(true)
        object["c"] = .string("x")
        #expect(JSON.object(object).bytes == Array(#"{"a":1,"b":null,"a":true,"c":"x"}"#.utf8))
    }
}
