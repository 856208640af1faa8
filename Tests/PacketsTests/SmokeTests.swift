import Packets
import Testing

@Test func virtioHeaderIsTenBytes() {
    #expect(VirtioNetHeader.size == 10)
}
