import LinuxNet

extension FuzzTarget {
    static let netlink = FuzzTarget(
        "netlink-reply", maximumBytes: 1024,
        seeds: { NetlinkSeeds.all + [NetlinkSeeds.all.prefix(8).flatMap { $0 }] }
    ) { NetlinkReply.fuzz($0) }
}

/// Replies as linux/netlink.h and linux/rtnetlink.h lay them out.
private enum NetlinkSeeds {
    static let all: [[UInt8]] = [
        // RTM_NEWLINK, with a name, an MTU and the kind nested in IFLA_LINKINFO.
        message(
            16,
            [0, 0, 0, 0] + number(Int32(12)) + number(UInt32(0x1043)) + number(UInt32(0))
                + attribute(3, Array("veth9\0".utf8)) + attribute(4, number(UInt32(1380)))
                + attribute(18, attribute(1, Array("veth\0".utf8)))
                + attribute(23, (1...25).flatMap { number(UInt64($0)) })),
        // RTM_NEWADDR
        message(20, [2, 24, 0x80, 0] + number(Int32(12)) + attribute(2, [10, 0, 0, 1])),
        // RTM_NEWROUTE, with RTA_METRICS nested.
        message(
            24,
            [2, 16, 0, 0, 254, 143, 0, 1] + number(UInt32(4)) + attribute(1, [10, 2, 0, 0])
                + attribute(5, [10, 1, 0, 9]) + attribute(4, number(Int32(12)))
                + attribute(8, attribute(2, number(UInt32(1300))))),
        // RTM_NEWNEIGH
        message(
            28,
            [2, 0, 0, 0] + number(Int32(12)) + number(UInt16(0x80)) + [0, 1]
                + attribute(1, [10, 1, 0, 9]) + attribute(2, [2, 0, 0, 0, 0, 9])),
        // RTM_NEWRULE
        message(
            32,
            [10, 64, 0, 0, 254, 0, 0, 1] + number(UInt32(0)) + attribute(6, number(UInt32(100)))
                + attribute(1, [UInt8](repeating: 0xfd, count: 16))),
        // RTM_NEWNSID
        message(88, [0, 0, 0, 0] + attribute(1, number(Int32(3)))),
        // NFT_MSG_NEWGEN and NFT_MSG_NEWSETELEM, with a verdict and a counter.
        message(0xa0f, [0, 0, 0, 0] + attribute(1, [0, 0, 0, 7])),
        message(
            0xa0c,
            [1, 0, 0, 0]
                + attribute(
                    3,
                    attribute(
                        1,
                        attribute(1, attribute(1, [1, 0, 0, 0, 2, 0, 0, 0]))
                            + attribute(
                                2, attribute(2, attribute(1, [0xff, 0xff, 0xff, 0xfd]) + more))
                            + attribute(11, attribute(1, counter))))),
        // IPCTNL_MSG_CT_NEW, and NFULNL_MSG_PACKET.
        message(
            0x100,
            [2, 0, 0, 0] + attribute(1, tuple) + attribute(2, tuple) + attribute(3, [0, 0, 0, 14])
                + attribute(4, attribute(1, attribute(1, [3])))
                + attribute(9, attribute(1, eight) + attribute(2, eight))),
        message(0x104, [0, 0, 0, 0] + attribute(4, [0, 0, 0, 1])),
        message(0x105, [0, 0, 0, 0] + attribute(1, [0, 0, 0, 1])),
        message(
            0x400,
            [2, 0, 0, 0] + attribute(1, [8, 0, 2, 0]) + attribute(10, Array("deny\0".utf8))
                + attribute(4, [0, 0, 0, 3]) + attribute(12, [0, 0, 0, 1])
                + attribute(9, [UInt8](repeating: 0x45, count: 130))),
        // NLMSG_ERROR with the request echoed and the kernel's words.
        message(
            2, flags: 0x200,
            number(Int32(-22)) + message(16, [1, 2, 3, 4]) + attribute(1, Array("no\0".utf8))),
    ]

    private static let eight: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 9]
    private static let more = attribute(2, Array("more\0".utf8))
    private static let counter =
        attribute(1, Array("counter\0".utf8))
        + attribute(2, attribute(1, eight) + attribute(2, eight))
    private static let tuple =
        attribute(1, attribute(1, [10, 0, 0, 1]) + attribute(2, [10, 0, 0, 2]))
        + attribute(2, attribute(1, [6]) + attribute(2, [1, 2]) + attribute(3, [3, 4]))

    private static func number<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    private static func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - payload.count % 4) % 4)
        return number(UInt16(4 + payload.count)) + number(type) + payload + padding
    }

    private static func message(
        _ type: UInt16, flags: UInt16 = 0, _ payload: [UInt8]
    ) -> [UInt8] {
        number(UInt32(16 + payload.count)) + number(type) + number(flags) + number(UInt32(7))
            + number(UInt32(99)) + payload
    }
}
