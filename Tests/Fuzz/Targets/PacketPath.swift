import Addresses
import EstablishedTunnel
import Noise
import Packets
import Synchronization
import Timing
import Tunnel

extension FuzzTarget {
    static let packetPath = [
        FuzzTarget("tunnel-inbound", maximumBytes: 4096, seeds: { InboundScript.seeds }) { bytes in
            InboundScript(bytes).run(bytes)
        },
        FuzzTarget("tunnel-outbound", maximumBytes: 8192, seeds: { OutboundScript.seeds }) {
            OutboundScript().run($0)
        },
    ]
}

/// Hostile messages, and authentic messages with hostile packets in them, at the end of a tunnel.
private final class InboundScript {
    private let tunnel: EstablishedTunnel
    private var inbound: Inbound
    private var now = EstablishedTunnel.created
    private var counter: UInt64 = 0
    private var accepted: Set<UInt64> = []
    private var last: [UInt8] = []
    /// Opened in place: must stay until the coalescer's reset.
    private var buffers: [UnsafeMutableRawBufferPointer] = []
    private var gathered = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        tunnel = EstablishedTunnel(isInitiator: bytes.count & 1 == 0)
        inbound = Inbound(forwarding: tunnel.forwarding, capacity: 8)
    }

    deinit { for buffer in buffers { buffer.deallocate() } }

    static let seeds: [[UInt8]] = {
        let packets = SeedPackets.all.flatMap { FuzzScript.step(1, 0, $0) }
        return [
            packets, packets + FuzzScript.step(4) + FuzzScript.step(3, 200, SeedPackets.all[0]),
            FuzzScript.step(1) + FuzzScript.step(9) + FuzzScript.step(0x31, 0, SeedPackets.all[1])
                + FuzzScript.step(2, 200, SeedPackets.all[2]) + FuzzScript.step(7),
            FuzzScript.step(6, 170) + packets + FuzzScript.step(6, 20) + packets,
            FuzzScript.step(0, 0, [1, 0, 0, 0] + [UInt8](repeating: 1, count: 144))
                + FuzzScript.step(5, 0, [UInt8](repeating: 1, count: 40)),
        ]
    }()

    func run(_ bytes: UnsafeRawBufferPointer) {
        var script = FuzzScript(bytes)
        while let step = script.next() {
            switch step.operation & 7 {
            case 0: arrive(Array(step.bytes), step)
            case 1, 2:
                if step.operation & 7 == 2 { counter &+= UInt64(1) << UInt64(step.argument & 63) }
                arrive(sealed(step.bytes), step, authentic: true)
                counter &+= 1
            case 3:
                var message = sealed(step.bytes)
                // Not the type nor the reserved bytes: then it would be no data message.
                message[4 + Int(step.argument) % (message.count - 4)] ^= 1 << (step.argument & 7)
                arrive(message, step)
            case 4: if !last.isEmpty { arrive(last, step) }
            case 5:
                var message = sealed(UnsafeRawBufferPointer(start: nil, count: 0))
                message.replaceSubrange(16..., with: step.bytes)
                arrive(message, step)
            case 6: now = now + .seconds(Int64(step.argument))
            default: drain()
            }
        }
        drain()
    }

    private func sealed(_ plain: UnsafeRawBufferPointer) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: plain.count + TransportMessage.overhead)
        message.withUnsafeMutableBytes { tunnel.seal(plain, counter: counter, into: $0) }
        return message
    }

    private func arrive(_ message: [UInt8], _ step: FuzzScript.Step, authentic: Bool = false) {
        if authentic { last = message }
        let source =
            step.operation & 8 == 0 ? EstablishedTunnel.endpoint : EstablishedTunnel.elsewhere
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: message.count, alignment: 1)
        buffer.copyBytes(from: message)
        buffers.append(buffer)
        let before = outcome
        let isSparse = step.operation & 0x80 != 0
        var verdict = inbound.receive(
            buffer, from: source, tos: step.operation >> 4, isSparse: isSparse, now: now)
        if verdict == .full {
            precondition(outcome == before, "a message that is to come again was counted")
            drainGroups()
            verdict = inbound.receive(
                buffer, from: source, tos: step.operation >> 4, isSparse: isSparse, now: now)
            precondition(verdict == .consumed, "full after a reset")
        }
        if verdict == .handshake {
            precondition(message[0] != 4 && outcome.received == before.received)
            return
        }
        let packets = waiting - (before.drained == drained ? before.packets : 0)
        precondition(packets == 0 || packets == 1)
        let drops = outcome.drops - before.drops
        let received = outcome.received - before.received
        precondition(drops <= 1 && received <= 1)
        if received == 1 {
            // Only what the far end sealed may count, and each counter once.
            precondition(authentic || message == last, "a forgery was received")
            precondition(accepted.insert(counterField(message)).inserted, "a replay")
            precondition(counterField(message) < ReplayWindow.limit)
            precondition(packets == 1 || drops == 1 || message.count == TransportMessage.overhead)
        } else {
            precondition(drops == 1 && packets == 0, "neither received nor dropped")
        }
    }

    private struct Outcome: Equatable {
        var drops: UInt64
        var received: UInt64
        var packets: Int
        var drained: Int
    }

    private var drained = 0
    private var messagesReceived: UInt64 = 0

    private var outcome: Outcome {
        let drops = PacketDrop.allCases.reduce(0) { $0 + inbound.drops[$1] }
        let bytes = tunnel.far.pointee.receivedBytes.load(ordering: .relaxed)
        if bytes != lastBytes {
            lastBytes = bytes
            messagesReceived += 1
        }
        return Outcome(
            drops: drops, received: messagesReceived, packets: waiting, drained: drained)
    }

    private var waiting: Int { inbound.sparse.packetCount + inbound.coalescer.packetCount }

    private var lastBytes: UInt64 = 0

    private func counterField(_ message: [UInt8]) -> UInt64 {
        (0..<8).reduce(0) { $0 | UInt64(message[8 + $1]) << UInt64(8 * $1) }
    }

    private func drain() {
        drainGroups()
        for i in 0..<inbound.eventCount {
            switch inbound.events[i] {
            case .confirmed(let index): precondition(index == EstablishedTunnel.localIndex)
            case .roamed(let peer, let place):
                precondition(peer == 0 && place == EstablishedTunnel.elsewhere)
            case .rekey(let peer): precondition(peer == 0)
            case .sentFromSidePort: preconditionFailure("nothing was sent")
            }
        }
        inbound.resetEvents()
    }

    private func drainGroups() {
        Self.drain(&inbound.sparse)
        Self.drain(&inbound.coalescer)
        drained += 1
        for buffer in buffers.dropLast() { buffer.deallocate() }
        buffers.removeFirst(max(0, buffers.count - 1))
    }

    private static func drain(_ coalescer: inout Coalescer) {
        coalescer.close()
        for i in 0..<coalescer.groupCount {
            var packet: [UInt8] = []
            for slice in coalescer.group(i).dropFirst() {
                packet += UnsafeRawBufferPointer(start: slice.base, count: slice.count)
            }
            packet.withUnsafeBytes { bytes in
                guard let ip = try? IPPacket(bytes) else {
                    preconditionFailure("no packet was delivered")
                }
                precondition(ip.totalLength == bytes.count)
                // Cryptokey routing by the slow way: byte by byte.
                precondition(
                    ip.isIPv4
                        ? bytes[12] == 10 && bytes[13] == 0 && bytes[14] == 2
                        : bytes[8] == 0xfd && bytes[9] == 0 && bytes[10] == 0 && bytes[11] == 2,
                    "a source that is not the peer's")
            }
        }
        coalescer.reset()
    }
}

