import Addresses
import Noise
import Testing
import Timing
import Tunnel

@Suite struct ConfigurationProtocolTests {
    private static let keyA = String(repeating: "0a", count: 32)
    private static let keyB = String(repeating: "fF", count: 32)
    private static let secret = "40" + String(repeating: "11", count: 30) + "7f"

    /// Everything the stream asks for, fed in pieces of `piece` bytes.
    private func parse(
        _ text: String, piece: Int = .max, limits: ConfigurationLimits = ConfigurationLimits()
    ) -> (requests: [ConfigurationRequest], parser: ConfigurationParser) {
        var parser = ConfigurationParser(
            limits: limits, zoneIndex: { $0 == "eth0" ? 7 : nil })
        var requests: [ConfigurationRequest] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let (consumed, request) = rest.prefix(piece).withUnsafeBytes { parser.feed($0) }
            #expect(consumed > 0)
            rest = rest.dropFirst(max(1, consumed))
            if let request { requests.append(request) }
        }
        return (requests, parser)
    }

    private func change(_ lines: String) throws -> DeviceChange {
        let requests = parse("set=1\n\(lines)\n").requests
        try #require(requests.count == 1)
        guard case .set(let change) = requests[0] else {
            Issue.record("refused: \(requests[0])")
            return DeviceChange()
        }
        return change
    }

    private func refusal(_ text: String) -> ConfigurationRefusal? {
        guard case .refused(let refusal)? = parse(text).requests.first else { return nil }
        return refusal
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// What `wg setconf` of wireguard-tools 1.0.20210914 writes.
    @Test func aWholeSet() throws {
        let change = try change(
            """
            private_key=\(Self.secret)
            listen_port=51820
            fwmark=4660
            replace_peers=true
            public_key=\(Self.keyA)
            preshared_key=\(Self.keyB)
            endpoint=192.0.2.1:51821
            persistent_keepalive_interval=25
            replace_allowed_ips=true
            allowed_ip=10.1.2.3/16
            allowed_ip=fd00::/64
            public_key=\(Self.keyB)
            remove=true
            public_key=\(Self.keyA)
            update_only=true
            protocol_version=1
            allowed_ip=-0.0.0.0/0

            """)
        #expect(change.privateKey.map { "\($0)".contains("11") } == false)
        guard case .set(let key)? = change.privateKey else {
            Issue.record("no private key")
            return
        }
        #expect(key.hex == Self.secret)
        #expect(change.listenPort == 51820)
        #expect(change.firewallMark == 0x1234)
        #expect(change.replacePeers)
        try #require(change.peers.count == 3)
        let first = change.peers[0]
        #expect(first.publicKey.hex == Self.keyA)
        #expect(first.presharedKey?.hex == Self.keyB.lowercased())
        #expect(first.endpoint == IPEndpoint("192.0.2.1:51821"))
        #expect(first.persistentKeepalive == 25)
        #expect(first.replaceAllowedIPs && !first.remove && !first.updateOnly)
        #expect(
            first.allowedIPs == [
                .init(try #require(IPPrefix("10.1.0.0/16"))),
                .init(try #require(IPPrefix("fd00::/64"))),
            ])
        #expect(change.peers[1].remove && change.peers[1].publicKey.hex == Self.keyB.lowercased())
        #expect(change.peers[2].updateOnly && !change.peers[2].remove)
        #expect(
            change.peers[2].allowedIPs == [
                .init(try #require(IPPrefix("0.0.0.0/0")), remove: true)
            ])
    }

    @Test func whatIsNotSaidStaysNil() throws {
        let change = try change("public_key=\(Self.keyA)\n")
        #expect(change.privateKey == nil && change.listenPort == nil)
        #expect(change.firewallMark == nil && !change.replacePeers)
        let peer = try #require(change.peers.first)
        #expect(peer.presharedKey == nil && peer.endpoint == nil)
        #expect(peer.persistentKeepalive == nil && !peer.replaceAllowedIPs)
        #expect(try self.change("").peers.isEmpty)
    }

    @Test func valuesWithManyForms() throws {
        let zero = String(repeating: "0", count: 64)
        guard case .clear? = try change("private_key=\(zero)\n").privateKey else {
            Issue.record("an all-zero private key clears")
            return
        }
        #expect(try change("fwmark=0x1F\n").firewallMark == 31)
        #expect(try change("fwmark=0XffffFFFF\n").firewallMark == UInt32.max)
        #expect(try change("fwmark=0\n").firewallMark == 0)
        #expect(try change("listen_port=0\n").listenPort == 0)
        #expect(try change("listen_port=065535\r\n").listenPort == 65535)
        func endpoint(_ value: String) throws -> IPEndpoint? {
            try change("public_key=\(Self.keyA)\nendpoint=\(value)\n").peers.first?.endpoint
        }
        #expect(try endpoint("[2001:db8::1]:1") == IPEndpoint("[2001:db8::1]:1"))
        #expect(try endpoint("[fe80::1%3]:1")?.scope == 3)
        #expect(try endpoint("[fe80::1%eth0]:1")?.scope == 7)
        #expect(try endpoint("[::ffff:192.0.2.9]:5") == IPEndpoint("192.0.2.9:5"))
        let psk = try change("public_key=\(Self.keyA)\npreshared_key=\(zero)\n")
        #expect(psk.peers.first?.presharedKey?.isNone == true)
        // Order counts: a replace takes what stood above it.
        let replaced = try change(
            "public_key=\(Self.keyA)\nallowed_ip=10.0.0.0/8\nreplace_allowed_ips=true\n"
                + "allowed_ip=11.0.0.0/8\n")
        #expect(replaced.peers.first?.allowedIPs.map(\.prefix.description) == ["11.0.0.0/8"])
    }

    @Test(arguments: [
        "private_key=", "private_key=00", "listen_port=65536", "listen_port=-1",
        "listen_port=+1", "listen_port=", "listen_port= 1", "listen_port=0x1",
        "fwmark=4294967296", "fwmark=0x", "fwmark=0x100000000", "fwmark=off", "fwmark=1_0",
        "replace_peers=1", "replace_peers=false", "replace_peers=", "no_such_key=1", "=1",
        "endpoint=192.0.2.1:1", "remove=true", "errno=0", "public_key=00",
        "private_key=zz" + String(repeating: "0", count: 62),
    ])
    func badDeviceLines(line: String) {
        let seen = refusal("set=1\n\(line)\nlisten_port=1\n\n")
        #expect(seen?.errno == .invalid)
        #expect(seen?.line == 2)
        #expect(seen?.hangUp == false)
    }

    @Test(arguments: [
        "remove=false", "update_only=1", "preshared_key=ab", "endpoint=", "endpoint=1.2.3.4",
        "endpoint=host.example:1", "endpoint=[::1:5", "endpoint=[fe80::1%nope]:5",
        "endpoint=[fe80::1%]:5", "endpoint=1.2.3.4:65536", "persistent_keepalive_interval=65536",
        "persistent_keepalive_interval=off", "replace_allowed_ips=yes", "allowed_ip=10.0.0.1",
        "allowed_ip=10.0.0.0/33", "allowed_ip=::/129", "allowed_ip=/8", "allowed_ip=--1.0.0.0/8",
        "allowed_ip=", "protocol_version=2", "protocol_version=01", "listen_port=1",
        "private_key=" + String(repeating: "0", count: 64), "last_handshake_time_sec=1",
    ])
    func badPeerLines(line: String) {
        let seen = refusal("set=1\npublic_key=\(Self.keyA)\n\(line)\n\n")
        #expect(seen?.errno == .invalid)
        #expect(seen?.line == 3)
    }

    @Test func errorsDrainToTheBlankLineAndTheStreamGoesOn() {
        let requests = parse(
            "set=1\nlisten_port=x\nset=1\ngarbage\npublic_key=\(Self.keyA)\n\n"
                + "get=1\nwhat=1\n\nset=1\nno equals\n\nget=1\n\n"
        ).requests
        #expect(requests.count == 4)
        let errnos = requests.map { request in
            if case .refused(let refusal) = request { refusal.errno.rawValue } else { 0 }
        }
        #expect(errnos == [-22, -22, -71, 0])
        guard case .get? = requests.last else {
            Issue.record("the get after the errors was lost")
            return
        }
    }

    @Test func anUnknownOperationEndsTheConnection() {
        for first in ["get=2\n", "\n", "set=1 \n", "set=1\r\n", "\0\n", "GET / HTTP/1.1\r\n"] {
            let (requests, parser) = parse(first + "get=1\n\n")
            #expect(requests.count == 1)
            guard case .refused(let refusal)? = requests.first else {
                Issue.record("taken: \(first)")
                continue
            }
            #expect(refusal.errno == .protocolError && refusal.hangUp)
            #expect(parser.isInsideRequest)
        }
    }

    @Test func limits() {
        var limits = ConfigurationLimits()
        limits.lineBytes = 100
        limits.requestBytes = 1000
        limits.peers = 2
        func first(_ text: String) -> ConfigurationRefusal? {
            guard case .refused(let refusal)? = parse(text, limits: limits).requests.first else {
                return nil
            }
            return refusal
        }
        let long = "set=1\nlisten_port=" + String(repeating: "0", count: 88)
        #expect(first(long + "\n\n") == nil)
        #expect(first(long + "0\n\n")?.errno == .inputOutput)
        #expect(first(long + "0\n\n")?.hangUp == false)
        #expect(first(String(repeating: "x", count: 101) + "\n")?.errno == .protocolError)
        let peer = "public_key=\(Self.keyA)\n"
        #expect(first("set=1\n\(peer)\(peer)\n") == nil)
        #expect(first("set=1\n\(peer)\(peer)\(peer)\n")?.errno == .invalid)
        let endless = "set=1\n" + String(repeating: "listen_port=1\n", count: 100)
        #expect(first(endless)?.errno == .inputOutput)
        #expect(first(endless)?.hangUp == true)
        // The limit is of one request, not of the connection.
        let many = String(repeating: "set=1\nlisten_port=1\n\n", count: 500)
        #expect(parse(many, limits: limits).requests.count == 500)
    }

    /// A request that was cut off anywhere asks for nothing.
    @Test func truncation() {
        let whole = "set=1\nlisten_port=1\npublic_key=\(Self.keyA)\nallowed_ip=::/0\n\n"
        for length in 1..<whole.utf8.count {
            let (requests, parser) = parse(String(whole.prefix(length)))
            #expect(requests.isEmpty)
            #expect(parser.isInsideRequest)
        }
        let (requests, parser) = parse(whole)
        #expect(requests.count == 1)
        #expect(!parser.isInsideRequest)
    }

    @Test func piecesOfAnySizeGiveTheSame() {
        let stream =
            "get=1\n\nset=1\nfwmark=3\npublic_key=\(Self.keyA)\nendpoint=[::1]:9\n\n"
            + "set=1\nbad\n\nget=1\n\n"
        let expected = parse(stream).requests.map(summary)
        #expect(expected.count == 4)
        for piece in 1...stream.utf8.count {
            #expect(parse(stream, piece: piece).requests.map(summary) == expected)
        }
    }

    private func summary(_ request: ConfigurationRequest) -> String {
        switch request {
        case .get: "get"
        case .set(let change): text(ConfigurationText.request(change))
        case .refused(let refusal): "\(refusal)"
        }
    }

    private func status() throws -> DeviceStatus {
        var status = DeviceStatus()
        status.privateKey = PrivateKey(hex: Self.secret)
        status.listenPort = 51820
        status.firewallMark = 0x10
        var peer = PeerStatus(try #require(PublicKey(hex: Self.keyA)))
        peer.presharedKey = PresharedKey(hex: Self.keyB)
        peer.endpoint = IPEndpoint("[2001:db8::1]:51821")
        peer.persistentKeepalive = 25
        peer.allowedIPs = [
            try #require(IPPrefix("10.0.0.0/8")), try #require(IPPrefix("::/0")),
        ]
        peer.receivedBytes = 7
        peer.transmittedBytes = UInt64.max
        peer.lastHandshake = WallTime(nanosecondsSince1970: 1_700_000_000_000_000_042)
        status.peers = [peer, PeerStatus(try #require(PublicKey(hex: Self.keyB)))]
        return status
    }

    @Test func aReply() throws {
        let zero = String(repeating: "0", count: 64)
        #expect(
            text(ConfigurationText.reply(to: try status())) == """
                private_key=\(Self.secret)
                listen_port=51820
                fwmark=16
                public_key=\(Self.keyA)
                preshared_key=\(Self.keyB.lowercased())
                protocol_version=1
                endpoint=[2001:db8::1]:51821
                last_handshake_time_sec=1700000000
                last_handshake_time_nsec=42
                tx_bytes=18446744073709551615
                rx_bytes=7
                persistent_keepalive_interval=25
                allowed_ip=10.0.0.0/8
                allowed_ip=::/0
                public_key=\(Self.keyB.lowercased())
                preshared_key=\(zero)
                protocol_version=1
                last_handshake_time_sec=0
                last_handshake_time_nsec=0
                tx_bytes=0
                rx_bytes=0
                persistent_keepalive_interval=0
                errno=0


                """)
    }

    @Test func hiddenSecretsAreNotInTheReply() throws {
        let reply = text(ConfigurationText.reply(to: try status(), hideSecrets: true))
        #expect(!reply.contains("private_key") && !reply.contains("preshared_key"))
        #expect(!reply.contains(Self.secret))
        #expect(reply.hasPrefix("listen_port=51820\n") && reply.hasSuffix("\nerrno=0\n\n"))
    }

    @Test func emptyAndErrorReplies() {
        #expect(text(ConfigurationText.reply(to: DeviceStatus())) == "errno=0\n\n")
        #expect(text(ConfigurationText.reply(.portInUse)) == "errno=-98\n\n")
        #expect(text(ConfigurationText.reply(ConfigurationErrno(system: 19))) == "errno=-19\n\n")
        #expect(ConfigurationErrno(.tooManyPeers(limit: 1)) == .invalid)
    }

    /// No value is repeated in a refusal: it may be half a key.
    @Test func refusalsHoldNoValues() {
        let seen = refusal("set=1\nprivate_key=\(Self.secret)11\n\n")
        #expect(seen?.errno == .invalid)
        #expect("\(seen as Any)".contains("private_key"))
        #expect(!"\(seen as Any)".contains("1111"))
    }

    @Test func seededNoiseThroughTheFuzzEntry() {
        let lines = [
            "set=1\n", "get=1\n", "\n", "public_key=\(Self.keyA)\n", "remove=true\n", "x\n",
            "private_key=\(Self.secret)\n", "listen_port=77\n", "allowed_ip=-10.0.0.0/8\n",
            "endpoint=[fe80::1%eth0]:1\n", "fwmark=0xff\r\n", "replace_allowed_ips=true\n",
            "preshared_key=\(Self.keyB)\n", String(repeating: "y", count: 120) + "\n", "=", "\0",
            "update_only=true\n", "persistent_keepalive_interval=9\n",
        ]
        var generator = SplitMix64(state: 0xC0FFEE)
        for _ in 0..<2000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...20, using: &generator) {
                bytes += Array(lines.randomElement(using: &generator)?.utf8 ?? "".utf8)
            }
            if Bool.random(using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.withUnsafeBytes(ConfigurationFuzz.fuzz)
        }
    }
}

struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
