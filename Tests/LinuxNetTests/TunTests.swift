import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it makes TUN devices"))
struct TunTests {
    /// An ICMP echo request 10.9.0.2 -> 10.9.0.1, the checksums computed here.
    private static func ping() -> [UInt8] {
        var packet: [UInt8] = [
            0x45, 0, 0, 32, 0, 1, 0, 0, 64, 1, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1,
            8, 0, 0, 0, 0x12, 0x34, 0, 1, 0xde, 0xad, 0xbe, 0xef,
        ]
        store(checksum(packet[0..<20]), &packet, 10)
        store(checksum(packet[20...]), &packet, 22)
        return packet
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var sum: UInt32 = 0
        for (n, byte) in bytes.enumerated() { sum += n % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
        while sum >> 16 != 0 { sum = (sum & 0xffff) + (sum >> 16) }
        return ~UInt16(sum)
    }

    private static func store(_ value: UInt16, _ packet: inout [UInt8], _ at: Int) {
        packet[at] = UInt8(value >> 8)
        packet[at + 1] = UInt8(value & 255)
    }

    private func bringUp(_ tun: TunDevice) throws {
        let netlink = try Netlink(in: tun.namespace)
        let address = try #require(IPAddress("10.9.0.1"))
        try netlink.addAddress(InterfaceAddress(address, prefixLength: 24), to: tun.name)
        try netlink.setUp(tun.name, true)
    }

    /// A program that another test is just starting shares the descriptors until it runs: a close
    /// takes effect then.
    private func takeOver(
        _ options: TunDevice.Options, in namespace: NetworkNamespace
    ) throws -> TunDevice {
        var tun: TunDevice?
        var last: LinuxError?
        _ = eventually {
            last = failure { tun = try TunDevice(options, in: namespace) }
            return last?.errno != EBUSY
        }
        if let last { throw last }
        return try #require(tun)
    }

    /// The next packet that is IPv4 (the kernel sends IPv6 router solicitations of its own).
    private func readIPv4(_ fd: Int32, header: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 70_000)
        var packet: [UInt8]?
        _ = eventually {
            let count = read(fd, &buffer, buffer.count)
            guard count > header, buffer[header] >> 4 == 4 else { return false }
            packet = Array(buffer[..<count])
            return true
        }
        return packet
    }

    @Test(arguments: [true, false])
    func packetsGoInAndOut(vnetHeader: Bool) throws {
        let namespace = try NetworkNamespace.anonymous()
        var options = TunDevice.Options(name: "tun%d")
        options.vnetHeader = vnetHeader
        let tun = try TunDevice(options, in: namespace)
        #expect(tun.name == "tun0")
        #expect(tun.offloads.contains(.tcp) == vnetHeader)
        let link = try Netlink(in: namespace).existingLink(named: "tun0")
        #expect(link.index == tun.index && link.kind == "tun" && link.hardwareAddress.isEmpty)
        #expect(fcntl(tun.fd, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(tun.fd, F_GETFD) & FD_CLOEXEC != 0)
        try bringUp(tun)
        let header = vnetHeader ? 10 : 0
        let frame = [UInt8](repeating: 0, count: header) + Self.ping()
        #expect(write(tun.fd, frame, frame.count) == frame.count)
        let reply = try #require(readIPv4(tun.fd, header: header))
        #expect(reply.count == frame.count)
        let packet = Array(reply[header...])
        #expect(Array(packet[12..<20]) == [10, 9, 0, 1, 10, 9, 0, 2])
        #expect(packet[20] == 0, "an echo reply")
        #expect(Array(packet[24...]) == Array(Self.ping()[24...]))
    }

    @Test func persistentDevicesAreTakenOverWithTheirRoutes() throws {
        try withNamespaces { a, _ in
            var options = TunDevice.Options(name: "slice0")
            options.persistent = true
            let first = try TunDevice(options, in: a)
            try bringUp(first)
            let busy = failure { _ = try TunDevice(options, in: a) }
            #expect(busy?.errno == EBUSY)
            #expect(busy?.description.contains("another process holds the device") == true)
            let index = first.index
            first.close()
            first.close()
            #expect(try ip(a, "-o link show slice0").contains("slice0"))
            let second = try takeOver(options, in: a)
            #expect(second.index == index)
            #expect(try ip(a, "route").contains("10.9.0.0/24 dev slice0"))
            var frame = [UInt8](repeating: 0, count: 10)
            frame += Self.ping()
            #expect(write(second.fd, frame, frame.count) == frame.count)
            #expect(readIPv4(second.fd, header: 10) != nil)
            try second.setPersistent(false)
            second.close()
            #expect(try eventually { try Netlink(in: a).link(named: "slice0") == nil })
        }
    }

    @Test func devicesMoveAndKeepTheirDescriptor() throws {
        try withNamespaces { a, b in
            let tun = try TunDevice(TunDevice.Options(name: "mover"), in: a)
            try Netlink(in: a).move("mover", to: b)
            let netlink = try Netlink(in: b)
            let address = try #require(IPAddress("10.9.0.1"))
            try netlink.addAddress(InterfaceAddress(address, prefixLength: 24), to: "mover")
            try netlink.setUp("mover", true)
            let frame = [UInt8](repeating: 0, count: 10) + Self.ping()
            #expect(write(tun.fd, frame, frame.count) == frame.count)
            #expect(readIPv4(tun.fd, header: 10) != nil)
        }
    }

    @Test func queuesAndRefusals() throws {
        let namespace = try NetworkNamespace.anonymous()
        var options = TunDevice.Options(name: "many")
        options.queues = 3
        let tun = try TunDevice(options, in: namespace)
        #expect(Set(tun.queues).count == 3)
        options.queues = 1
        let other = failure { _ = try TunDevice(options, in: namespace) }
        #expect(other?.errno == EINVAL && other?.object == "TUN device many")
        options.queues = 3
        options.exclusive = true
        #expect(failure { _ = try TunDevice(options, in: namespace) }?.errno == EBUSY)
        options.queues = 0
        #expect(failure { _ = try TunDevice(options, in: namespace) }?.errno == EINVAL)
        options = TunDevice.Options(name: "0123456789abcdef")
        #expect(failure { _ = try TunDevice(options, in: namespace) }?.errno == EINVAL)
        tun.close()
        #expect(try eventually { try Netlink(in: namespace).link(named: "many") == nil })
    }
}
