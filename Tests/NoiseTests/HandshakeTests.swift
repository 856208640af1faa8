import Bytes
import Foundation
import Noise
import Testing

@Suite("Handshake")
struct HandshakeTests {
    /// Two hosts that know each other.
    struct Pair {
        let entropy: Entropy
        let a: StaticIdentity
        let b: StaticIdentity
        let aToB: RemoteIdentity
        let bToA: RemoteIdentity

        init(seed: UInt64, psk: Bool = true) {
            entropy = Entropy.seeded(seed)
            a = StaticIdentity(PrivateKey(from: entropy))
            b = StaticIdentity(PrivateKey(from: entropy))
            let key = psk ? PresharedKey(from: entropy) : PresharedKey.none
            aToB = RemoteIdentity(local: a, publicKey: b.publicKey, presharedKey: key)
            bToA = RemoteIdentity(local: b, publicKey: a.publicKey, presharedKey: key)
        }

        func begin(
            _ remote: RemoteIdentity? = nil, suite: NoiseSuite = .wireGuard
        ) throws(HandshakeError) -> (message: [UInt8], handshake: Initiator) {
            try Initiator.begin(
                local: a, remote: remote ?? aToB, ephemeral: PrivateKey(from: entropy),
                senderIndex: entropy.uint32(),
                timestamp: TAI64N(label: entropy.uint64(), nanoseconds: 0), suite: suite)
        }

        func answer(
            _ message: [UInt8], suite: NoiseSuite = .wireGuard
        ) throws(HandshakeError) -> (message: [UInt8], keys: TransportKeys) {
            try Responder.consume(message, local: b, suite: suite).authenticate(bToA)
                .respond(ephemeral: PrivateKey(from: entropy), senderIndex: entropy.uint32())
        }
    }

    func error<R>(_ body: () throws(HandshakeError) -> R) -> HandshakeError? {
        do throws(HandshakeError) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    @Test("every field is what the independent reference makes")
    func transcripts() throws {
        let transcripts = try Transcript.readAll()
        #expect(transcripts.count == 16)
        for transcript in transcripts {
            let played = try play(transcript)
            for name in transcript.order {
                #expect(
                    Hex.encode(played[name]) == Hex.encode(transcript[name]), "field \(name)")
            }
        }
    }

    @Test(
        "the reference agrees with random handshakes of ours",
        .enabled(if: Reference.isUsable, "needs /usr/bin/python3 with python3-cryptography"))
    func randomTranscripts() throws {
        var random = SplitMix64(31)
        var lines: [String] = []
        for i in 0..<400 {
            var t = Transcript()
            let other = "Noise_" + Hex.encode(random.bytes(8))
            t["construction"] = Array(
                (i % 4 == 0 ? other : "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s").utf8)
            for name in ["si", "sr", "ei", "er"] { t[name] = random.bytes(32) }
            t["psk"] = i % 2 == 0 ? random.bytes(32) : [UInt8](repeating: 0, count: 32)
            t["ii"] = random.bytes(4)
            t["ir"] = random.bytes(4)
            t["timestamp"] = random.bytes(12)
            t["secret"] = random.bytes(32)
            t["source"] = random.bytes(i % 2 == 0 ? 6 : 18)
            t["nonce"] = random.bytes(24)
            t["counter"] = random.bytes(8)
            t["payload"] = random.bytes(Int(random.next() % 300))
            lines.append(try play(t).line)
        }
        #expect(try Reference.verify(lines) == "ok: 400 transcripts\n")
        // And it can say no.
        lines[200] = lines[200].replacingOccurrences(of: "packet=04", with: "packet=05")
        #expect(try Reference.verify(lines) == "")
    }

