import Noise
import Testing
import Timing

@Suite("Cookies")
struct CookieTests {
    let local: StaticIdentity
    let peer: StaticIdentity
    let toLocal: RemoteIdentity
    let message: [UInt8]
    let source: [UInt8] = [192, 0, 2, 1, 0x12, 0x34]
    let start = Instant(nanoseconds: 5_000_000_000)

    init() throws {
        let entropy = Entropy.seeded(11)
        local = StaticIdentity(PrivateKey(from: entropy))
        peer = StaticIdentity(PrivateKey(from: entropy))
        toLocal = RemoteIdentity(local: peer, publicKey: local.publicKey)
        message = try Initiator.begin(
            local: peer, remote: toLocal, ephemeral: PrivateKey(from: entropy), senderIndex: 77,
            timestamp: TAI64N(label: 1, nanoseconds: 0)
        ).message
    }

    func verify(
        _ checker: CookieChecker, _ message: [UInt8], _ source: [UInt8], _ now: Instant
    ) -> Bool {
        withBytes(message, source) { checker.verifyMAC2($0, source: $1, now: now) }
    }

    func reply(
        _ checker: inout CookieChecker, _ message: [UInt8], _ now: Instant
    ) -> [UInt8]? {
        withBytes(message, source) {
            checker.reply(to: $0, source: $1, now: now, entropy: .seeded(12))
        }
    }

