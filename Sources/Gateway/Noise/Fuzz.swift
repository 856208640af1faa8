import Timing

/// Entry points for fuzzers, one for each message from outside. Pure and deterministic: the keys
/// are fixed, so a corpus found once goes on meaning something.
package enum NoiseFuzz {
    private static let entropy = Entropy.seeded(0x5EED)
    private static let initiator = StaticIdentity(PrivateKey(from: entropy))
    private static let responder = StaticIdentity(PrivateKey(from: entropy))
    private static let ephemeral = PrivateKey(from: entropy)
    private static let toResponder = RemoteIdentity(
        local: initiator, publicKey: responder.publicKey)
    private static let toInitiator = RemoteIdentity(
        local: responder, publicKey: initiator.publicKey)
    private static let now = Instant(nanoseconds: 1)
    private static let begun = try? Initiator.begin(
        local: initiator, remote: toResponder, ephemeral: ephemeral, senderIndex: 7,
        timestamp: TAI64N(label: 1, nanoseconds: 0))

    /// A handshake that the entry points below would accept, to start a corpus with.
    package static let seeds: [[UInt8]] = {
        guard let begun,
            let received = try? Responder.consume(begun.message, local: responder),
            let answer = try? received.authenticate(toInitiator)
                .respond(ephemeral: ephemeral, senderIndex: 9)
        else { return [] }
        var checker = CookieChecker(responder)
        let reply = begun.message.withUnsafeBytes { message in
            checker.reply(
                to: message, source: UnsafeRawBufferPointer(start: nil, count: 0), now: now,
                entropy: Entropy.seeded(1))
        }
        var packet = [UInt8](repeating: 0, count: TransportMessage.overhead)
        packet.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            TransportMessage.writeHeader(at: base, receiverIndex: 9, counter: 0)
            ChaChaPoly.seal(
                key: transportKey.base, counter: 0, plaintext: base + TransportMessage.payload,
                count: 0, into: base + TransportMessage.payload)
        }
        return [begun.message, answer.message, reply ?? [], packet]
    }()

    private static let transportKey = SecretBytes(count: 32) { _ in }

    /// The MAC1 of fuzzed bytes is made right first: no fuzzer would guess it.
    private static func withMAC1(
        _ bytes: UnsafeRawBufferPointer, _ key: Bytes32, _ use: ([UInt8]) -> Void
    ) {
        var message = Array(bytes)
        use(message)
        guard message.count >= 32 else { return }
        message.withUnsafeMutableBytes { MAC1.append(to: $0, key: key) }
        use(message)
    }

    /// True if the bytes, MAC1 corrected, were taken as an initiation.
    @discardableResult
    package static func initiation(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isTaken = false
        withMAC1(bytes, responder.mac1Key) { message in
            guard let received = try? Responder.consume(message, local: responder) else { return }
            isTaken = (try? received.authenticate(toInitiator)) != nil
        }
        return isTaken
    }

    /// True if the bytes, MAC1 corrected, were taken as a response.
    @discardableResult
    package static func response(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isTaken = false
        withMAC1(bytes, initiator.mac1Key) { message in
            isTaken = (try? begun?.handshake.finish(message)) != nil
        }
        return isTaken
    }

    /// True if the bytes were taken as a cookie reply.
    @discardableResult
    package static func cookieReply(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard var message = begun?.message else { return false }
        var store = CookieStore(toResponder)
        store.seal(&message, now: now)
        return store.consume(bytes, now: now)
    }

    /// True if the bytes were taken as a transport message.
    @discardableResult
    package static func transport(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard MessageType.peek(bytes) == .transport, let base = bytes.baseAddress
        else { return false }
        let window = ReplayWindow()
        let counter = TransportMessage.readHeader(at: base).counter
        guard window.check(counter) else { return false }
        var clear = [UInt8](repeating: 0, count: bytes.count)
        let isAuthentic = clear.withUnsafeMutableBytes { buffer in
            guard let output = buffer.baseAddress else { return false }
            return ChaChaPoly.open(
                key: transportKey.base, counter: counter,
                ciphertext: base + TransportMessage.payload,
                count: bytes.count - TransportMessage.payload, into: output)
        }
        return isAuthentic && window.accept(counter)
    }
}
