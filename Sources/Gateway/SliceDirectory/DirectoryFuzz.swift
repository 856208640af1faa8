import Addresses
import SliceModel
import Timing

// What a fuzzer calls: any bytes in, no trap, and rules that hold for whatever is accepted.

package enum DirectoryFuzz {
    /// A stream of frames; cut anywhere it says the same, and what it says has one form.
    package static func frames(_ bytes: UnsafeRawBufferPointer) {
        let input = Array(bytes)
        var whole = DirectoryFrameDecoder()
        whole.append(input)
        var drip = DirectoryFrameDecoder()
        var place = 0
        while true {
            let message = try? whole.next()
            guard let message else { break }
            var again: DirectoryMessage?
            while again == nil, place < input.count {
                let step = min(input.count - place, 1 + place % 7)
                drip.append(Array(input[place..<place + step]))
                place += step
                again = (try? drip.next()) ?? nil
            }
            // A drip may hold a whole further frame; the order is the same.
            precondition(again == message, "cut elsewhere, it says something else")
            var once = DirectoryFrameDecoder()
            once.append(message.frame)
            precondition((try? once.next()) == message, "it does not come back")
            while let more = try? drip.next() {
                let next = try? whole.next()
                precondition(more == next, "cut elsewhere, it says something else")
            }
        }
    }

    /// A peer that says anything on both streams: the first byte of each step says on which, or
    /// what else happens; see `FuzzScript` of the targets for the rest.
    package static func node(_ steps: [(operation: UInt8, bytes: [UInt8])]) {
        guard let west = cluster("west", 1), let east = cluster("east", 2),
            let name = SliceName("pay")
        else { return }
        var limits = DirectoryLimits()
        (limits.endpoints, limits.services, limits.members) = (8, 4, 8)
        limits.recordBytes = 2_000
        limits.manifestBytes = 300
        var now = Instant(nanoseconds: 1_000_000_000_000)
        var node = DirectoryNode(
            DirectorySlice(name: name, local: west, others: [east]), incarnation: 5,
            document: [1, 2, 3], seed: 1, now: now, limits: limits)
        var following: DirectoryStream?
        var serving: UInt64 = 0
        for (operation, bytes) in steps {
            now = now + .milliseconds(20)
            let event: DirectoryEvent
            switch operation % 8 {
            case 0, 1:
                guard let following else { continue }
                event = .received(following, bytes)
            case 2, 3: event = .received(.incoming(serving), bytes)
            case 4:
                serving += 1
                event = .accepted(.incoming(serving), from: east.addresses[0])
            case 5:
                now = now + .milliseconds(Int64(bytes.first ?? 1) * 20)
                event = .tick
            case 6:
                guard let following else { continue }
                event = .closed(following, "")
            default:
                event = .manifestJudged(from: east.name, .none, isAccepted: bytes.isEmpty)
            }
            var events = [event]
            while let event = events.popLast() {
                for effect in node.step(event, now: now) {
                    switch effect {
                    case .connect(let stream, _, _):
                        following = stream
                        events.append(.connected(stream))
                    case .send(let stream, let bytes):
                        events.append(.drained(stream, byteCount: bytes.count))
                    default: break
                    }
                }
            }
            check(node, east, limits)
        }
    }

    private static func cluster(_ name: String, _ number: UInt32) -> DirectorySlice.Cluster? {
        let net = IPAddress.v4(IPv4Address(10 << 24 | number << 8))
        guard let name = ClusterName(name), let prefix = IPPrefix(net, length: 24),
            let gateway = prefix.address(at: 1)
        else { return nil }
        return DirectorySlice.Cluster(name: name, prefixes: [prefix], addresses: [gateway])
    }

    private static func check(
        _ node: DirectoryNode, _ cluster: DirectorySlice.Cluster, _ limits: DirectoryLimits
    ) {
        guard let view = node.view(of: cluster.name) else {
            preconditionFailure("a cluster of the manifest is gone")
        }
        precondition(view.endpoints.count <= limits.endpoints, "too many endpoints")
        precondition(view.services.count <= limits.services, "too many services")
        let members = view.services.values.reduce(0) { $0 + $1.members.count }
        precondition(members <= limits.members, "too many members")
        var held: Set<IPAddress> = []
        for record in view.endpoints.values {
            for address in record.addresses {
                precondition(cluster.prefixes[0].contains(address), "an address of another")
                precondition(held.insert(address).inserted, "an address in two hands")
                precondition(view.holders[address]?.key == record.key, "a holder without address")
            }
        }
        precondition(view.holders.count == held.count, "a holder of nothing")
        precondition(node.peerStatus.count == 1 && node.problems.count < 64, "too many problems")
        guard let slice = SliceName("pay"),
            let stored = try? DirectoryStore.decode(node.stored, of: slice)
        else { preconditionFailure("what is stored cannot be read") }
        precondition(stored.count <= 1, "more is stored than there is")
    }

    package static func store(_ bytes: UnsafeRawBufferPointer) {
        guard let slice = SliceName("pay") else { return }
        let bytes = Array(bytes)
        guard let clusters = try? DirectoryStore.decode(bytes, of: slice) else { return }
        precondition(DirectoryStore.encode(slice, clusters) == bytes, "it has two forms")
    }
}