/// Hostile reads of a TUN queue. What leaves must be whole packets that the far end can open.
private final class OutboundScript {
    private let tunnel = EstablishedTunnel()
    private var outbound: Outbound
    private var now = EstablishedTunnel.created
    /// The even one of the next two.
    private var nextCounter: UInt64 = 0
    private var isSparse = false
    private static let sparseTOS: UInt8 = 3 << 2
    private var mtu = 1420

    init() {
        outbound = Outbound(
            forwarding: tunnel.forwarding, batchBytes: 70_000, batchGroups: 4,
            sparseTOS: Self.sparseTOS)
    }

    static let seeds: [[UInt8]] =
        SeedPackets.reads.map { FuzzScript.step(0, 0, $0) } + [
            SeedPackets.reads.flatMap { FuzzScript.step(0, 0, $0) },
            FuzzScript.step(1, 50, SeedPackets.reads[0])
                + FuzzScript.step(2, 3, SeedPackets.reads[0])
                + FuzzScript.step(3, 5) + FuzzScript.step(0, 0, SeedPackets.reads[2])
                + FuzzScript.step(4, 119) + FuzzScript.step(0, 0, SeedPackets.reads[3])
                + FuzzScript.step(5, 3) + FuzzScript.step(0, 0, SeedPackets.reads[0]),
        ]

