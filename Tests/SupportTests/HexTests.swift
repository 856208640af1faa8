import Bytes
import Testing

@Suite struct HexTests {
    @Test func everyByteRoundTrips() {
        let all = (0...255).map { UInt8($0) }
        let text = Hex.encode(all)
        #expect(text.utf8.count == 512)
        #expect(text.hasPrefix("000102") && text.hasSuffix("fdfeff"))
        #expect(Hex.decode(text) == all)
        #expect(Hex.decode(text.uppercased()) == all)
    }

    @Test(arguments: ["0", "0g", "g0", " 00", "00 ", "0x00", "é0", "00\n"])
    func refuses(_ text: String) {
        #expect(Hex.decode(text) == nil)
    }

    @Test func emptyIsEmpty() {
        #expect(Hex.decode("") == [])
        #expect(Hex.encode([]) == "")
    }
}
