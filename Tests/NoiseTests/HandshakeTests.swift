import Bytes
import Noise
import Testing

@Suite("Handshake")
struct HandshakeTests {
    @Test("every field is what the independent reference makes")
    func transcripts() throws {
        let transcripts = try Transcript.readAll()
        #expect(transcripts.count == 16)
        for transcript in transcripts {
            let played = try play(transcript)
            for name in transcript.order {
                #expect(
                    Hex.encode(played[name]) == Hex.encode(transcript[name]),
                    "field \(name)")
            }
        }
    }
}
