import Noise
import Testing

@Suite("Messages")
struct MessageTests {
    func peek(_ bytes: [UInt8]) -> MessageType? {
        bytes.withUnsafeBytes { MessageType.peek($0) }
    }

    @Test("every length of every type")
    func lengths() {
        for type in 0...255 as ClosedRange<UInt8> {
            for count in 0...200 {
                var bytes = [UInt8](repeating: 0, count: count)
                if count > 0 { bytes[0] = type }
                let expected: MessageType? =
                    switch (type, count) {
                    case (1, 148): .initiation
                    case (2, 92): .response
                    case (3, 64): .cookieReply
                    case (4, 32...): .transport
                    default: nil
                    }
                #expect(peek(bytes) == expected)
            }
        }
        #expect(peek([4] + [UInt8](repeating: 0, count: 65_534)) == .transport)
    }

    @Test("reserved bytes must be zero")
    func reserved() {
        for (type, count) in [(1, 148), (2, 92), (3, 64), (4, 32), (4, 1500)] {
            for position in 1...3 {
                for bit in 0..<8 {
                    var bytes = [UInt8](repeating: 0, count: count)
                    bytes[0] = UInt8(type)
                    #expect(peek(bytes) != nil)
                    bytes[position] = 1 << bit
                    #expect(peek(bytes) == nil)
                }
            }
        }
    }

    @Test("the transport header, byte for byte")
    func transportHeader() {
        var bytes = [UInt8](repeating: 0xEE, count: 17)
        bytes.withUnsafeMutableBytes {
            TransportMessage.writeHeader(
                at: $0.baseAddress!, receiverIndex: 0x0403_0201, counter: 0x0807_0605_0403_0201)
        }
        #expect(bytes == [4, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0xEE])
        let header = bytes.withUnsafeBytes { TransportMessage.readHeader(at: $0.baseAddress!) }
        #expect(header.receiverIndex == 0x0403_0201 && header.counter == 0x0807_0605_0403_0201)
    }

    @Test("fields follow one another without gaps")
    func offsets() {
        typealias I = InitiationMessage
        #expect(I.encryptedStatic == I.ephemeral + 32)
        #expect(I.encryptedTimestamp == I.encryptedStatic + I.encryptedStaticSize)
        #expect(I.mac1 == I.encryptedTimestamp + I.encryptedTimestampSize)
        #expect(I.mac2 == I.mac1 + 16 && I.size == I.mac2 + 16)
        typealias R = ResponseMessage
        #expect(R.encryptedNothing == R.ephemeral + 32)
        #expect(R.mac1 == R.encryptedNothing + R.encryptedNothingSize)
        #expect(R.mac2 == R.mac1 + 16 && R.size == R.mac2 + 16)
        typealias C = CookieReplyMessage
        #expect(C.encryptedCookie == C.nonce + 24)
        #expect(C.size == C.encryptedCookie + C.encryptedCookieSize)
    }
}

@Suite("Transport")
struct TransportTests {
    let keys: (TransportKeys, TransportKeys)

    init() throws {
        var random = SplitMix64(21)
        let (a, b) = (random.bytes(32), random.bytes(32))
        keys = (
            try #require(
                TransportKeys(
                    sendKey: a, receiveKey: b, isInitiator: true, localIndex: 1, remoteIndex: 2)),
            try #require(
                TransportKeys(
                    sendKey: b, receiveKey: a, isInitiator: false, localIndex: 2, remoteIndex: 1))
        )
    }

    @Test("sealed and opened in place, every small size and some large")
    func roundTrip() {
        var random = SplitMix64(22)
        for count in Array(0...300) + [1420, 1500, 9000, 65_503] {
            let payload = random.bytes(count)
            let counter = random.next()
            let message = seal(keys.0, receiverIndex: 2, counter: counter, payload)
            #expect(open(keys.1, message) == payload)
            #expect(open(keys.0, message) == nil, "the other direction has another key")
        }
    }

    @Test("no flipped bit after the index is opened, and no truncation")
    func flips() {
        var random = SplitMix64(23)
        let payload = random.bytes(48)
        let message = seal(keys.0, receiverIndex: 2, counter: 7, payload)
        for bit in (TransportMessage.counter * 8)..<(message.count * 8) {
            var flipped = message
            flipped[bit / 8] ^= 1 << (bit % 8)
            #expect(open(keys.1, flipped) == nil)
        }
        for count in TransportMessage.payload..<message.count {
            #expect(open(keys.1, Array(message.prefix(count))) == nil)
        }
    }

    @Test("a packet opened apart from its ciphertext leaves that alone")
    func apart() {
        let message = seal(keys.0, receiverIndex: 2, counter: 7, [1, 2, 3])
        var output = [UInt8](repeating: 9, count: 4)
        let isAuthentic = withExtendedLifetime(keys.1) {
            message.withUnsafeBytes { message in
                output.withUnsafeMutableBytes {
                    TransportCipher().open(
                        keys.1.receiveKey, counter: 7,
                        ciphertext: message.baseAddress! + TransportMessage.payload,
                        count: message.count - TransportMessage.payload, into: $0.baseAddress!)
                }
            }
        }
        #expect(isAuthentic && output == [1, 2, 3, 9])
    }

    @Test("keys of another length are refused, and none are printed")
    func keyObjects() {
        #expect(
            TransportKeys(
                sendKey: [1], receiveKey: [2], isInitiator: true, localIndex: 0, remoteIndex: 0)
                == nil)
        #expect("\(keys.0)" == "TransportKeys(1, 2, hidden)")
        var dumped = ""
        dump(keys.0, to: &dumped)
        #expect(!dumped.contains("0x"))
    }
}
