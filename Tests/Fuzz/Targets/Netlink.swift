import LinuxNet

extension FuzzTarget {
    static let netlink = FuzzTarget(
        "netlink-reply", maximumBytes: 1024,
        seeds: { NetlinkSeeds.all + [NetlinkSeeds.all.flatMap { $0 }] }
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
        // NLMSG_ERROR with the request echoed and the kernel's words.
        message(
            2, flags: 0x200,
            number(Int32(-22)) + message(16, [1, 2, 3, 4]) + attribute(1, Array("no\0".utf8))),
    ]

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