    func run(_ bytes: UnsafeRawBufferPointer) {
        var script = FuzzScript(bytes)
        while let step = script.next() {
            isSparse = step.operation & 8 != 0
            switch step.operation & 7 {
            case 3:
                mtu = 576 + Int(step.argument) * 16 + Int(step.argument & 15)
                tunnel.forwarding.pointee.mtu.store(mtu, ordering: .relaxed)
            case 4: now = now + .seconds(Int64(step.argument))
            case 5:
                // Nearly out of nonces: some segments go, the rest must not.
                let end = WireGuard.rejectAfterMessages & ~1
                let left = min(2 * UInt64(step.argument), end - min(end, nextCounter))
                nextCounter = end - left
                tunnel.session.pointee.sendCounter.store(nextCounter, ordering: .relaxed)
            case 1: read(step.bytes, to: [10, 0, 3, step.argument])
            case 2: read(step.bytes, to: [10, 0, 4, step.argument])
            case 6: read(step.bytes, to: [10, 0, 2, step.argument])
            default: read(step.bytes, to: [])
            }
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer, to destination: [UInt8]) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 2)
        defer { buffer.deallocate() }
        buffer.copyMemory(from: bytes)
        if buffer.count >= 30 {
            for (i, byte) in destination.enumerated() { buffer[26 + i] = byte }
        }
        outbound.begin(buffer, isSparse: isSparse)
        var rounds = 0
        while true {
            rounds += 1
            precondition(rounds <= Segmenter.maximumSegments, "no progress")
            let progress = outbound.advance(now: now)
            if progress == .batchFull { precondition(!outbound.batch.isEmpty) }
            if progress == .stagingFull { precondition(outbound.stagedCount > 0) }
            checkBatch()
            checkStaged()
            outbound.batch.reset()
            outbound.resetNews()
            if progress == .done { return }
        }
    }

    private func checkBatch() {
        for i in 0..<outbound.batch.groupCount {
            let group = outbound.batch.groups[i]
            precondition(group.offset + group.count <= outbound.batch.capacity)
            precondition(group.count <= SendBatch.maxGroupBytes)
            let dscp = isSparse ? Self.sparseTOS : 0
            precondition(group.tos & ~3 == dscp, "DSCP leaked to the underlay")
            var offset = 0
            var segments: Int32 = 0
            while offset < group.count {
                let size = min(group.segmentSize, group.count - offset)
                checkMessage(
                    UnsafeRawBufferPointer(
                        start: outbound.batch.slab + group.offset + offset, count: size))
                offset += size
                segments += 1
            }
            precondition(segments == group.segments && segments <= SendBatch.maxSegments)
        }
    }

    private func checkMessage(_ message: UnsafeRawBufferPointer) {
        let expected = isSparse ? nextCounter | 1 : nextCounter
        guard expected < WireGuard.rejectAfterMessages else {
            precondition(message.allSatisfy { $0 == 0 }, "sent without a nonce")
            return
        }
        guard let (counter, plain) = tunnel.open(message) else {
            preconditionFailure("the far end cannot open it")
        }
        precondition(counter == expected, "a nonce was left out or used twice")
        nextCounter += 2
        plain.withUnsafeBytes { bytes in
            guard let ip = try? IPPacket(bytes, padded: true) else {
                preconditionFailure("no packet was sent")
            }
            let length = ip.totalLength
            precondition(bytes[length...].allSatisfy { $0 == 0 }, "padding that is not zero")
            precondition(bytes.count == Padding.length(length, mtu: mtu))
            precondition(length > mtu || bytes.count <= mtu, "padded beyond the MTU")
        }
    }

    private func checkStaged() {
        for i in 0..<outbound.stagedCount {
            let staged = outbound.staged[i]
            precondition(staged.offset + staged.count <= Outbound.stagingBytes)
            precondition(staged.peer == 0 || staged.peer == 1)
            let bytes = UnsafeRawBufferPointer(
                start: outbound.staging + staged.offset, count: staged.count)
            precondition((try? IPPacket(bytes)) != nil)
        }
    }
}