    /// A checker and a message that carries its cookie.
    func exchange() throws -> (checker: CookieChecker, sealed: [UInt8]) {
        var checker = CookieChecker(local)
        var store = CookieStore(toLocal)
        var sent = message
        store.seal(&sent, now: start)
        let made = reply(&checker, sent, start)
        let isTaken = store.consume(try #require(made), now: start)
        try #require(isTaken)
        store.seal(&sent, now: start)
        return (checker, sent)
    }

    @Test("a cookie opens the door to its source, for two minutes")
    func lifetime() throws {
        let (checker, sealed) = try exchange()
        #expect(verify(checker, sealed, source, start))
        let end = start + WireGuard.cookieSecretLifetime
        #expect(verify(checker, sealed, source, end - Nanoseconds(1)))
        #expect(!verify(checker, sealed, source, end))
        #expect(!verify(checker, sealed, source, end + .seconds(1000)))
    }

    @Test("another address or port is another source")
    func wrongSource() throws {
        let (checker, sealed) = try exchange()
        for i in source.indices {
            var other = source
            other[i] ^= 1
            #expect(!verify(checker, sealed, other, start))
        }
        #expect(!verify(checker, sealed, source + [0], start))
        #expect(!verify(checker, sealed, [], start))
    }

    @Test("no flipped bit of a message passes MAC2")
    func flippedMessage() throws {
        let (checker, sealed) = try exchange()
        for bit in 0..<(sealed.count * 8) {
            var flipped = sealed
            flipped[bit / 8] ^= 1 << (bit % 8)
            #expect(!verify(checker, flipped, source, start))
        }
    }

    @Test("without a secret nothing passes, not even a MAC2 of zeros")
    func noSecret() {
        #expect(!verify(CookieChecker(local), message, source, start))
    }

    @Test("the secret is changed every two minutes and not before")
    func rotation() throws {
        var checker = CookieChecker(local)
        var store = CookieStore(toLocal)
        func obtain(_ now: Instant) throws -> [UInt8] {
            var sent = message
            store.seal(&sent, now: now)
            let made = reply(&checker, sent, now)
            let isTaken = store.consume(try #require(made), now: now)
            try #require(isTaken)
            sent = message
            store.seal(&sent, now: now)
            return sent
        }
        let first = try obtain(start)
        let late = start + WireGuard.cookieSecretLifetime - Nanoseconds(1)
        // The entropy is seeded alike, so a new secret would be another part of the stream.
        #expect(try obtain(late) == first)
        #expect(verify(checker, first, source, late))
        let after = start + WireGuard.cookieSecretLifetime
        let script = ScriptedEntropy([UInt8](repeating: 9, count: 56))
        let renewed = withBytes(message, source) {
            checker.reply(to: $0, source: $1, now: after, entropy: script.entropy)
        }
        #expect(renewed != nil)
        #expect(!verify(checker, first, source, after))
    }

    @Test("a sender forgets its cookie after two minutes")
    func storeLifetime() throws {
        var checker = CookieChecker(local)
        var store = CookieStore(toLocal)
        var sent = message
        store.seal(&sent, now: start)
        let made = reply(&checker, sent, start)
        let isTaken = store.consume(try #require(made), now: start)
        #expect(isTaken && store.hasCookie(start))
        let end = start + WireGuard.cookieLifetime
        var fresh = message
        store.seal(&fresh, now: end - Nanoseconds(1))
        #expect(fresh != message)
        var stale = message
        store.seal(&stale, now: end)
        #expect(stale == message && !store.hasCookie(end))
    }

    @Test("a reply answers the message sent last, once")
    func binding() throws {
        var checker = CookieChecker(local)
        let made = reply(&checker, message, start)
        let answer = try #require(made)
        var store = CookieStore(toLocal)
        var isTaken = store.consume(answer, now: start)
        #expect(!isTaken, "nothing was sent")

        var other = message
        other.withUnsafeMutableBytes { buffer in
            buffer[4] ^= 1
            MAC1.append(to: buffer, key: local.mac1Key)
        }
        store.seal(&other, now: start)
        isTaken = store.consume(answer, now: start)
        #expect(!isTaken, "another message was sent")

        var sent = message
        store.seal(&sent, now: start)
        isTaken = store.consume(answer, now: start)
        #expect(isTaken)
        isTaken = store.consume(answer, now: start)
        #expect(!isTaken, "taken once already")

        var stranger = CookieStore(
            RemoteIdentity(local: local, publicKey: peer.publicKey))
        stranger.seal(&sent, now: start)
        isTaken = stranger.consume(answer, now: start)
        #expect(!isTaken, "from another peer")
    }

    @Test("no flipped bit of a reply is taken")
    func flippedReply() throws {
        var checker = CookieChecker(local)
        let made = reply(&checker, message, start)
        let answer = try #require(made)
        var store = CookieStore(toLocal)
        var sent = message
        store.seal(&sent, now: start)
        for bit in 0..<(answer.count * 8) where !(32..<64).contains(bit) {
            var flipped = answer
            flipped[bit / 8] ^= 1 << (bit % 8)
            let isTaken = store.consume(flipped, now: start)
            #expect(!isTaken, "bit \(bit)")
        }
        for count in 0..<64 {
            let isTaken = store.consume(Array(answer.prefix(count)), now: start)
            #expect(!isTaken)
        }
        #expect(CookieReplyMessage.receiverIndex(of: answer) == 77)
        // The index is not part of what is sealed; the caller finds the peer by it.
        let isTaken = store.consume(answer, now: start)
        #expect(isTaken, "refused replies change nothing")
    }

    @Test("MAC1 is for one receiver, and of one message")
    func mac1() {
        let checker = CookieChecker(local)
        #expect(message.withUnsafeBytes { checker.verifyMAC1($0) })
        #expect(!message.withUnsafeBytes { CookieChecker(peer).verifyMAC1($0) })
        for bit in 0..<(132 * 8) {
            var flipped = message
            flipped[bit / 8] ^= 1 << (bit % 8)
            #expect(!flipped.withUnsafeBytes { checker.verifyMAC1($0) })
        }
        for count in [0, 1, 31, 32, 64, 92, 147] {
            #expect(!Array(message.prefix(count)).withUnsafeBytes { checker.verifyMAC1($0) })
        }
    }

    @Test("only handshake messages are answered")
    func onlyHandshakes() {
        var checker = CookieChecker(local)
        for bytes in [[], [1, 0, 0, 0], [UInt8](repeating: 0, count: 148)] as [[UInt8]] {
            let made = reply(&checker, bytes, start)
            #expect(made == nil)
        }
        var transport = [UInt8](repeating: 0, count: 148)
        transport[0] = 4
        let made = reply(&checker, transport, start)
        #expect(made == nil)
    }
}

extension CookieReplyMessage {
    static func receiverIndex(of message: [UInt8]) -> UInt32? {
        message.withUnsafeBytes { receiverIndex(of: $0) }
    }
}
