import Bytes
import CSodium
import Noise
import Testing
import Timing

/// The ciphers of sessions: known answers, and both implementations against each other.
@Suite struct TransportCipherTests {
    /// 0: libsodium; 1: IPsec-MB where it is there. Where it is not, `widen` changes nothing, and
    /// the second run repeats the first.
    static let widths = [false, true]

    private func keys(_ key: [UInt8], _ suite: TransportSuite) throws -> TransportKeys {
        try #require(
            TransportKeys(
                sendKey: key, receiveKey: key, isInitiator: true, localIndex: 1, remoteIndex: 2,
                suite: suite))
    }

    private func cipher(_ isWide: Bool) -> TransportCipher {
        var cipher = TransportCipher()
        if isWide { cipher.widen() }
        #expect(cipher.isWide == (isWide && TransportCipher.canWiden))
        return cipher
    }

    private func seal(
        _ cipher: borrowing TransportCipher, _ keys: TransportKeys, _ counter: UInt64,
        _ plain: [UInt8], inPlace: Bool = false
    ) -> [UInt8] {
        withExtendedLifetime(keys) {
            var sealed = inPlace ? plain : plain.map { _ in 0xee }
            sealed += [UInt8](repeating: 0, count: 16)
            sealed.withUnsafeMutableBytes { output in
                plain.withUnsafeBytes { input in
                    let nothing = UnsafeRawPointer(output.baseAddress!)
                    cipher.seal(
                        keys.sendKey, counter: counter,
                        plaintext: inPlace ? nothing : input.baseAddress ?? nothing,
                        count: plain.count, into: output.baseAddress!)
                }
            }
            return sealed
        }
    }

    private func open(
        _ cipher: borrowing TransportCipher, _ keys: TransportKeys, _ counter: UInt64,
        _ sealed: [UInt8]
    ) -> (isAuthentic: Bool, left: [UInt8]) {
        var message = sealed
        let isAuthentic = withExtendedLifetime(keys) {
            message.withUnsafeMutableBytes {
                cipher.open(
                    keys.receiveKey, counter: counter, ciphertext: $0.baseAddress!,
                    count: $0.count, into: $0.baseAddress!)
            }
        }
        return (isAuthentic, Array(message.dropLast(16)))
    }

    /// Test cases 13 and 14 of the GCM submission to NIST: key, nonce and plaintext are zeros.
    @Test(
        "AES-256-GCM on its authors' test cases", .enabled(if: TransportSuite.aesGCM.isAvailable),
        arguments: widths)
    func aesKnownAnswers(isWide: Bool) throws {
        let cipher = cipher(isWide)
        let keys = try keys([UInt8](repeating: 0, count: 32), .aesGCM)
        #expect(Hex.encode(seal(cipher, keys, 0, [])) == "530f8afbc74536b9a963b4f1c4cb738b")
        #expect(
            Hex.encode(seal(cipher, keys, 0, [UInt8](repeating: 0, count: 16)))
                == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    }

    /// Noise section 12.4: 32 zero bits and the counter in big endian.
    @Test("the counter becomes AES's nonce", .enabled(if: TransportSuite.aesGCM.isAvailable))
    func aesNonce() throws {
        let key = (0..<32).map { UInt8($0) }
        let plain = Array("who is where".utf8)
        var expected = [UInt8](repeating: 0, count: plain.count + 16)
        let nonce: [UInt8] = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        let result = crypto_aead_aes256gcm_encrypt(
            &expected, nil, plain, UInt64(plain.count), nil, 0, nil, nonce, key)
        #expect(result == 0)
        for isWide in Self.widths {
            let sealed = seal(cipher(isWide), try keys(key, .aesGCM), 0x0102_0304_0506_0708, plain)
            #expect(sealed == expected)
        }
    }

    /// The vector of RFC 7539's appendix, whose associated data is not ours, is held to libsodium
    /// in VectorTests; here the wide one is held to libsodium, for every length up to four blocks
    /// of 512 bits, the lengths of packets and the longest.
    @Test("both implementations agree", arguments: TransportSuite.allCases)
    func differential(suite: TransportSuite) throws {
        guard suite.isAvailable else { return }
        let narrow = cipher(false)
        let wide = cipher(true)
        var random = SplitMix64(5)
        let lengths = Array(0...260) + [511, 512, 513, 576, 1280, 1420, 1424, 8920, 65_519]
        for length in lengths {
            let keys = try keys(random.bytes(32), suite)
            let counter = random.next()
            let plain = random.bytes(length)
            let expected = seal(narrow, keys, counter, plain)
            #expect(seal(wide, keys, counter, plain) == expected, "\(length)")
            #expect(seal(wide, keys, counter, plain, inPlace: true) == expected, "\(length)")
            #expect(seal(narrow, keys, counter, plain, inPlace: true) == expected, "\(length)")
            #expect(open(wide, keys, counter, expected) == (true, plain), "\(length)")
            #expect(open(narrow, keys, counter, expected) == (true, plain), "\(length)")
        }
    }

    @Test("a forgery is refused and leaves zeros", arguments: TransportSuite.allCases, widths)
    func forgeries(suite: TransportSuite, isWide: Bool) throws {
        guard suite.isAvailable else { return }
        let cipher = cipher(isWide)
        let keys = try keys([UInt8](repeating: 7, count: 32), suite)
        let plain = (0..<80).map { UInt8($0) }
        let sealed = seal(cipher, keys, 9, plain)
        for bit in 0..<sealed.count * 8 {
            var forged = sealed
            forged[bit / 8] ^= 1 << (bit % 8)
            let (isAuthentic, left) = open(cipher, keys, 9, forged)
            #expect(!isAuthentic)
            #expect(left.allSatisfy { $0 == 0 })
        }
        #expect(!open(cipher, keys, 10, sealed).isAuthentic)
        for length in [0, 1, 15] {
            var short = Array(sealed.prefix(max(1, length)))
            let isAuthentic = withExtendedLifetime(keys) {
                short.withUnsafeMutableBytes {
                    cipher.open(
                        keys.receiveKey, counter: 9, ciphertext: $0.baseAddress!, count: length,
                        into: $0.baseAddress!)
                }
            }
            #expect(!isAuthentic)
        }
    }

    /// WireGuard renews after 2^60 messages; GCM's blocks are too small for that.
    @Test func aesRenewsSooner() {
        #expect(TransportSuite.chaChaPoly.rekeyAfterMessages == 1 << 60)
        #expect(TransportSuite.aesGCM.rekeyAfterMessages == 1 << 27)
        #expect(TransportSuite.aesGCM.rejectAfterMessages == 1 << 28)
    }
}
