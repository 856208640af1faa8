import Addresses
import LinuxNet
import Testing

/// Netfilter's replies, written by hand as linux/netfilter/*.h lay them out. No kernel is asked.
struct NetfilterReplyTests {
    /// In network order.
    private static func number<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// In the order of the host.
    private static func native<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value) { Array($0) }
    }

    private static func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
        return native(UInt16(4 + payload.count)) + native(type) + payload + padding
    }

    private static func nest(_ type: UInt16, _ parts: [UInt8]...) -> [UInt8] {
        attribute(type | 0x8000, parts.flatMap { $0 })
    }

    private static func text(_ type: UInt16, _ text: String) -> [UInt8] {
        attribute(type, Array(text.utf8) + [0])
    }

    private static func message(
        _ type: UInt16, family: UInt8 = 2, _ attributes: [UInt8]...
    ) -> NetlinkReply.Message {
        NetlinkReply.Message(
            type: type, flags: 0, sequence: 7, port: 99,
            payload: [family, 0, 0, 0] + attributes.flatMap { $0 })
    }

    private static func counter(packets: UInt64, bytes: UInt64) -> [[UInt8]] {
        [text(1, "counter"), nest(2, attribute(1, number(bytes)), attribute(2, number(packets)))]
    }

    // NFT_MSG_NEWGEN
    private static let generation = message(0xa0f, family: 0, attribute(1, number(UInt32(77))))

    // NFT_MSG_NEWSETELEM: an element with one expression, one with a list of them, one without
    // a key, and one that is for everything else.
    private static let elements = message(
        0xa0c, family: 1, text(1, "t"), text(2, "m"),
        nest(
            3,
            nest(
                1, nest(1, attribute(1, [1, 2, 3, 4, 5, 6, 7, 8])),
                nest(2, nest(2, attribute(1, number(Int32(-3))), text(2, "more"))),
                nest(7, counter(packets: 2, bytes: 300).flatMap { $0 })),
            nest(
                1, nest(1, attribute(1, [9])), nest(2, attribute(1, [8, 0, 0, 0])),
                attribute(3, number(UInt32(1))),
                nest(
                    11, nest(1, text(1, "limit")),
                    nest(1, counter(packets: 1, bytes: .max).flatMap { $0 }))),
            nest(1, nest(2, attribute(1, [1]))),
            nest(
                1, attribute(3, number(UInt32(2))),
                nest(2, nest(2, attribute(1, number(0 as Int32)))))
        ))

    private static func tuple(
        _ type: UInt16, _ from: [UInt8], _ to: [UInt8], _ proto: [UInt8]...
    ) -> [UInt8] {
        let first: UInt16 = from.count == 4 ? 1 : 3
        return nest(
            type, nest(1, attribute(first, from), attribute(first + 1, to)),
            attribute(0x8002, proto.flatMap { $0 }))
    }

    // IPCTNL_MSG_CT_NEW
    private static let stream = message(
        0x100,
        tuple(
            1, [10, 0, 0, 1], [10, 0, 0, 2], attribute(1, [6]), attribute(2, number(UInt16(4711))),
            attribute(3, number(UInt16(9092)))),
        tuple(
            2, [10, 0, 0, 2], [10, 0, 0, 1], attribute(1, [6]), attribute(2, number(UInt16(9092))),
            attribute(3, number(UInt16(4711)))),
        attribute(3, number(UInt32(0xe))), attribute(7, number(UInt32(431_999))),
        attribute(8, number(UInt32(5))), nest(4, nest(1, attribute(1, [3]))),
        nest(9, attribute(1, number(UInt64(4))), attribute(2, number(UInt64(400)))),
        nest(10, attribute(1, number(UInt64(3))), attribute(2, number(UInt64(300)))),
        attribute(12, number(UInt32(0xdead_beef))), attribute(18, number(UInt16(2))))

    private static let near = [UInt8](repeating: 0xfd, count: 16)
    private static let far = [UInt8](repeating: 0xfe, count: 16)

    private static let echo = message(
        0x100, family: 10,
        tuple(
            1, near, far, attribute(1, [58]), attribute(7, number(UInt16(9))), attribute(8, [128]),
            attribute(9, [0])),
        tuple(
            2, far, near, attribute(1, [58]), attribute(7, number(UInt16(9))), attribute(8, [129]),
            attribute(9, [0])))

    // IPCTNL_MSG_CT_GET_STATS and its like of one processor
    private static let usage = message(
        0x105, attribute(1, number(UInt32(12))), attribute(2, number(UInt32(262_144))))
    private static let statistics = message(
        0x104, attribute(2, number(UInt32(1))), attribute(4, number(UInt32(2))),
        attribute(9, number(UInt32(3))), attribute(10, number(UInt32(4))),
        attribute(11, number(UInt32.max)))

    // NFULNL_MSG_PACKET
    private static let logged = message(
        0x400, attribute(1, [8, 0, 2, 0]), text(10, "policy kafka"),
        attribute(2, number(UInt32(0x102))), attribute(4, number(UInt32(3))),
        attribute(5, number(UInt32(4))), attribute(12, number(UInt32(41))),
        attribute(9, [0x45] + [UInt8](repeating: 7, count: 199)))

    private static let all = [
        generation, elements, stream, echo, usage, statistics, logged,
    ]

    @Test func generations() {
        #expect(NetlinkReply.rulesetGeneration(Self.generation) == 77)
        #expect(NetlinkReply.rulesetGeneration(Self.message(0xa0f)) == nil)
        #expect(NetlinkReply.rulesetGeneration(Self.usage) == nil)
    }

    @Test func elementsOfMaps() throws {
        let list = try #require(MapElement.list(Self.elements))
        #expect(
            list == [
                MapElement(
                    key: [1, 2, 3, 4, 5, 6, 7, 8], value: .jump("more"),
                    counter: Nftables.Counter(packets: 2, bytes: 300)),
                MapElement(
                    key: [9], value: .data([8, 0, 0, 0]),
                    counter: Nftables.Counter(packets: 1, bytes: .max), isIntervalEnd: true),
                MapElement(key: [], value: .drop),
            ])
        #expect(MapElement.list(Self.generation) == nil)
        #expect(MapElement.list(Self.message(0xa0c)) == [])
    }

    @Test func connections() throws {
        let stream = try #require(ConnectionEntry(Self.stream))
        #expect(stream.original.description == "tcp 10.0.0.1:4711 -> 10.0.0.2:9092")
        #expect(stream.reply.description == "tcp 10.0.0.2:9092 -> 10.0.0.1:4711")
        #expect(stream.status == [.seenReply, .assured, .confirmed])
        #expect(stream.timeoutSeconds == 431_999 && stream.mark == 5 && stream.zone == 2)
        #expect(stream.tcpState == .established && stream.id == 0xdead_beef)
        #expect(stream.originalCounter == Nftables.Counter(packets: 4, bytes: 400))
        #expect(stream.replyCounter == Nftables.Counter(packets: 3, bytes: 300))
        let echo = try #require(ConnectionEntry(Self.echo))
        #expect(
            echo.original.detail
                == .echo(ConnectionTuple.Echo(identifier: 9, type: 128, code: 0)))
        #expect(echo.original.source == IPAddress(bytes: Self.near))
        #expect(echo.timeoutSeconds == nil && echo.mark == 0 && echo.originalCounter == nil)
    }

    @Test func connectionsThatAreNone() {
        let (a, b): ([UInt8], [UInt8]) = ([10, 0, 0, 1], [10, 0, 0, 2])
        let good = Self.tuple(2, b, a, Self.attribute(1, [47]))
        func parsed(_ original: [UInt8]) -> ConnectionEntry? {
            ConnectionEntry(Self.message(0x100, original, good))
        }
        #expect(parsed(Self.tuple(1, a, b, Self.attribute(1, [47])))?.original.detail == .other)
        // No original, no protocol, addresses of two families, or too short.
        #expect(ConnectionEntry(Self.message(0x100, good)) == nil)
        #expect(parsed(Self.tuple(1, a, b)) == nil)
        #expect(parsed(Self.tuple(1, [10, 0, 0], b, Self.attribute(1, [47]))) == nil)
        let mixed = Self.nest(
            1, Self.nest(1, Self.attribute(1, a), Self.attribute(4, Self.far)),
            Self.nest(2, Self.attribute(1, [47])))
        #expect(parsed(mixed) == nil)
        #expect(ConnectionEntry(Self.message(0x102)) == nil)
    }

    @Test func sizesOfTheTable() {
        #expect(Conntrack.Usage(Self.usage) == Conntrack.Usage(entries: 12, maximum: 262_144))
        #expect(Conntrack.Usage(Self.message(0x105)) == nil)
        var expected = Conntrack.Statistics()
        expected.invalid = 2
        expected.insertFailed = 3
        expected.dropped = 4
        expected.earlyDropped = UInt64(UInt32.max)
        #expect(Conntrack.Statistics(Self.statistics) == expected)
        #expect(Conntrack.Statistics(Self.usage) == nil)
    }

    @Test func loggedPackets() {
        #expect(
            LoggedPacket(Self.logged)
                == LoggedPacket(
                    prefix: "policy kafka", hook: .forward, inputInterface: 3, outputInterface: 4,
                    mark: 0x102, payload: [0x45] + [UInt8](repeating: 7, count: 127),
                    sequence: 41))
        #expect(LoggedPacket(Self.message(0x400)) == LoggedPacket(prefix: ""))
        #expect(LoggedPacket(Self.message(0x401)) == nil)
        let odd = LoggedPacket(
            Self.message(
                0x400, Self.attribute(1, [8, 0, 99, 0]),
                Self.attribute(10, [UInt8](repeating: 0x61, count: 500)),
                Self.attribute(4, Self.number(UInt32.max)), Self.attribute(2, [1])))
        #expect(odd == LoggedPacket(prefix: String(repeating: "a", count: 128)))
    }

    /// Cut anywhere, and with any length in an attribute's head wrong.
    @Test func lengthsThatLie() {
        var parsed = 0
        func read(_ message: NetlinkReply.Message, _ payload: [UInt8]) {
            let changed = NetlinkReply.Message(
                type: message.type, flags: 0, sequence: 7, port: 99, payload: payload)
            if MapElement.list(changed) != nil { parsed += 1 }
            if ConnectionEntry(changed) != nil { parsed += 1 }
            if LoggedPacket(changed) != nil { parsed += 1 }
            _ = NetlinkReply.rulesetGeneration(changed)
            _ = Conntrack.Usage(changed)
            _ = Conntrack.Statistics(changed)
        }
        for message in Self.all {
            for count in message.payload.indices {
                read(message, Array(message.payload[..<count]))
                for byte: UInt8 in [0, 1, 3, 5, 0x7f, 0xff] {
                    var payload = message.payload
                    payload[count] = byte
                    read(message, payload)
                }
            }
        }
        #expect(parsed > 0)
    }
}
