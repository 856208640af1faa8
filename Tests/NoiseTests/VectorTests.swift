import Bytes
import CSodium
import Noise
import Testing

@Suite("Published vectors")
struct VectorTests {
    func hash(_ bytes: [UInt8]) -> String {
        var state = BLAKE2s()
        state.update(bytes)
        return Hex.encode(state.finish())
    }

    @Test("BLAKE2s of RFC 7693 appendix B")
    func blake2sExample() {
        #expect(
            hash(Array("abc".utf8))
                == "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")
        // The empty message, as hashlib gives it.
        #expect(
            hash([]) == "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9")
    }

    /// Appendix E hashes 48 digests, keyed and not, of messages around the block size.
    @Test("BLAKE2s of RFC 7693 appendix E")
    func blake2sGrandTest() {
        func sequence(_ count: Int, seed: UInt32) -> [UInt8] {
            var a = 0xDEAD_4BAD &* seed
            var b: UInt32 = 1
            return (0..<count).map { _ in
                let t = a &+ b
                a = b
                b = t
                return UInt8(truncatingIfNeeded: t >> 24)
            }
        }
        var all = BLAKE2s()
        for digestSize in [16, 20, 28, 32] {
            for count in [0, 3, 64, 65, 255, 1024] {
                let message = sequence(count, seed: UInt32(count))
                var plain = BLAKE2s(digestSize: digestSize)
                plain.update(message)
                all.update(plain.finish())
                let key = sequence(digestSize, seed: UInt32(digestSize))
                var keyed = key.withUnsafeBytes { BLAKE2s(key: $0, digestSize: digestSize) }
                keyed.update(message)
                all.update(keyed.finish())
            }
        }
        #expect(
            Hex.encode(all.finish())
                == "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe")
    }

    @Test("BLAKE2s does not care how the message is cut")
    func blake2sIncremental() {
        var random = SplitMix64(1)
        for _ in 0..<300 {
            let message = random.bytes(Int.random(in: 0...400, using: &random))
            var whole = BLAKE2s()
            whole.update(message)
            var cut = BLAKE2s()
            var left = message[...]
            while !left.isEmpty {
                let n = Int.random(in: 0...min(left.count, 130), using: &random)
                cut.update(Array(left.prefix(n)))
                left = left.dropFirst(n)
            }
            #expect(whole.finish() == cut.finish())
        }
    }

    /// Python: hmac.new(bytes(range(n)), b"Hi There", hashlib.blake2s)
    @Test(
        "HMAC-BLAKE2s, keys shorter and longer than a block",
        arguments: [
            (0, "8a205357e88174e37af26ee43c01a5a5a5dd81e77acc7bf32a595280780a1b68"),
            (1, "8a205357e88174e37af26ee43c01a5a5a5dd81e77acc7bf32a595280780a1b68"),
            (32, "65043ae3113da6f99a94d81b790a6a08dcddef85a14bb01d1aae2ae6d7250146"),
            (63, "036628695ec14a79aabcd731bc688abb9aeb4ee6a2bb9adab2a34c6b31722195"),
            (64, "87e07df092896702eaec04cab5e499fc95a555d885b1d727a1a694aebc26c941"),
            (65, "23c767663fc3b7717486cc40fcdc3d904b301094a4082fa81adc60aca6b3b133"),
            (200, "470d9c4d575f321b875a7fac60c46561092f80bf2f74cab92d7e171ae3cb8c06"),
        ])
    func hmac(_ size: Int, _ expected: String) {
        var mac = [UInt8](repeating: 0, count: 32)
        withBytes((0..<size).map { UInt8($0) }, Array("Hi There".utf8)) { key, message in
            mac.withUnsafeMutableBytes {
                HMACBLAKE2s.authenticate(key: key, message, into: $0.baseAddress!)
            }
        }
        #expect(Hex.encode(mac) == expected)
    }

    @Test(
        "X25519 of RFC 7748 section 5.2",
        arguments: [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
            ),
        ])
    func x25519(_ scalar: String, _ point: String, _ product: String) throws {
        #expect(try agree(scalar, point) == product)
    }

    @Test("X25519 of RFC 7748 section 6.1")
    func x25519KeyAgreement() throws {
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
        let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
        let alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
        let bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        #expect(PrivateKey(hex: alice)?.publicKey.hex == alicePublic)
        #expect(PrivateKey(hex: bob)?.publicKey.hex == bobPublic)
        #expect(try agree(alice, bobPublic) == shared)
        #expect(try agree(bob, alicePublic) == shared)
    }

    /// RFC 7748 section 5.2: k and u become the result and the old k, a thousand times.
    @Test("X25519 of RFC 7748 section 5.2, iterated")
    func x25519Iterated() throws {
        var k = "0900000000000000000000000000000000000000000000000000000000000000"
        var u = k
        for round in 1...1000 {
            (k, u) = (try agree(k, u), k)
            if round == 1 {
                #expect(k == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
            }
        }
        #expect(k == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
    }

    func agree(_ scalar: String, _ point: String) throws -> String {
        let key = try #require(PrivateKey(hex: scalar))
        let remote = try #require(PublicKey(hex: point))
        var shared = [UInt8](repeating: 0, count: 32)
        let isAgreed = shared.withUnsafeMutableBytes {
            key.diffieHellman(remote, into: $0.baseAddress!)
        }
        try #require(isAgreed)
        return Hex.encode(shared)
    }

    /// The vector whose nonce begins with four zero bytes, as all of WireGuard's do.
    @Test("ChaCha20-Poly1305 of RFC 8439 appendix A.5")
    func chaChaPoly() throws {
        let key = try #require(
            Hex.decode("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"))
        let associated = try #require(Hex.decode("f33388860000000000004e91"))
        let plaintext = Array(
            ("Internet-Drafts are draft documents valid for a maximum of six months and may be "
                + "updated, replaced, or obsoleted by other documents at any time. It is "
                + "inappropriate to use Internet-Drafts as reference material or to cite them "
                + "other than as /\u{201C}work in progress./\u{201D}").utf8)
        let counter: UInt64 = 0x0807_0605_0403_0201
        var sealed = [UInt8](repeating: 0, count: plaintext.count + 16)
        withBytes(key, plaintext) { key, plaintext in
            withBytes(associated, []) { associated, _ in
                sealed.withUnsafeMutableBytes {
                    ChaChaPoly.seal(
                        key: key.baseAddress!, counter: counter,
                        plaintext: plaintext.baseAddress!, count: plaintext.count,
                        into: $0.baseAddress!, associated: associated.baseAddress,
                        associatedCount: associated.count)
                }
            }
        }
        #expect(plaintext.count == 265)
        #expect(Hex.encode(sealed.prefix(16)) == "64a0861575861af460f062c79be643bd")
        #expect(Hex.encode(sealed.suffix(16)) == "eead9d67890cbb22392336fea1851f38")
        var opened = [UInt8](repeating: 0, count: plaintext.count)
        let isAuthentic = withBytes(key, sealed) { key, sealed in
            withBytes(associated, []) { associated, _ in
                opened.withUnsafeMutableBytes {
                    ChaChaPoly.open(
                        key: key.baseAddress!, counter: counter, ciphertext: sealed.baseAddress!,
                        count: sealed.count, into: $0.baseAddress!,
                        associated: associated.baseAddress, associatedCount: associated.count)
                }
            }
        }
        #expect(isAuthentic && opened == plaintext)
    }

    /// The nonce of section 2.8.2 does not begin with zeros, so this asks libsodium directly:
    /// whether the library under the seam is the cipher of the RFC.
    @Test("libsodium's ChaCha20-Poly1305 on RFC 8439 section 2.8.2")
    func libsodiumChaChaPoly() throws {
        let key = (0x80...0x9F).map { UInt8($0) }
        let nonce = try #require(Hex.decode("070000004041424344454647"))
        let associated = try #require(Hex.decode("50515253c0c1c2c3c4c5c6c7"))
        var sealed = [UInt8](repeating: 0, count: sunscreen.count + 16)
        let result = crypto_aead_chacha20poly1305_ietf_encrypt(
            &sealed, nil, sunscreen, UInt64(sunscreen.count), associated,
            UInt64(associated.count), nil, nonce, key)
        #expect(result == 0)
        #expect(Hex.encode(sealed.prefix(16)) == "d31a8d34648e60db7b86afbc53ef7ec2")
        #expect(Hex.encode(sealed.suffix(16)) == "1ae10b594f09e26a7e902ecbd0600691")
    }

    @Test("XChaCha20-Poly1305 of draft-irtf-cfrg-xchacha appendix A.3.1")
    func xChaChaPoly() throws {
        let key = (0x80...0x9F).map { UInt8($0) }
        let nonce = (0x40...0x57).map { UInt8($0) }
        let associated = try #require(Hex.decode("50515253c0c1c2c3c4c5c6c7"))
        var sealed = [UInt8](repeating: 0, count: sunscreen.count + 16)
        withBytes(key, nonce) { key, nonce in
            withBytes(sunscreen, associated) { plaintext, associated in
                sealed.withUnsafeMutableBytes {
                    XChaChaPoly.seal(
                        key: key.baseAddress!, nonce: nonce.baseAddress!, plaintext: plaintext,
                        associated: associated, into: $0.baseAddress!)
                }
            }
        }
        #expect(Hex.encode(sealed.prefix(16)) == "bd6d179d3e83d43b9576579493c0e939")
        #expect(Hex.encode(sealed.suffix(16)) == "c0875924c1c7987947deafd8780acf49")
    }

    let sunscreen = Array(
        ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
            + "future, sunscreen would be it.").utf8)
}
