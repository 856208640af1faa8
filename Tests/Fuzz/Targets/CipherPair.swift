import Glibc
import Noise

/// The cipher that works everywhere and the one for threads that have much to do, side by side.
/// Messages lie one behind the other, each with room for a header before and the tag after it,
/// as in a batch that is sent.
struct CipherPair: ~Copyable {
    static let header = 16
    static var overhead: Int { header + TransportCipher.tagSize }
    private static let guardByte: Int32 = 0xa5

    private enum Side: CaseIterable { case narrow, wide }

    var bug: CipherBug?
    private let narrow = TransportCipher()
    private var wide = TransportCipher()
    private let plain = GuardedMemory()
    /// What the narrow one sealed; the other's; what is opened; and where to, if not in place.
    private let sealed = GuardedMemory()
    private let other = GuardedMemory()
    private let opened = GuardedMemory()
    private let output = GuardedMemory()
    private let expected = GuardedMemory()

    init() {
        wide.widen()
        if !wide.isWide {
            Self.say("no IPsec-MB (\(TransportCipher.description)): libsodium is held to itself")
        }
        if !TransportSuite.aesGCM.isAvailable {
            Self.say("this CPU has no AES instructions: AES-256-GCM is left out")
        }
    }

    private static func say(_ text: String) {
        let line = "ciphers: \(text)\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }

    func check(_ burst: CipherBurst, _ key: TransportKey, _ counter: UInt64) {
        fill(burst)
        seal(.narrow, burst, key, counter, into: sealed.last(burst.bytes))
        seal(.wide, burst, key, counter, into: other.last(burst.bytes))
        // Lengths, ciphertexts, tags and what lies between.
        require(
            isSame(sealed.last(burst.bytes), other.last(burst.bytes), burst.bytes),
            "two ciphers write two things")
        for side in Side.allCases {
            openAll(side, burst, key, counter)
            refuse(side, burst, key, counter)
            refuseShort(side, burst, key, counter)
        }
    }

    // MARK: Laws

    /// Each opens what the other sealed, and touches nothing else.
    private func openAll(
        _ side: Side, _ burst: CipherBurst, _ key: TransportKey, _ counter: UInt64
    ) {
        let from = opened.last(burst.bytes)
        let bodies = output.last(burst.plainBytes)
        let wanted = expected.last(burst.bytes)
        let written = side == .wide ? sealed.last(burst.bytes) : other.last(burst.bytes)
        memcpy(from, written, burst.bytes)
        memcpy(wanted, from, burst.bytes)
        memset(bodies, Self.guardByte, burst.plainBytes)
        each(burst) { i, message, text in
            let body = message + Self.header
            let into = burst.opensInPlace ? from + body : bodies + text
            let length = burst.lengths[i]
            require(
                open(
                    side, key, counter &+ UInt64(i), from + body,
                    length + TransportCipher.tagSize, into),
                "what one sealed the other refuses")
            let source = plain.last(burst.plainBytes) + text
            require(isSame(into, source, length), "opened, and not what was sealed")
            if burst.opensInPlace { memcpy(wanted + body, source, length) }
        }
        require(isSame(from, wanted, burst.bytes), "opening changed more than the text")
    }

    /// One bit turned, or another counter: refused, zeros in place of the text, no more touched.
    private func refuse(
        _ side: Side, _ burst: CipherBurst, _ key: TransportKey, _ counter: UInt64
    ) {
        let victim = burst.forgery % burst.lengths.count
        let length = burst.lengths[victim]
        let count = length + TransportCipher.tagSize
        let bit = burst.forgery / burst.lengths.count % (count * 8)
        var place = Self.header
        for i in 0..<victim { place += burst.lengths[i] + Self.overhead }
        for isTurned in [true, false] {
            let from = opened.last(burst.bytes)
            let wanted = expected.last(burst.bytes)
            memcpy(from, sealed.last(burst.bytes), burst.bytes)
            if isTurned {
                let byte = from.load(fromByteOffset: place + bit / 8, as: UInt8.self)
                from.storeBytes(
                    of: byte ^ 1 << UInt8(bit % 8), toByteOffset: place + bit / 8, as: UInt8.self)
            }
            memcpy(wanted, from, burst.bytes)
            let into = burst.opensInPlace ? from + place : output.last(length)
            if burst.opensInPlace {
                memset(wanted + place, 0, length)
            } else {
                memset(into, Self.guardByte, length)
            }
            let used = counter &+ UInt64(victim) &+ (isTurned ? 0 : 1 << UInt64(bit & 63))
            require(
                !open(side, key, used, from + place, count, into),
                isTurned ? "a forgery is taken" : "the counter does not matter")
            require(isZero(into, length), "what was refused is left behind")
            require(isSame(from, wanted, burst.bytes), "a refusal changed more than the text")
        }
    }

    /// Shorter than a tag: refused, and there is no text that could be written.
    private func refuseShort(
        _ side: Side, _ burst: CipherBurst, _ key: TransportKey, _ counter: UInt64
    ) {
        let count = burst.forgery % TransportCipher.tagSize
        let from = opened.last(count)
        let wanted = expected.last(count)
        memset(from, Self.guardByte, count)
        memset(wanted, Self.guardByte, count)
        require(!open(side, key, counter, from, count, from), "less than a tag is taken")
        require(isSame(from, wanted, count), "less than a tag was written to")
    }

    // MARK: Ciphers

    private func seal(
        _ side: Side, _ burst: CipherBurst, _ key: TransportKey, _ counter: UInt64,
        into: UnsafeMutableRawPointer
    ) {
        memset(into, Self.guardByte, burst.bytes)
        each(burst) { i, message, text in
            let source = plain.last(burst.plainBytes) + text
            let body = into + message + Self.header
            let length = burst.lengths[i]
            if burst.sealsInPlace { memcpy(body, source, length) }
            let from = UnsafeRawPointer(burst.sealsInPlace ? body : source)
            let used = counter &+ UInt64(i)
            if side == .narrow {
                narrow.seal(key, counter: used, plaintext: from, count: length, into: body)
                return
            }
            wide.seal(key, counter: used, plaintext: from, count: length, into: body)
            if bug == .wrongBit, length % 256 == 241 {
                let byte = body.load(fromByteOffset: length, as: UInt8.self)
                body.storeBytes(of: byte ^ 0x10, toByteOffset: length, as: UInt8.self)
            }
        }
        each(burst) { _, message, _ in
            let untouched = (0..<Self.header).allSatisfy {
                into.load(fromByteOffset: message + $0, as: UInt8.self) == UInt8(Self.guardByte)
            }
            require(untouched, "sealing wrote before a text, or behind a tag")
        }
    }

    private func open(
        _ side: Side, _ key: TransportKey, _ counter: UInt64, _ from: UnsafeMutableRawPointer,
        _ count: Int, _ into: UnsafeMutableRawPointer
    ) -> Bool {
        guard side == .wide else {
            return narrow.open(key, counter: counter, ciphertext: from, count: count, into: into)
        }
        let isOpen = wide.open(key, counter: counter, ciphertext: from, count: count, into: into)
        guard !isOpen, count > TransportCipher.tagSize else { return isOpen }
        if bug == .keepsRefused { into.storeBytes(of: 1, as: UInt8.self) }
        return bug == .takesForgery
    }

    // MARK: Memory

    /// The number, the place and the place of the text of each message.
    private func each(_ burst: CipherBurst, _ body: (Int, Int, Int) -> Void) {
        var message = 0
        var text = 0
        for (i, length) in burst.lengths.enumerated() {
            body(i, message, text)
            message += Self.overhead + length
            text += length
        }
    }

    private func fill(_ burst: CipherBurst) {
        let count = burst.plainBytes
        let text = plain.last(count)
        guard count > 0, let pattern = burst.content.baseAddress else { return }
        var filled = min(count, burst.content.count)
        memcpy(text, pattern, filled)
        while filled < count {
            let more = min(filled, count - filled)
            memcpy(text + filled, text, more)
            filled += more
        }
    }

    private func isSame(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        memcmp(a, b, count) == 0
    }

    private func isZero(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        count == 0
            || bytes.load(as: UInt8.self) == 0 && isSame(bytes, bytes + 1, count - 1)
    }

    private func require(_ isTrue: Bool, _ law: StaticString) {
        guard isTrue else { preconditionFailure("\(law)") }
    }
}