    @Test("thousands of random handshakes, both roles, with and without a pre-shared key")
    func manyHandshakes() throws {
        var seen: Set<[UInt8]> = []
        for seed in 0..<1000 as Range<UInt64> {
            let pair = Pair(seed: seed, psk: seed % 2 == 0)
            for _ in 0..<2 {
                let begun = try pair.begin()
                let answer = try pair.answer(begun.message)
                let keys = try begun.handshake.finish(answer.message)
                let send = keyBytes(keys.sendKey, keys)
                #expect(send == keyBytes(answer.keys.receiveKey, answer.keys))
                #expect(
                    keyBytes(keys.receiveKey, keys) == keyBytes(answer.keys.sendKey, answer.keys))
                #expect(send != keyBytes(keys.receiveKey, keys))
                #expect(keys.remoteIndex == answer.keys.localIndex)
                #expect(keys.localIndex == answer.keys.remoteIndex)
                let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: 16)
                let there = seal(keys, receiverIndex: keys.remoteIndex, counter: 0, payload)
                #expect(open(answer.keys, there) == payload)
                let back = seal(
                    answer.keys, receiverIndex: keys.localIndex, counter: 0, payload)
                #expect(open(keys, back) == payload)
                #expect(seen.insert(send).inserted)
            }
        }
        #expect(seen.count == 2000)
    }

    @Test("no flipped bit of an initiation is taken")
    func flippedInitiation() throws {
        let pair = Pair(seed: 41)
        let message = try pair.begin().message
        for bit in 0..<(InitiationMessage.mac2 * 8) {
            var flipped = message
            flipped[bit / 8] ^= 1 << (bit % 8)
            let refused = error { () throws(HandshakeError) in try pair.answer(flipped) }
            #expect(refused == (bit < 32 ? .malformed : .badMAC1), "bit \(bit)")

            // With MAC1 made right by somebody who knows our public key, the rest must hold.
            // The index and MAC2 are not covered by the handshake's hash: MAC1 and the cookie are.
            guard !(32..<64).contains(bit) else { continue }
            flipped.withUnsafeMutableBytes { MAC1.append(to: $0, key: pair.b.mac1Key) }
            let forged = error { () throws(HandshakeError) in try pair.answer(flipped) }
            if bit >= InitiationMessage.mac1 * 8 {
                #expect(forged == nil, "MAC1 was repaired")
            } else if bit == InitiationMessage.encryptedStatic * 8 - 1 {
                // X25519 ignores the top bit of a point; the hash does not.
                #expect(forged == .notAuthentic)
            } else {
                #expect(forged == (bit < 32 ? .malformed : .notAuthentic), "bit \(bit)")
            }
        }
        _ = try pair.answer(message)
    }

    @Test("no flipped bit of a response is taken, and the genuine one still is")
    func flippedResponse() throws {
        let pair = Pair(seed: 42)
        let begun = try pair.begin()
        let answer = try pair.answer(begun.message)
        for bit in 0..<(ResponseMessage.mac2 * 8) {
            var flipped = answer.message
            flipped[bit / 8] ^= 1 << (bit % 8)
            let expected: HandshakeError =
                switch bit {
                case ..<32: .malformed
                case 64..<96: .wrongIndex
                default: .badMAC1
                }
            let refused = error { () throws(HandshakeError) in
                try begun.handshake.finish(flipped)
            }
            #expect(refused == expected, "bit \(bit)")

            guard !(32..<96).contains(bit), bit < ResponseMessage.mac1 * 8 else { continue }
            flipped.withUnsafeMutableBytes { MAC1.append(to: $0, key: pair.a.mac1Key) }
            let forged = error { () throws(HandshakeError) in
                try begun.handshake.finish(flipped)
            }
            #expect(forged == (bit < 32 ? .malformed : .notAuthentic), "bit \(bit)")
        }
        let keys = try begun.handshake.finish(answer.message)
        #expect(keyBytes(keys.sendKey, keys) == keyBytes(answer.keys.receiveKey, answer.keys))
    }

    @Test("every wrong length is malformed")
    func lengths() throws {
        let pair = Pair(seed: 43)
        let begun = try pair.begin()
        let answer = try pair.answer(begun.message)
        for count in 0...300 where count != 148 {
            let padding = [UInt8](repeating: 0, count: max(0, count - 148))
            let bytes = Array(begun.message.prefix(count)) + padding
            #expect(error { () throws(HandshakeError) in try pair.answer(bytes) } == .malformed)
        }
        for count in 0...300 where count != 92 {
            let padding = [UInt8](repeating: 0, count: max(0, count - 92))
            let bytes = Array(answer.message.prefix(count)) + padding
            let refused = error { () throws(HandshakeError) in
                try begun.handshake.finish(bytes)
            }
            #expect(refused == .malformed)
        }
    }

    @Test("wrong keys, wrong peers, wrong suites")
    func strangers() throws {
        let pair = Pair(seed: 44)
        let other = Pair(seed: 45)
        let begun = try pair.begin()

        // To somebody else.
        #expect(
            error { () throws(HandshakeError) in try other.answer(begun.message) } == .badMAC1)
        // Looked up as somebody else.
        let received = try Responder.consume(begun.message, local: pair.b)
        let stranger = RemoteIdentity(local: pair.b, publicKey: other.a.publicKey)
        #expect(
            error { () throws(HandshakeError) in try received.authenticate(stranger) }
                == .wrongPeer)
        // And after that the right one still works.
        _ = try received.authenticate(pair.bToA)

        // Another pre-shared key comes out at the response, as the pattern has it.
        let noPSK = pair.aToB.with(presharedKey: .none)
        let mismatched = try pair.begin(noPSK)
        let answer = try pair.answer(mismatched.message)
        #expect(
            error { () throws(HandshakeError) in try mismatched.handshake.finish(answer.message) }
                == .notAuthentic)

        // Another suite comes out at once, whichever side has it.
        let suite = NoiseSuite.aesTransport
        let foreign = try pair.begin(suite: suite)
        #expect(
            error { () throws(HandshakeError) in try pair.answer(foreign.message) }
                == .notAuthentic)
        #expect(
            error { () throws(HandshakeError) in try pair.answer(begun.message, suite: suite) }
                == .notAuthentic)
        _ = try foreign.handshake.finish(try pair.answer(foreign.message, suite: suite).message)
    }

    /// Somebody who knows only the responder's public key can begin as anyone he names, but
    /// the static-static secret is missing.
    @Test("an initiation in another's name does not authenticate")
    func impersonation() throws {
        let pair = Pair(seed: 46)
        let begun = try pair.begin()
        let mallory = Pair(seed: 47)
        let received = try Responder.consume(begun.message, local: pair.b)
        // The responder believes the named key, but its secret with it differs.
        let wrongSecret = RemoteIdentity(local: mallory.b, publicKey: pair.a.publicKey)
        #expect(
            error { () throws(HandshakeError) in try received.authenticate(wrongSecret) }
                == .notAuthentic)
    }

    @Test("a response to another handshake is refused")
    func otherHandshake() throws {
        let pair = Pair(seed: 48)
        let first = try pair.begin()
        let second = try pair.begin()
        let answer = try pair.answer(first.message)
        #expect(
            error { () throws(HandshakeError) in try second.handshake.finish(answer.message) }
                == .wrongIndex)
        // Not even with the index put right.
        var moved = answer.message
        moved.withUnsafeMutableBytes {
            $0.baseAddress!.storeLittle(
                second.handshake.senderIndex, ResponseMessage.receiverIndex)
            MAC1.append(to: $0, key: pair.a.mac1Key)
        }
        #expect(
            error { () throws(HandshakeError) in try second.handshake.finish(moved) }
                == .notAuthentic)
    }

    /// The points of order 1, 2, 4 and 8 and their other encodings (RFC 7748 section 7).
    static let lowOrderPoints = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]

    @Test("keys of low order agree on nothing", arguments: lowOrderPoints)
    func lowOrder(_ hex: String) throws {
        let pair = Pair(seed: 49)
        let point = try #require(PublicKey(hex: hex))
        let remote = RemoteIdentity(local: pair.a, publicKey: point)
        #expect(!remote.isUsable)
        #expect(error { () throws(HandshakeError) in try pair.begin(remote) } == .lowOrderKey)

        // As the ephemeral key of either message.
        let begun = try pair.begin()
        var initiation = begun.message
        initiation.replaceSubrange(8..<40, with: point.bytes)
        initiation.withUnsafeMutableBytes { MAC1.append(to: $0, key: pair.b.mac1Key) }
        #expect(
            error { () throws(HandshakeError) in try pair.answer(initiation) } == .lowOrderKey)
        var response = try pair.answer(begun.message).message
        response.replaceSubrange(12..<44, with: point.bytes)
        response.withUnsafeMutableBytes { MAC1.append(to: $0, key: pair.a.mac1Key) }
        #expect(
            error { () throws(HandshakeError) in try begun.handshake.finish(response) }
                == .lowOrderKey)
    }
}

/// The Python reference as a process.
enum Reference {
    static let script = Transcript.reference.appendingPathComponent("wireguard_reference.py")

    static let isUsable: Bool =
        (try? run(["-c", "import cryptography; print('ok')"], input: "")) == "ok\n"

    /// What it prints about transcripts; nothing if it does not agree.
    static func verify(_ lines: [String]) throws -> String {
        try run([script.path, "verify"], input: lines.joined(separator: "\n"))
    }

    private static func run(_ arguments: [String], input: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-B"] + arguments
        let output = Pipe()
        // A file, not a pipe: nobody has to write while the other end is read.
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("transcripts-\(UUID().uuidString)")
        try input.write(to: file, atomically: false, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        process.standardInput = try FileHandle(forReadingFrom: file)
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? String(decoding: bytes, as: UTF8.self) : ""
    }
}
