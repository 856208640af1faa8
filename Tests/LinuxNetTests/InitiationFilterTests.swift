import Addresses
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it sends in a namespace of its own"))
struct InitiationFilterTests {
    private let namespace: NetworkNamespace
    private let traffic: Traffic
    private let socket: UDPSocket

    init() throws {
        let namespace = try NetworkNamespace.anonymous()
        self.namespace = namespace
        traffic = Traffic(in: namespace)
        socket = try namespace.run { try UDPSocket(port: 0) }
    }

    private func message(type: UInt8, reserved: UInt8 = 0, count: Int = 148, mark: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes[0] = type
        bytes[3] = reserved
        bytes[4] = UInt8(mark)
        return bytes
    }

    /// Sends what is given from an address, each so many times.
    private func send(_ messages: [[UInt8]], times: Int, from address: String) throws {
        let fd = try traffic.udp(address).fd
        let target = address.contains(":") ? "::1" : "127.0.0.1"
        for _ in 0..<times {
            for bytes in messages {
                try #require(traffic.send(fd, bytes, to: target, port: socket.port) == 0)
            }
        }
    }

    /// How many of each mark have come, up to the last.
    private func received(until last: Int) throws -> [Int: Int] {
        var counts: [Int: Int] = [:]
        while counts[last] == nil {
            let bytes = try #require(Traffic.receive(socket.descriptor))
            counts[Int(bytes[4]), default: 0] += 1
        }
        return counts
    }

    @Test func onlyInitiationsOfTheSourcesAreDroppedAndNotAll() throws {
        let inV4 = try #require(IPAddress("127.0.0.3"))
        let others = (4...17).map { IPAddress.v4(IPv4Address(0x7f00_0100 + UInt32($0))) }
        let inV6 = try #require(IPAddress("::"))  // the network of ::1
        try socket.dropInitiations(of: others + [inV4, inV6])
        let initiation = message(type: 1, mark: 1)
        let others4 = [
            message(type: 2, mark: 2), message(type: 4, mark: 3),
            message(type: 1, reserved: 1, mark: 4), message(type: 1, count: 147, mark: 5),
            message(type: 1, count: 296, mark: 6),
        ]
        try send([initiation] + others4, times: 200, from: "127.0.0.3")
        try send([message(type: 1, mark: 7)], times: 200, from: "127.0.0.2")
        try send(
            [message(type: 1, mark: 8), message(type: 4, mark: 9)], times: 200, from: "::1")
        try send([message(type: 4, mark: 10)], times: 1, from: "127.0.0.2")
        var counts = try received(until: 10)
        let passed = (counts.removeValue(forKey: 1) ?? 0, counts.removeValue(forKey: 8) ?? 0)
        // Of 200 one in eight; none, or half, has a chance of 1 in 10^11.
        #expect((1...100).contains(passed.0) && (1...100).contains(passed.1))
        #expect(counts == [2: 200, 3: 200, 4: 200, 5: 200, 6: 200, 7: 200, 9: 200, 10: 1])

        try socket.dropInitiations(of: [])
        try socket.dropInitiations(of: [])
        try send([initiation, message(type: 1, mark: 2)], times: 200, from: "127.0.0.3")
        try send([message(type: 4, mark: 10)], times: 1, from: "127.0.0.3")
        #expect(try received(until: 10) == [1: 200, 2: 200, 10: 1])
    }

    /// As many sources as fit, of one family or the other, and more: the kernel takes it.
    @Test(arguments: [1, 15, 16, 40]) func anyNumberOfSources(count: Int) throws {
        let inV4 = (0..<count).map { IPAddress.v4(IPv4Address(0x0a00_0000 + UInt32($0))) }
        let inV6 = (0..<count).map { IPAddress.v6(IPv6Address(high: UInt64($0), low: 0)) }
        try socket.dropInitiations(of: inV4)
        try socket.dropInitiations(of: inV6)
        try socket.dropInitiations(of: Array((inV4 + inV6).shuffled()))
    }
}
