import Bytes
import Foundation
import Noise
import Testing
import Timing

/// One line of a transcript: named fields in hexadecimal, as the Python reference writes them.
struct Transcript {
    var fields: [String: [UInt8]] = [:]
    var order: [String] = []

    init() {}

    init(line: some StringProtocol) throws {
        for field in line.split(separator: " ") {
            let parts = field.split(separator: "=", omittingEmptySubsequences: false)
            try #require(parts.count == 2)
            self[String(parts[0])] = try #require(Hex.decode(parts[1]))
        }
    }

    subscript(name: String) -> [UInt8] {
        get { fields[name] ?? [] }
        set {
            if fields.updateValue(newValue, forKey: name) == nil { order.append(name) }
        }
    }

    var line: String {
        order.map { "\($0)=\(Hex.encode(self[$0]))" }.joined(separator: " ")
    }

    static let reference = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("reference")

    static func readAll() throws -> [Transcript] {
        let text = try String(
            contentsOf: reference.appendingPathComponent("handshake.txt"), encoding: .utf8)
        return try text.split(separator: "\n").map { try Transcript(line: $0) }
    }
}

/// Plays a transcript's inputs through the product and returns them with its outputs.
func play(_ inputs: Transcript) throws -> Transcript {
    var result = Transcript()
    for name in [
        "construction", "si", "sr", "ei", "er", "psk", "ii", "ir", "timestamp", "secret", "source",
        "nonce", "counter", "payload",
    ] {
        result[name] = inputs[name]
    }
    let suite = NoiseSuite(
        construction: String(decoding: inputs["construction"], as: UTF8.self),
        transport: .chaChaPoly)
    let initiator = StaticIdentity(try #require(PrivateKey(bytes: inputs["si"])))
    let responder = StaticIdentity(try #require(PrivateKey(bytes: inputs["sr"])))
    let psk = try #require(PresharedKey(bytes: inputs["psk"]))
    let toResponder = RemoteIdentity(
        local: initiator, publicKey: responder.publicKey, presharedKey: psk)
    let toInitiator = RemoteIdentity(
        local: responder, publicKey: initiator.publicKey, presharedKey: psk)
    let timestamp = try #require(TAI64N(bytes: inputs["timestamp"]))
    let initiatorIndex: UInt32 = little(inputs["ii"])
    let responderIndex: UInt32 = little(inputs["ir"])

    let begun = try Initiator.begin(
        local: initiator, remote: toResponder,
        ephemeral: try #require(PrivateKey(bytes: inputs["ei"])), senderIndex: initiatorIndex,
        timestamp: timestamp, suite: suite)
    result["initiation"] = begun.message

    // The checker draws its secret first, then the nonce.
    let script = ScriptedEntropy(inputs["secret"] + inputs["nonce"])
    var checker = CookieChecker(responder)
    var store = CookieStore(toResponder)
    var sent = begun.message
    store.seal(&sent, now: Instant(nanoseconds: 0))
    #expect(sent == begun.message)
    let made = withBytes(begun.message, inputs["source"]) {
        checker.reply(to: $0, source: $1, now: Instant(nanoseconds: 0), entropy: script.entropy)
    }
    let reply = try #require(made)
    let isTaken = store.consume(reply, now: Instant(nanoseconds: 1))
    #expect(isTaken)
    store.seal(&sent, now: Instant(nanoseconds: 2))
    #expect(
        withBytes(sent, inputs["source"]) {
            checker.verifyMAC2($0, source: $1, now: Instant(nanoseconds: 3))
        })
    result["initiation2"] = sent

    let received = try Responder.consume(sent, local: responder, suite: suite)
    #expect(received.remotePublicKey == initiator.publicKey)
    #expect(received.senderIndex == initiatorIndex)
    let authenticated = try received.authenticate(toInitiator)
    #expect(authenticated.timestamp == timestamp)
    let answer = try authenticated.respond(
        ephemeral: try #require(PrivateKey(bytes: inputs["er"])), senderIndex: responderIndex)
    result["response"] = answer.message
    result["cookiereply"] = reply

    let keys = try begun.handshake.finish(answer.message)
    #expect(keys.localIndex == initiatorIndex && keys.remoteIndex == responderIndex)
    #expect(answer.keys.localIndex == responderIndex && answer.keys.remoteIndex == initiatorIndex)
    #expect(keys.isInitiator && !answer.keys.isInitiator)
    #expect(keyBytes(keys.sendKey, keys) == keyBytes(answer.keys.receiveKey, answer.keys))
    #expect(keyBytes(keys.receiveKey, keys) == keyBytes(answer.keys.sendKey, answer.keys))
    result["sendi"] = keyBytes(keys.sendKey, keys)
    result["sendr"] = keyBytes(answer.keys.sendKey, answer.keys)

    let packet = seal(
        keys, receiverIndex: responderIndex, counter: little(inputs["counter"]),
        inputs["payload"])
    #expect(open(answer.keys, packet) == inputs["payload"])
    result["packet"] = packet
    return result
}
