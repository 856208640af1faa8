import SliceModel
import Testing

@Suite struct NamesTests {
    @Test(arguments: ["a", "9", "a-b", "a--b", "0-0", String(repeating: "a", count: 63)])
    func labels(_ text: String) { #expect(ClusterName(text)?.text == text) }

    @Test(arguments: [
        "", "-", "-a", "a-", "A", "a.b", "a_b", "a b", "é", "a\n",
        String(repeating: "a", count: 64), "a\0",
    ])
    func notLabels(_ text: String) { #expect(ClusterName(text) == nil) }

    @Test(arguments: ["eu", "eu-central", "us-east-1", "a1"])
    func regions(_ text: String) { #expect(Region(text) != nil) }

    @Test(arguments: ["", "EU", "eu--central", "-eu", "eu-", "1-eu", "eu_central", "eu.central"])
    func notRegions(_ text: String) { #expect(Region(text) == nil) }

    @Test func orderIsOfBytes() throws {
        let names = try ["a", "b", "a-b", "0"].map { try #require(NamespaceName($0)) }
        #expect(names.sorted().map(\.text) == ["0", "a", "a-b", "b"])
    }

    @Test(arguments: [
        ("netns:blue", EndpointReference.netns("blue")),
        ("path:/run/netns/a b", .path("/run/netns/a b")),
        ("pid:1", .pid(1)), ("pid:2147483647", .pid(.max)), ("netns:a:b", .netns("a:b")),
    ])
    func references(_ text: String, _ reference: EndpointReference) {
        #expect(EndpointReference(text) == reference)
        #expect(reference.description == text)
    }

    @Test(arguments: [
        "", "blue", "netns:", "netns:.", "netns:..", "netns:a/b", "netns:a\0b", "netns:a b",
        "path:",
        "path:/", "path:relative", "path:/a\nb", "pid:", "pid:0", "pid:-1", "pid:+1",
        "pid:2147483648",
        "pid:1x", "Pid:1", "netns:" + String(repeating: "a", count: 256),
    ])
    func notReferences(_ text: String) { #expect(EndpointReference(text) == nil) }

    @Test(arguments: [
        ("h:1", "h:1"), ("GW.Example.Net:51820", "gw.example.net:51820"),
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("[::1]:5", "[::1]:5"), ("a-1.b:65535", "a-1.b:65535"), ("4.3.2.1x:9", "4.3.2.1x:9"),
    ])
    func underlayEndpoints(_ text: String, _ printed: String) {
        #expect(UnderlayEndpoint(text)?.description == printed)
    }

    @Test(arguments: [
        "", ":1", "h", "h:", "h:0", "h:65536", "h:01", "h:x", "1.2.3:4", "1.2.3.4.5:6", "h_:1",
        "-h:1",
        "h-:1", "h..x:1", "h.:1", "::1:5", "[::1%1]:5", "[h]:5", "1.2.3.4:0", "[::1]:0", "h 1:2",
        String(repeating: "a", count: 64) + ":1",
    ])
    func notUnderlayEndpoints(_ text: String) { #expect(UnderlayEndpoint(text) == nil) }
}
