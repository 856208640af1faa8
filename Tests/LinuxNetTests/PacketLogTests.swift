import Addresses
import Glibc
import LinuxNet
import Testing

@Suite(.enabled(if: isRoot, "needs root: it logs packets in namespaces of its own"))
struct PacketLogTests {
    private static let rules = """
        table inet t {
            chain out {
                type filter hook output priority filter
                udp dport 9 meta mark set 0x90000007 log prefix "deny a 1" group 5 drop
            }
            chain in {
                type filter hook input priority filter
                udp dport 10 log prefix "seen" group 5
            }
        }
        """

    private func logging() throws -> (NetworkNamespace, Traffic) {
        let namespace = try NetworkNamespace.anonymous()
        try Nftables(in: namespace).apply(Self.rules)
        return (namespace, Traffic(in: namespace))
    }

    /// Polls until that many have come, or none does for some seconds.
    private func read(_ log: PacketLog, _ count: Int) throws -> PacketLog.Batch {
        var whole = PacketLog.Batch()
        while whole.packets.count < count {
            var wait = pollfd(fd: log.fd, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 5_000) == 1 else { break }
            let batch = try log.read(max: count - whole.packets.count)
            whole.packets += batch.packets
            whole.lost += batch.lost
            whole.overruns += batch.overruns
        }
        return whole
    }

    @Test func aPacketComesWithItsPrefix() throws {
        let (namespace, traffic) = try logging()
        let log = try PacketLog(in: namespace, group: 5)
        #expect(try log.read(max: 10) == PacketLog.Batch(), "it does not wait")
        let body = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        let (v4, v6) = (try traffic.udp("127.0.0.1"), try traffic.udp("::1"))
        try traffic.send(v4.fd, body, to: "127.0.0.1", port: 9)
        try traffic.send(v6.fd, [1, 2, 3], to: "::1", port: 10)
        let batch = try read(log, 2)
        #expect(batch.packets.count == 2 && batch.lost == 0 && batch.overruns == 0)
        let denied = try #require(batch.packets.first)
        #expect(denied.prefix == "deny a 1" && denied.hook == .output)
        // The loopback device is the first of any namespace.
        #expect(denied.inputInterface == nil && denied.outputInterface == 1)
        #expect(denied.mark == 0x9000_0007 && denied.sequence == 0)
        #expect(denied.payload.count == 128 && denied.payload[0] == 0x45)
        #expect(Array(denied.payload[28...]) == Array(body[..<100]))
        let seen = try #require(batch.packets.last)
        #expect(seen.prefix == "seen" && seen.hook == .input && seen.mark == 0)
        #expect(seen.inputInterface == 1 && seen.outputInterface == nil)
        #expect(seen.payload.count == 51 && seen.payload[0] >> 4 == 6)
        #expect(Array(seen.payload[48...]) == [1, 2, 3])
    }

    @Test func aGroupHasOneListener() throws {
        let (namespace, traffic) = try logging()
        let first = try PacketLog(in: namespace, group: 5)
        let second = failure { _ = try PacketLog(in: namespace, group: 5) }
        #expect(second?.errno == EBUSY)
        #expect(
            second?.description.hasPrefix("cannot listen to packet log group 5 in namespace")
                == true)
        // Other groups, and the same in another namespace, are free.
        let other = try PacketLog(in: namespace, group: 6)
        _ = try PacketLog(in: .anonymous(), group: 5)
        first.close()
        first.close()
        #expect(failure { _ = try first.read(max: 1) }?.errno == EBADF)
        let third = try PacketLog(in: namespace, group: 5)
        let client = try traffic.udp("127.0.0.1")
        try traffic.send(client.fd, [0], to: "127.0.0.1", port: 9)
        #expect(try read(third, 1).packets.count == 1)
        #expect(try other.read(max: 1) == PacketLog.Batch())
    }

    @Test func whatIsLostIsCounted() throws {
        let (namespace, traffic) = try logging()
        let log = try PacketLog(in: namespace, group: 5, bufferBytes: 4_096)
        let client = try traffic.udp("127.0.0.1")
        let count = 2_000
        for _ in 0..<count { try traffic.send(client.fd, [0], to: "127.0.0.1", port: 9) }
        var batch = PacketLog.Batch()
        // What the kernel still gathers comes a moment later; so it goes on until one more that is
        // sent meanwhile closes the gap.
        var sent = count
        let isWhole = try eventually {
            let more = try log.read(max: 100)
            batch.packets += more.packets
            batch.lost += more.lost
            batch.overruns += more.overruns
            if UInt64(batch.packets.count) + batch.lost == UInt64(sent) { return true }
            if sent < count + 200 {
                sent += 1
                try traffic.send(client.fd, [0], to: "127.0.0.1", port: 9)
            }
            return false
        }
        #expect(isWhole)
        #expect(batch.lost > 0 && batch.overruns > 0 && !batch.packets.isEmpty)
    }

    @Test func batchesAreBounded() throws {
        let (namespace, traffic) = try logging()
        let log = try PacketLog(in: namespace, group: 5, bufferBytes: 1 << 20)
        let client = try traffic.udp("127.0.0.1")
        for _ in 0..<320 { try traffic.send(client.fd, [0], to: "127.0.0.1", port: 9) }
        let first = try log.read(max: 1)
        #expect((1...32).contains(first.packets.count))
        #expect(try read(log, 320 - first.packets.count).packets.last?.sequence == 319)
    }
}
