import ConfigFile
import Testing

/// Any tree goes; what is tested is what the parser itself refuses.
private var anything: ConfigType<ConfigNode> { ConfigType { node, _, _ in node } }

private func read(_ bytes: [UInt8], limits: ConfigLimits = ConfigLimits()) -> [String] {
    bytes.withUnsafeBytes { buffer in
        do throws(ConfigProblems) {
            _ = try anything.readDocument(buffer, file: "f", limits: limits)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }
}

private func read(_ text: String, limits: ConfigLimits = ConfigLimits()) -> [String] {
    read(Array(text.utf8), limits: limits)
}

@Suite struct ConfigParserTests {
    @Test(arguments: [
        ("", "f:1:1: the document is empty"),
        ("# only a comment\n", "f:1:1: the document is empty"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here"),
        ("a: &x 1\nb: 2\n", "f:1:4: anchors (&name) are not supported"),
        ("a: 1\nb: *x\n", "f:2:4: aliases (*name) are not supported"),
        ("a: !secret 1\n", "f:1:4: the tag !secret is not supported"),
        ("a: !!binary aGk=\n", "f:1:4: the tag tag:yaml.org,2002:binary is not supported"),
        ("a: !!set {b}\n", "f:1:4: the tag tag:yaml.org,2002:set is not supported"),
        ("a: !!int \"3\"\n", "f:1:4: a tag on quoted text"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "%TAG directives are not supported"),
        ("a: 1\na: 2\n", "f:2:1: a: given twice, first on line 1"),
        ("a:\n  b: 1\n  \"b\": 2\n", "f:3:3: a.b: given twice, first on line 2"),
        ("? [a]\n: 1\n", "f:1:3: a field's name must be text"),
        ("? \n: 1\n", "a field's name must be text"),
        ("b: {c: 1}\na:\n  <<: {d: 1}\n", "f:3:3: a.\"<<\": merge keys are not supported"),
        ("a:\n\tb: 1\n", "a tab is not allowed here"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a: \"x\n", "not valid YAML"),
        ("a: b: c\n", "f:1:5: not valid YAML"),
        ("a: \u{1}\n", "f:1:4: not valid YAML: control characters are not allowed"),
    ])
    func refuses(_ text: String, _ expected: String) {
        let found = read(text)
        #expect(found.contains { $0.contains(expected) }, "\(text.debugDescription): \(found)")
    }

    @Test func everyDuplicateIsReported() {
        let found = read("a: 1\nb: 1\na: 2\nb: 2\na: 3\n")
        #expect(
            found == [
                "f:3:1: a: given twice, first on line 1: remove one of them",
                "f:4:1: b: given twice, first on line 2: remove one of them",
                "f:5:1: a: given twice, first on line 1: remove one of them",
            ])
    }

    @Test func invalidUTF8IsPlaced() {
        #expect(
            read(Array("a: é\nb: x".utf8) + [0xff]).first?.hasPrefix("f:2:5: not valid UTF-8")
                == true)
        #expect(read([0xc0, 0x80]).first?.hasPrefix("f:1:1: not valid UTF-8") == true)
        #expect(read([0x61, 0xed, 0xa0, 0x80]).first?.hasPrefix("f:1:2: not valid UTF-8") == true)
    }

    @Test func limitsHold() {
        let small = ConfigLimits(bytes: 100, depth: 4, nodes: 10)
        #expect(
            read(String(repeating: "#", count: 101), limits: small).first?.contains("101 bytes")
                == true)
        #expect(read("[[[[1]]]]", limits: small) == [])
        #expect(read("[[[[[1]]]]]", limits: small).first?.hasPrefix("f:1:5: nested deeper") == true)
        #expect(read("- - - - - 1", limits: small).first?.hasPrefix("f:1:9: nested deeper") == true)
        #expect(read("[1,2,3,4,5,6,7,8,9]", limits: small) == [])
        #expect(
            read("[1,2,3,4,5,6,7,8,9,10]", limits: small).first?.contains("more than the 10")
                == true)
    }

    /// Wide is not deep: as many values as are allowed are read.
    @Test func manyValuesAreRead() {
        let text = "[" + String(repeating: "1,", count: 65_000) + "1]"
        #expect(read(text) == [])
        #expect(read((0..<32_000).map { "k\($0): 1\n" }.joined()) == [])
    }

    /// What brings down careless readers: each must end, and with a report.
    @Test(arguments: [
        String(repeating: "[", count: 1 << 19), String(repeating: "{", count: 1 << 19),
        String(repeating: "- ", count: 1 << 19), String(repeating: "? ", count: 1 << 19),
        String(repeating: "{a: ", count: 1 << 17), String(repeating: "!", count: 1 << 19),
        "a: " + String(repeating: "'", count: 1 << 19 | 1),
        "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n",
    ])
    func hostileIsRefused(_ text: String) {
        #expect(!read(text).isEmpty)
    }

    @Test func reportIsBounded() {
        let text = (0..<2000).map { _ in "a: 1\n" }.joined()
        let found = read(text)
        #expect(found.count == 101)
        #expect(found.last?.contains("and 1899 more problems") == true)
    }

    @Test func everyTruncationEnds() {
        let text = "a: [1, {b: \"c\\n\"}]\nd: |\n  text\n  é\ne:\n- f: 'g'\n  h: !!str 1\n"
        let bytes = Array(text.utf8)
        for count in 0...bytes.count { _ = read(Array(bytes.prefix(count))) }
        #expect(read(bytes) == [])
    }

    @Test func everyByteChangedEnds() {
        let bytes = Array("a: [1, {b: \"c\"}]\nd: |\n  x\ne:\n- f: 'g'\n".utf8)
        for index in bytes.indices {
            for value: UInt8 in [0, 9, 10, 13, 33, 34, 38, 39, 42, 58, 63, 91, 123, 128, 194, 255] {
                var changed = bytes
                changed[index] = value
                _ = read(changed)
            }
        }
    }

    @Test func treeKeepsPlaces() throws {
        let log = ConfigLog(file: "f")
        let root = try #require(
            ConfigParser.parse(text: "é: [a]\nb:\n  c: ~\n  d: '~'\n", log: log))
        #expect(log.isEmpty)
        let list = try #require(root["é"])
        #expect(list.start.line == 1 && list.start.column == 4 && list.isFlow)
        guard case .list(let items) = list.content,
            case .scalar("a", isQuoted: false)? = items.first?.content
        else {
            Issue.record("no list: \(list)")
            return
        }
        guard case .null? = root["b"]?["c"]?.content,
            case .scalar("~", isQuoted: true)? = root["b"]?["d"]?.content
        else {
            Issue.record("null and quoted null: \(root)")
            return
        }
        #expect(root["b"]?["d"]?.start.line == 4 && root["b"]?["d"]?.start.column == 6)
    }
}
