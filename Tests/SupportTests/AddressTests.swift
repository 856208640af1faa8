import Addresses
import Testing

@Suite struct AddressTests {
    /// Left as read, right as RFC 5952 section 4 writes it.
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"),
        ("2001:0db8::0001", "2001:db8::1"), ("2001:DB8::AB", "2001:db8::ab"),
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        // One zero group stays (4.2.2), the longest run goes (4.2.3), the first of equals.
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("0:0:1::", "0:0:1::"), ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        // Section 5: dotted only where it is known to be IPv4.
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("::192.0.2.1", "::c000:201"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
    func ipv6Canonical(_ text: String, _ canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1::", "1:::2",
        "::1:", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:1.2.3.4",
        "1.2.3.4::", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "::1%1", "[::1]",
        " ::1",
        "::1 ", "::+1", "::-1", "fe80::1%eth0", "0x1::", "::1.2.3.4:5", "１::",
    ])
    func ipv6Refused(_ text: String) { #expect(IPv6Address(text) == nil) }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "01.2.3.4", "1..2.3", ".1.2.3",
        "1.2.3.", "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "1.2.3.-4", "0x1.2.3.4", "1.2.3.4/8",
        "a.b.c.d",
        "1.2.3.1000", "１.2.3.4",
    ])
    func ipv4Refused(_ text: String) { #expect(IPv4Address(text) == nil) }

    @Test(arguments: ["0.0.0.0", "255.255.255.255", "10.0.0.1", "192.0.2.255", "1.20.255.0"])
    func ipv4RoundTrips(_ text: String) { #expect(IPv4Address(text)?.description == text) }

    @Test(arguments: [
        ("1.2.3.4:5", "1.2.3.4:5"), ("1.2.3.4:65535", "1.2.3.4:65535"), ("[::1]:0", "[::1]:0"),
        ("[fe80::1%2]:51820", "[fe80::1%2]:51820"), ("[FD00::0]:00080", "[fd00::]:80"),
    ])
    func endpoints(_ text: String, _ printed: String) {
        #expect(IPEndpoint(text)?.description == printed)
    }

    @Test(arguments: [
        "", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1", "::1:80",
        "[::1]",
        "[::1]80", "[::1]:", "[::1:80", "::1]:80", "[1.2.3.4]:80", "[fe80::1%]:80",
        "[fe80::1%x]:80",
        "[fe80::1%99999999999]:80", "host:80", "1.2.3.4:8 0", "[]:80",
    ])
    func endpointsRefused(_ text: String) { #expect(IPEndpoint(text) == nil) }

    @Test(arguments: [
        ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("0.0.0.0/0", "0.0.0.0/0"),
        ("1.2.3.4/0", "0.0.0.0/0"), ("fd00::1/64", "fd00::/64"), ("::/0", "::/0"),
        ("ffff::/1", "8000::/1"), ("fd00::ff/127", "fd00::fe/127"),
        ("fd00:0:0:3::/63", "fd00:0:0:2::/63"),
        ("fd00::8000:0:0:1/65", "fd00::8000:0:0:0/65"), ("::1", "::1/128"),
    ])
    func prefixes(_ text: String, _ printed: String) {
        #expect(IPPrefix(text)?.description == printed)
    }

    @Test(arguments: [
        "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/0008", "10.0.0.0/ 8", "10/8",
    ])
    func prefixesRefused(_ text: String) { #expect(IPPrefix(text) == nil) }

    @Test func hostBits() {
        #expect(IPPrefix.hasHostBits("10.0.0.1/8"))
        #expect(!IPPrefix.hasHostBits("10.0.0.0/8"))
        #expect(!IPPrefix.hasHostBits("10.0.0.1"))
        #expect(IPPrefix.hasHostBits("fd00::1/64"))
        #expect(!IPPrefix.hasHostBits("nonsense"))
    }

    @Test func addressAt() {
        #expect(IPPrefix("10.0.0.0/30")?.address(at: 3)?.description == "10.0.0.3")
        #expect(IPPrefix("10.0.0.0/30")?.address(at: 4) == nil)
        #expect(IPPrefix("10.0.0.1/32")?.address(at: 0)?.description == "10.0.0.1")
        #expect(IPPrefix("10.0.0.1/32")?.address(at: 1) == nil)
        #expect(IPPrefix("0.0.0.0/0")?.address(at: 1 << 32) == nil)
        #expect(IPPrefix("0.0.0.0/0")?.address(at: (1 << 32) - 1)?.description == "255.255.255.255")
        #expect(
            IPPrefix("fd00::/64")?.address(at: .max)?.description == "fd00::ffff:ffff:ffff:ffff")
        #expect(IPPrefix("::/0")?.address(at: .max)?.description == "::ffff:ffff:ffff:ffff")
    }
}
