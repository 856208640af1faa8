import Timing

import Bytes

/// The responder's half of cookies (WireGuard paper 5.3, 5.4.7): what a host under load asks
/// for before it spends a Diffie-Hellman on a stranger.
///
/// A cookie is a MAC of the sender's address under a secret that changes every two minutes, so
/// nothing is stored per sender.
package struct CookieChecker: Sendable {
    private let mac1Key: Bytes32
    private let cookieKey: Bytes32
    private var secret: SecretBytes?
    private var madeAt = Instant(nanoseconds: 0)

    package init(_ local: StaticIdentity) {
        mac1Key = local.mac1Key
        cookieKey = local.cookieKey
    }

    /// Whether a handshake message was made for us. The first thing to ask of one.
    package func verifyMAC1(_ message: UnsafeRawBufferPointer) -> Bool {
        guard Self.isHandshake(message) else { return false }
        return MAC1.verify(message, key: mac1Key)
    }

    /// Whether MAC2 was made with a cookie that we gave to this source within two minutes.
    /// `source` is the sender's address and port, in any fixed form.
    package func verifyMAC2(
        _ message: UnsafeRawBufferPointer, source: UnsafeRawBufferPointer, now: Instant
    ) -> Bool {
        guard Self.isHandshake(message), let secret = freshSecret(now) else { return false }
        return Self.withCookie(secret, source) { MAC2.verify(message, cookie: $0) }
    }

    /// The 64-byte answer to a handshake message whose MAC1 is right; nil if it is not a
    /// handshake message. Makes a new secret when the old one is two minutes old.
    package mutating func reply(
        to message: UnsafeRawBufferPointer, source: UnsafeRawBufferPointer, now: Instant,
        entropy: Entropy
    ) -> [UInt8]? {
        guard Self.isHandshake(message), let received = message.baseAddress else { return nil }
        let secret = freshSecret(now) ?? makeSecret(now, entropy)
        var reply = [UInt8](repeating: 0, count: CookieReplyMessage.size)
        reply.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            base.storeLittle(UInt32(MessageType.cookieReply.rawValue), 0)
            // The sender's index is at the same place in both handshake messages.
            base.storeLittle(
                received.loadLittle(InitiationMessage.senderIndex, as: UInt32.self),
                CookieReplyMessage.receiverIndex)
            let nonce = base + CookieReplyMessage.nonce
            entropy.fill(
                UnsafeMutableRawBufferPointer(start: nonce, count: XChaChaPoly.nonceSize))
            Self.withCookie(secret, source) { cookie in
                cookieKey.withPointer { key in
                    XChaChaPoly.seal(
                        key: key, nonce: nonce, plaintext: cookie,
                        associated: UnsafeRawBufferPointer(
                            start: received + (message.count - 32), count: 16),
                        into: base + CookieReplyMessage.encryptedCookie)
                }
            }
        }
        return reply
    }

    private func freshSecret(_ now: Instant) -> SecretBytes? {
        guard let secret, now - madeAt < WireGuard.cookieSecretLifetime else { return nil }
        return secret
    }

    private mutating func makeSecret(_ now: Instant, _ entropy: Entropy) -> SecretBytes {
        let made = SecretBytes(count: 32) { bytes in
            entropy.fill(UnsafeMutableRawBufferPointer(start: bytes, count: 32))
        }
        secret = made
        madeAt = now
        return made
    }

    private static func isHandshake(_ message: UnsafeRawBufferPointer) -> Bool {
        switch MessageType.peek(message) {
        case .initiation, .response: true
        case .cookieReply, .transport, nil: false
        }
    }

    /// The cookie for `source`: MAC(secret, address and port).
    private static func withCookie<R>(
        _ secret: SecretBytes, _ source: UnsafeRawBufferPointer,
        _ use: (UnsafeRawBufferPointer) -> R
    ) -> R {
        Sodium.withScratch(16) { cookie in
            var hash = secret.withBytes { BLAKE2s(key: $0, digestSize: 16) }
            hash.update(source)
            hash.finish(into: cookie)
            return use(UnsafeRawBufferPointer(start: cookie, count: 16))
        }
    }
}

/// The sender's half of cookies, one for each peer: remembers the MAC1 last sent, takes the
/// cookie that answers it, and puts MAC2 into handshake messages while the cookie is fresh.
package struct CookieStore: Sendable {
    private let cookieKey: Bytes32
    private var lastMAC1: [UInt8]?
    private var cookie: SecretBytes?
    private var receivedAt = Instant(nanoseconds: 0)

    package init(_ remote: RemoteIdentity) {
        cookieKey = remote.cookieKey
    }

    /// To be called with each handshake message just before it is sent: fills in MAC2 if there
    /// is a fresh cookie (it stays zero otherwise) and remembers MAC1.
    package mutating func seal(_ message: inout [UInt8], now: Instant) {
        precondition(
            message.count == InitiationMessage.size || message.count == ResponseMessage.size,
            "only handshake messages carry MACs")
        lastMAC1 = Array(message[(message.count - 32)..<(message.count - 16)])
        guard let cookie, hasCookie(now) else { return }
        message.withUnsafeMutableBytes { buffer in
            cookie.withBytes { MAC2.append(to: buffer, cookie: $0) }
        }
    }

    /// Takes a cookie reply. False if it does not answer the message sent last, in which case
    /// nothing changes. One reply is taken for each message sent.
    package mutating func consume(_ reply: UnsafeRawBufferPointer, now: Instant) -> Bool {
        guard MessageType.peek(reply) == .cookieReply, let base = reply.baseAddress,
            let mac1 = lastMAC1
        else { return false }
        var isAuthentic = false
        let opened = SecretBytes(count: 16) { cookie in
            isAuthentic = cookieKey.withPointer { key in
                mac1.withUnsafeBytes { mac1 in
                    XChaChaPoly.open(
                        key: key, nonce: base + CookieReplyMessage.nonce,
                        ciphertext: UnsafeRawBufferPointer(
                            start: base + CookieReplyMessage.encryptedCookie,
                            count: CookieReplyMessage.encryptedCookieSize),
                        associated: mac1, into: cookie)
                }
            }
        }
        guard isAuthentic else { return false }
        cookie = opened
        receivedAt = now
        lastMAC1 = nil
        return true
    }

    package mutating func consume(_ reply: [UInt8], now: Instant) -> Bool {
        reply.withUnsafeBytes { consume($0, now: now) }
    }

    /// Whether the next message will carry MAC2.
    package func hasCookie(_ now: Instant) -> Bool {
        cookie != nil && now - receivedAt < WireGuard.cookieLifetime
    }
}
