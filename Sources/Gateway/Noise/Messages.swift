import Bytes

/// The four messages (WireGuard paper 5.4). Each begins with its type and three zero bytes.
package enum MessageType: UInt8, Sendable, CaseIterable {
    case initiation = 1
    case response = 2
    case cookieReply = 3
    case transport = 4

    /// What a datagram claims to be; nil if its length cannot be right or a reserved byte is
    /// set. Reads nothing beyond the first four bytes.
    @inlinable @inline(__always)
    package static func peek(_ datagram: UnsafeRawBufferPointer) -> MessageType? {
        guard datagram.count >= TransportMessage.minimumSize, let base = datagram.baseAddress
        else { return nil }
        // Type and reserved bytes at once: as one little-endian word they equal the type.
        switch base.loadLittle(0, as: UInt32.self) {
        case 4: return .transport
        case 1: return datagram.count == InitiationMessage.size ? .initiation : nil
        case 2: return datagram.count == ResponseMessage.size ? .response : nil
        case 3: return datagram.count == CookieReplyMessage.size ? .cookieReply : nil
        default: return nil
        }
    }
}

/// First message, initiator to responder (paper 5.4.2).
package enum InitiationMessage {
    @inlinable package static var size: Int { 148 }
    package static let senderIndex = 4
    package static let ephemeral = 8
    package static let encryptedStatic = 40
    package static let encryptedStaticSize = 48
    package static let encryptedTimestamp = 88
    package static let encryptedTimestampSize = 28
    package static let mac1 = 116
    package static let mac2 = 132
}

/// Second message, responder to initiator (paper 5.4.3).
package enum ResponseMessage {
    @inlinable package static var size: Int { 92 }
    package static let senderIndex = 4
    package static let receiverIndex = 8
    package static let ephemeral = 12
    package static let encryptedNothing = 44
    package static let encryptedNothingSize = 16
    package static let mac1 = 60
    package static let mac2 = 76

    /// The index of ours that a response is addressed to; the caller has peeked.
    package static func receiverIndex(of message: UnsafeRawBufferPointer) -> UInt32? {
        guard message.count == size, let base = message.baseAddress else { return nil }
        return base.loadLittle(receiverIndex, as: UInt32.self)
    }
}

/// What a responder under load answers instead (paper 5.4.7).
package enum CookieReplyMessage {
    @inlinable package static var size: Int { 64 }
    package static let receiverIndex = 4
    package static let nonce = 8
    package static let encryptedCookie = 32
    package static let encryptedCookieSize = 32

    /// The index of ours that a cookie reply is addressed to; the caller has peeked.
    package static func receiverIndex(of message: UnsafeRawBufferPointer) -> UInt32? {
        guard message.count == size, let base = message.baseAddress else { return nil }
        return base.loadLittle(receiverIndex, as: UInt32.self)
    }
}

/// An encrypted packet (paper 5.4.6): header, ciphertext, tag. A keepalive has no ciphertext.
package enum TransportMessage {
    @inlinable package static var receiverIndex: Int { 4 }
    @inlinable package static var counter: Int { 8 }
    /// Where the ciphertext begins, that is, the size of the header.
    @inlinable package static var payload: Int { 16 }
    /// Header and tag: what a message is longer than its padded packet.
    @inlinable package static var overhead: Int { 32 }
    @inlinable package static var minimumSize: Int { 32 }

    /// Writes the 16 bytes of the header.
    @inlinable @inline(__always)
    package static func writeHeader(
        at base: UnsafeMutableRawPointer, receiverIndex index: UInt32, counter value: UInt64
    ) {
        base.storeLittle(UInt32(4), 0)
        base.storeLittle(index, receiverIndex)
        base.storeLittle(value, counter)
    }

    /// The header's fields; the caller has peeked.
    @inlinable @inline(__always)
    package static func readHeader(
        at base: UnsafeRawPointer
    ) -> (receiverIndex: UInt32, counter: UInt64) {
        (
            base.loadLittle(receiverIndex, as: UInt32.self),
            base.loadLittle(counter, as: UInt64.self)
        )
    }
}
