import Addresses
import LinuxNet
import Testing

/// Replies written by hand, cut short, and made of noise. No kernel is asked.
struct NetlinkReplyTests {
    private static func number<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value) { Array($0) }
    }

    private static func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
        return number(UInt16(4 + payload.count)) + number(type) + payload + padding
    }

    private static func message(
        _ type: UInt16, flags: UInt16 = 0, sequence: UInt32 = 7, _ payload: [UInt8]
    ) -> [UInt8] {
        number(UInt32(16 + payload.count)) + number(type) + number(flags) + number(sequence)
            + number(UInt32(99)) + payload
    }

    private static let link = message(
        16,
        [0, 0, 0, 0] + number(Int32(12)) + number(UInt32(0x1043)) + number(UInt32(0))
            + attribute(3, Array("veth9\0".utf8)) + attribute(4, number(UInt32(1380)))
            + attribute(16, [6]) + attribute(1, [2, 0, 0, 0, 0, 9])
            + attribute(0x8012, attribute(1, Array("veth\0".utf8)) + attribute(2, []))
            + attribute(5, number(Int32(4))) + attribute(37, number(Int32(0)))
            + attribute(20, Array("kafka\0".utf8))
            + attribute(23, (1...25).flatMap { number(UInt64($0)) }))

    private static let route = message(
        24,
        [2, 16, 0, 0, 254, 143, 0, 1] + number(UInt32(4)) + attribute(15, number(UInt32(5000)))
            + attribute(1, [10, 2, 0, 0]) + attribute(5, [10, 1, 0, 9])
            + attribute(4, number(Int32(12))) + attribute(8, attribute(2, number(UInt32(1300)))))

    private static let address = message(
        20,
        [10, 64, 0x82, 0] + number(Int32(12))
            + attribute(1, [0xfd] + [UInt8](repeating: 0, count: 14) + [5])
            + attribute(8, number(UInt32(0x282))))

    private static let neighbour = message(
        28,
        [2, 0, 0, 0] + number(Int32(12)) + number(UInt16(0x80)) + [0, 1]
            + attribute(1, [10, 1, 0, 9]) + attribute(2, [2, 0, 0, 0, 0, 9]))

    private static let rule = message(
        32,
        [2, 16, 8, 0, 0, 0, 0, 1] + number(UInt32(0)) + attribute(6, number(UInt32(100)))
            + attribute(15, number(UInt32(5000))) + attribute(3, Array("v0\0".utf8))
            + attribute(1, [10, 2, 0, 0]) + attribute(2, [10, 0, 0, 0]) + attribute(21, [143]))

    private static let refusal: [UInt8] = {
        // The request of 21 bytes is echoed, and padded, before the kernel's words.
        let request = message(16, [1, 2, 3, 4, 5])
        return message(
            2, flags: 0x200,
            number(Int32(-22)) + request + [0, 0, 0]
                + attribute(1, Array("mtu greater than device maximum\0".utf8)))
    }()

    private static let all = [link, route, address, neighbour, rule, refusal]

    private func only(_ bytes: [UInt8]) throws -> NetlinkReply.Message {
        let (messages, isWhole) = NetlinkReply.messages(bytes)
        #expect(isWhole && messages.count == 1)
        return try #require(messages.first)
    }

    @Test func eachKindIsRead() throws {
        let link = try #require(Link(try only(Self.link)))
        #expect(link.index == 12 && link.name == "veth9" && link.mtu == 1380)
        #expect(link.isUp && link.isRunning && !link.isLoopback && link.operationalState == 6)
        #expect(link.kind == "veth" && link.peerIndex == 4 && link.peerNamespaceID == 0)
        #expect(link.alias == "kafka" && link.hardwareAddressText == "02:00:00:00:00:09")
        #expect(link.counters.receivedPackets == 1 && link.counters.sendDropped == 8)

        let route = try #require(Route(try only(Self.route)))
        let wanted = Route(
            to: try #require(IPPrefix("10.2.0.0/16")), via: IPAddress("10.1.0.9"),
            interfaceIndex: 12, table: 5000, onLink: true, mtu: 1300)
        #expect(route == wanted)

        let address = try #require(InterfaceAddress(try only(Self.address)))
        #expect(address.description == "fd00::5/64" && address.interfaceIndex == 12)
        #expect(address.flags == [.permanent, .noDuplicateDetection, .noPrefixRoute])

        let neighbour = try #require(Neighbour(try only(Self.neighbour)))
        #expect(neighbour.address == IPAddress("10.1.0.9") && neighbour.state == .permanent)

        let rule = try #require(RoutingRule(try only(Self.rule)))
        #expect(rule.description == "100: from 10.0.0.0/8 to 10.2.0.0/16 iif v0 lookup 5000")
        #expect(rule.installer == 143)
    }

    @Test func aKindIsNotTakenForAnother() throws {
        let route = try only(Self.route)
        #expect(Link(route) == nil && InterfaceAddress(route) == nil)
        #expect(Neighbour(route) == nil && RoutingRule(route) == nil)
        #expect(Route(try only(Self.link)) == nil)
    }

    @Test func verdictsCarryTheKernelsWords() throws {
        let verdict = try #require(NetlinkReply.verdict(try only(Self.refusal)))
        #expect(verdict.errno == 22 && verdict.text == "mtu greater than device maximum")
        let plain = Self.message(2, Self.number(Int32(0)) + [UInt8](repeating: 0, count: 16))
        #expect(NetlinkReply.verdict(try only(plain)) == .init(errno: 0, text: nil))
        let capped = Self.message(
            2, flags: 0x300,
            Self.number(Int32(-17)) + Self.number(UInt32(4_000_000))
                + [UInt8](repeating: 0, count: 12)
                + Self.attribute(1, Array("there already".utf8)))
        #expect(NetlinkReply.verdict(try only(capped)) == .init(errno: 17, text: "there already"))
        for odd: Int32 in [1, .max, .min, -4096] {
            let bytes = Self.message(2, Self.number(odd))
            #expect(NetlinkReply.verdict(try only(bytes))?.errno == 5)
        }
        #expect(NetlinkReply.verdict(try only(Self.message(2, [1, 2]))) == nil)
    }

    @Test func messagesFollowEachOther() {
        let bytes = Self.all.flatMap { message -> [UInt8] in
            message + [UInt8](repeating: 0, count: (4 - message.count % 4) % 4)
        }
        let (messages, isWhole) = NetlinkReply.messages(bytes)
        #expect(isWhole)
        #expect(messages.map(\.type) == [16, 24, 20, 28, 32, 2])
        #expect(messages.allSatisfy { $0.sequence == 7 && $0.port == 99 })
    }

    @Test func whatIsCutShortIsNoticed() {
        for whole in Self.all {
            for count in 1..<whole.count {
                let (messages, isWhole) = NetlinkReply.messages(Array(whole[..<count]))
                #expect(messages.isEmpty && !isWhole)
            }
        }
    }

    /// The same message with its payload cut, but an honest length: attributes end anywhere.
    @Test func cutPayloadsAreReadAsFarAsTheyGo() throws {
        for whole in Self.all {
            for count in 16..<whole.count {
                var bytes = Array(whole[..<count])
                bytes.replaceSubrange(0..<4, with: Self.number(UInt32(count)))
                bytes.withUnsafeBytes { NetlinkReply.fuzz($0) }
                let message = try only(bytes)
                if let link = Link(message) { #expect(link.name == "veth9") }
                if let route = Route(message) { #expect(route.installer == 143) }
            }
        }
    }

    @Test(arguments: [
        [UInt8](), [0], [15, 0, 0, 0] + [UInt8](repeating: 0, count: 12),
        [UInt8](repeating: 0xff, count: 16), [UInt8](repeating: 0, count: 64),
    ])
    func nonsenseYieldsNoMessage(_ bytes: [UInt8]) {
        let (messages, isWhole) = NetlinkReply.messages(bytes)
        #expect(messages.isEmpty)
        #expect(isWhole == bytes.isEmpty)
        bytes.withUnsafeBytes { NetlinkReply.fuzz($0) }
    }

    @Test func valuesOutOfRangeAreRefused() throws {
        // A prefix of 33 bits, an address of 3 bytes, an attribute shorter than its head.
        var bytes = Self.route
        bytes[17] = 33
        #expect(Route(try only(bytes)) == nil)
        bytes = Self.message(
            24,
            [2, 16, 0, 0, 254, 143, 0, 1] + Self.number(UInt32(0)) + Self.attribute(1, [10, 2, 0]))
        #expect(Route(try only(bytes)) == nil)
        bytes = Self.address
        bytes[17] = 129
        #expect(InterfaceAddress(try only(bytes)) == nil)
        bytes = Self.message(16, [UInt8](repeating: 0, count: 16) + [3, 0, 3, 0])
        #expect(Link(try only(bytes)) == nil)
    }

    @Test func noiseNeverTraps() {
        var random = SplitMix64(state: 0x5eed)
        for _ in 0..<20_000 {
            var bytes = Self.all[Int.random(in: 0..<Self.all.count, using: &random)]
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                bytes[at] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.withUnsafeBytes { NetlinkReply.fuzz($0) }
        }
    }
}
