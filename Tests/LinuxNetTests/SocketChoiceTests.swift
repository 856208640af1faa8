import Addresses
import CLinux
import Glibc
import LinuxNet
import Testing

/// Which of the sockets at one port gets what.
@Suite(.enabled(if: isRoot, "needs root: it sends in a namespace of its own"))
struct SocketChoiceTests {
    private static let tos: UInt8 = 7 << 2

    /// From an address and some ports with a type of service each: what which socket received, as
    /// the number of the sender's port and the type of service.
    private func received(
        queues: Int, sparseTOS: UInt8 = tos, from address: String, tos: [UInt8], ports: Int
    ) throws -> [[[UInt8]]] {
        let namespace = try NetworkNamespace.anonymous()
        let traffic = Traffic(in: namespace)
        let sockets = try namespace.run { () throws(LinuxError) in
            let all = try UDPSocket.open(port: 0, count: sparseTOS > 0 ? 2 * queues : queues)
            try UDPSocket.divide(all, sparseTOS: sparseTOS)
            return all
        }
        let isV6 = address.contains(":")
        for number in 0..<ports {
            let fd = try traffic.udp(address).fd
            for one in tos {
                var value = Int32(one)
                try #require(
                    setsockopt(
                        fd, Int32(isV6 ? IPPROTO_IPV6 : IPPROTO_IP), isV6 ? IPV6_TCLASS : IP_TOS,
                        &value, 4) == 0)
                let to = isV6 ? "::1" : "127.0.0.1"
                let result = try traffic.send(
                    fd, [UInt8(number), one], to: to, port: sockets[0].port)
                try #require(result == 0)
            }
        }
        // On the loopback all is there once it is sent.
        return sockets.map { socket in
            var all: [[UInt8]] = []
            var bytes = [UInt8](repeating: 0, count: 8)
            while recv(socket.descriptor, &bytes, 8, 0x40) == 2 {  // MSG_DONTWAIT
                all.append(Array(bytes.prefix(2)))
            }
            return all
        }
    }

    @Test(arguments: ["127.0.0.2", "::1"])
    func oneQueue(address: String) throws {
        let plain: [UInt8] = [0, 1, 2, 3, 3 << 2, 6 << 2, 46 << 2, 39 << 2]
        let sparse: [UInt8] = [28, 29, 30, 31]
        let found = try received(queues: 1, from: address, tos: plain + sparse, ports: 2)
        #expect(found[0] == [0, 1].flatMap { n in plain.map { [n, $0] } })
        #expect(found[1] == [0, 1].flatMap { n in sparse.map { [n, $0] } })
    }

    @Test func withoutSparse() throws {
        let found = try received(
            queues: 3, sparseTOS: 0, from: "127.0.0.2", tos: [0, Self.tos], ports: 64)
        #expect(found.map(\.count).reduce(0, +) == 2 * 64)
        #expect(found.count == 3 && found.allSatisfy { !$0.isEmpty })
        for one in found {
            let (plain, marked) = (one.filter { $0[1] == 0 }, one.filter { $0[1] > 0 })
            #expect(plain.map { $0[0] } == marked.map { $0[0] })
        }
    }

    /// As the gateways of a slice send: all from one port.
    @Test func byAddress() throws {
        let namespace = try NetworkNamespace.anonymous()
        let traffic = Traffic(in: namespace)
        let sockets = try namespace.run { () throws(LinuxError) in
            let all = try UDPSocket.open(port: 0, count: 4)
            try UDPSocket.divide(all)
            return all
        }
        for host in 2..<130 {
            let fd = try traffic.udp("127.0.0.\(host)", port: 51_820).fd
            try #require(traffic.send(fd, [1], to: "127.0.0.1", port: sockets[0].port) == 0)
        }
        let counts = sockets.map { socket in
            var bytes = [UInt8](repeating: 0, count: 8)
            var count = 0
            while recv(socket.descriptor, &bytes, 8, 0x40) == 1 { count += 1 }  // MSG_DONTWAIT
            return count
        }
        // None has as few as this by chance: 32 each are expected.
        #expect(counts.reduce(0, +) == 128 && counts.allSatisfy { $0 > 8 }, "\(counts)")
    }

    /// Whoever joins gets nothing that comes, and nobody may bind there unless it asks to join.
    @Test func others() throws {
        let namespace = try NetworkNamespace.anonymous()
        let traffic = Traffic(in: namespace)
        let sockets = try namespace.run { () throws(LinuxError) in
            let all = try UDPSocket.open(port: 0, count: 2)
            try UDPSocket.divide(all, sparseTOS: Self.tos)
            return all
        }
        let port = sockets[0].port
        let alone = try namespace.run { clinux_udp_open(6, port, 0) }
        #expect(alone == -EADDRINUSE)
        let joined = try namespace.run { clinux_udp_open(6, port, 1) }
        try #require(joined >= 0)
        defer { close(joined) }
        for _ in 0..<64 {
            let fd = try traffic.udp("127.0.0.2").fd
            try #require(traffic.send(fd, [1], to: "127.0.0.1", port: port) == 0)
        }
        var bytes = [UInt8](repeating: 0, count: 8)
        var count = 0
        while recv(sockets[0].descriptor, &bytes, 8, 0x40) == 1 { count += 1 }  // MSG_DONTWAIT
        #expect(count == 64)
    }

    /// Each port's datagrams go to one queue, those of sparse flows to the other socket of it, and
    /// all queues have some.
    @Test(arguments: ["127.0.0.2", "::1"], [2, 3, 4, 16])
    func queues(address: String, queues: Int) throws {
        let found = try received(
            queues: queues, from: address, tos: [0, Self.tos, 1], ports: 240)
        #expect(found.map(\.count).reduce(0, +) == 3 * 240)
        for number in 0..<queues {
            let (plain, sparse) = (found[number], found[queues + number])
            #expect(!plain.isEmpty && plain.allSatisfy { $0[1] != Self.tos })
            #expect(sparse.map { $0[0] } == plain.filter { $0[1] == 0 }.map { $0[0] })
            #expect(sparse.allSatisfy { $0[1] == Self.tos })
        }
    }
}
