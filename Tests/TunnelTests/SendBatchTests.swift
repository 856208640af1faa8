import Addresses
import Testing
import Tunnel

/// What a UDP_SEGMENT send may carry: equal sizes, a shorter last one, one destination.
@Suite struct SendBatchTests {
    private final class Fixture {
        let path = UnsafeMutablePointer<PeerPath>.allocate(capacity: 2)
        let near = IPEndpoint(.v4(IPv4Address(1)), port: 1)
        let far = IPEndpoint(.v4(IPv4Address(2)), port: 1)

        init() {
            path.initialize(to: PeerPath(number: 0))
            (path + 1).initialize(to: PeerPath(number: 1))
        }
        deinit {
            path.deinitialize(count: 2)
            path.deallocate()
        }
    }

    private struct Put {
        var count: Int
        var peer = 0
        var far = false
        var tos: UInt8 = 0
    }

    /// Sizes put in order, and the groups they must form.
    private static let table: [(String, [Put], [[Int]])] = [
        ("equal sizes", [Put(count: 100), Put(count: 100), Put(count: 100)], [[100, 100, 100]]),
        ("a shorter one ends a group", [Put(count: 100), Put(count: 60), Put(count: 100)],
            [[100, 60], [100]]),
        ("a longer one begins a group", [Put(count: 60), Put(count: 100)], [[60], [100]]),
        ("another peer", [Put(count: 60), Put(count: 60, peer: 1)], [[60], [60]]),
        ("another place", [Put(count: 60), Put(count: 60, far: true)], [[60], [60]]),
        ("another ECN mark", [Put(count: 60), Put(count: 60, tos: 2)], [[60], [60]]),
        ("at most 64 messages", Array(repeating: Put(count: 40), count: 65),
            [Array(repeating: 40, count: 64), [40]]),
        ("at most 65,487 bytes", Array(repeating: Put(count: 1452), count: 46),
            [Array(repeating: 1452, count: 45), [1452]]),
    ]

    @Test(arguments: table.indices) func groups(_ row: Int) throws {
        let (name, puts, expected) = Self.table[row]
        let fixture = Fixture()
        var batch = SendBatch(capacity: 262_144, groups: 64)
        var end = batch.slab
        for put in puts {
            let found = batch.place(
                put.count, for: fixture.path + put.peer,
                to: put.far ? fixture.far : fixture.near, tos: put.tos)
            let place = try #require(found, "\(name)")
            #expect(place == end, "\(name): messages lie back to back")
            end = place + put.count
        }
        var groups: [[Int]] = []
        for i in 0..<batch.groupCount {
            let group = batch.groups[i]
            var sizes: [Int] = []
            var left = group.count
            while left > 0 {
                sizes.append(min(left, group.segmentSize))
                left -= group.segmentSize
            }
            #expect(sizes.count == Int(group.segments), "\(name)")
            groups.append(sizes)
        }
        #expect(groups == expected, "\(name)")
    }

    @Test func fullIsSaidAndResetMakesRoom() {
        let fixture = Fixture()
        var batch = SendBatch(capacity: 250, groups: 2)
        func fits(_ count: Int, peer: Int = 0) -> Bool {
            batch.place(count, for: fixture.path + peer, to: fixture.near, tos: 0) != nil
        }
        #expect([fits(100), fits(100), fits(100), fits(20)] == [true, true, false, true])
        #expect([fits(20, peer: 1), fits(1)] == [true, false])
        batch.reset()
        let isEmpty = batch.isEmpty
        #expect(isEmpty)
        #expect(fits(250))
    }

    /// Sizes put in order, and how many of the groups they form will not grow.
    private static let growing: [(String, [Put], Int)] = [
        ("none", [], 0),
        ("the only one has room", [Put(count: 100), Put(count: 100)], 0),
        ("ended by a shorter one", [Put(count: 100), Put(count: 60)], 1),
        ("the one before the last", [Put(count: 60), Put(count: 100)], 1),
        ("64 messages", Array(repeating: Put(count: 40), count: 64), 1),
        ("no room for another in a datagram", Array(repeating: Put(count: 1452), count: 45), 1),
        ("what is over begins the next", Array(repeating: Put(count: 1452), count: 47), 1),
        ("no room for another in the slab", Array(repeating: Put(count: 1450), count: 90), 2),
    ]

    @Test(arguments: growing.indices) func fullGroups(_ row: Int) throws {
        let (name, puts, expected) = Self.growing[row]
        let fixture = Fixture()
        var batch = SendBatch(capacity: 131_000, groups: 64)
        for put in puts {
            let place = batch.place(
                put.count, for: fixture.path + put.peer, to: fixture.near, tos: put.tos)
            try #require(place != nil, "\(name)")
        }
        let full = batch.fullGroups
        #expect(full == expected, "\(name)")
    }

    /// 47 messages of one packet and as many of the next: 45, 45 and 4, not 45, 2, 45 and 2.
    @Test func whatIsLeftGoesOnAfterASend() throws {
        let fixture = Fixture()
        var batch = SendBatch(capacity: 262_144, groups: 64)
        var sent: [Int32] = []
        var places: [UnsafeMutableRawPointer] = []
        for packet in 0..<2 {
            for _ in 0..<47 {
                let place = batch.place(
                    1452, for: fixture.path, to: fixture.near, tos: 0)
                places.append(try #require(place))
            }
            let full = batch.fullGroups
            #expect(full == 1)
            for i in 0..<full { sent.append(batch.groups[i].segments) }
            batch.removeFirst(full)
            let left = batch.groups[0]
            #expect(left.segments == 2 * Int32(packet + 1))
            #expect(batch.slab + left.offset == places[places.count - Int(left.segments)])
        }
        #expect(sent == [45, 45])
        batch.removeFirst(1)
        let (isEmpty, used) = (batch.isEmpty, batch.used)
        #expect(isEmpty && used == 0, "its place is the start of the slab again")
    }

    @Test func paddingStopsAtTheMTU() {
        let table = [
            (0, 0), (1, 16), (16, 16), (17, 32), (1419, 1420), (1420, 1420), (1408, 1408),
            (1421, 1424), (9000, 9008),
        ]
        for (count, padded) in table { #expect(Padding.length(count, mtu: 1420) == padded) }
    }
}
