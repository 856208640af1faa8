import Addresses
import Noise
import Packets
import Timing
import Tunnel

/// Two devices and the wire between them, stepped by hand: hours pass in milliseconds.
final class Wire {
    final class End {
        let device: Device
        let key: PrivateKey
        let address: IPEndpoint
        var outbound: Outbound
        var inbound: Inbound
        /// What arrived at the TUN: whole packets, segmented again.
        var delivered: [[UInt8]] = []
        var notes: [Note] = []
        var drops: [PacketDrop] = []
        /// Messages sent, by type, for tests of timers.
        var sent: [(at: Instant, bytes: [UInt8])] = []

        init(
            seed: UInt64, address: String, limits: Device.Limits = Device.Limits(),
            suite: TransportSuite = .chaChaPoly
        ) {
            let entropy = Entropy.seeded(seed)
            key = PrivateKey(from: entropy)
            device = Device(limits: limits, suite: suite, entropy: entropy)
            outbound = Outbound(forwarding: device.forwarding)
            inbound = Inbound(forwarding: device.forwarding)
            guard let address = IPEndpoint(address) else { preconditionFailure("a test address") }
            self.address = address
        }
    }

    let a: End
    let b: End
    var now: Instant
    var wall: WallTime
    /// May drop, change or copy what travels: the messages to deliver instead.
    var fate: ((End, [UInt8]) -> [[UInt8]])?
    /// The end that has more handshakes waiting than it can serve.
    var loaded: End?
    private var flying: [(from: End, bytes: [UInt8], to: IPEndpoint)] = []
    private var retired: [Retired] = []

    init(
        seed: UInt64 = 1, psk: PresharedKey? = nil, keepalive: UInt16 = 0,
        suites: (TransportSuite, TransportSuite) = (.chaChaPoly, .chaChaPoly)
    ) throws {
        now = Instant(nanoseconds: 1_000_000_000)
        wall = WallTime(nanosecondsSince1970: 1_700_000_000_000_000_000)
        a = End(seed: seed, address: "192.0.2.1:51820", suite: suites.0)
        b = End(seed: seed &+ 7919, address: "192.0.2.2:51820", suite: suites.1)
        try configure(
            a, peer: b, prefix: "10.0.2.0/24", psk: psk, keepalive: keepalive, knows: true)
        try configure(b, peer: a, prefix: "10.0.1.0/24", psk: psk, keepalive: 0, knows: false)
    }

    deinit { for item in retired { item.free() } }

    var time: Now { Now(now, wall: wall) }

    func configure(
        _ end: End, peer: End, prefix: String, psk: PresharedKey?, keepalive: UInt16, knows: Bool
    ) throws {
        var change = DeviceChange()
        change.privateKey = .set(end.key)
        var peerChange = PeerChange(peer.key.publicKey)
        peerChange.presharedKey = psk
        if knows { peerChange.endpoint = peer.address }
        peerChange.allowedIPs = [prefix, "fd00:\(prefix.dropFirst(5).prefix(1))::/32"].compactMap {
            IPPrefix($0).map { PeerChange.AllowedIP($0) }
        }
        peerChange.persistentKeepalive = keepalive
        change.peers = [peerChange]
        try end.device.apply(change, now: time)
        collect(end)
    }

    // MARK: Time and travel

    func collect(_ end: End) {
        for effect in end.device.takeEffects() {
            switch effect {
            case .send(let bytes, let to, _): depart(end, bytes, to)
            case .retire(let item): retired.append(item)
            case .note(let note): end.notes.append(note)
            }
        }
    }

    private func depart(_ end: End, _ bytes: [UInt8], _ to: IPEndpoint) {
        end.sent.append((now, bytes))
        flying.append((end, bytes, to))
    }

    /// Delivers until nothing is in flight.
    func settle() {
        collect(a)
        collect(b)
        var rounds = 0
        while !flying.isEmpty {
            rounds += 1
            precondition(rounds < 10_000, "the two ends talk for ever")
            let (from, bytes, to) = flying.removeFirst()
            guard let end = [a, b].first(where: { $0.address == to }) else { continue }
            for message in fate?(from, bytes) ?? [bytes] {
                arrive(message, at: end, from: from.address)
            }
            collect(a)
            collect(b)
        }
    }

    func arrive(_ message: [UInt8], at end: End, from source: IPEndpoint) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, message.count), alignment: 16)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: message)
        let raw = UnsafeMutableRawBufferPointer(rebasing: buffer[..<message.count])
        let before = PacketDrop.allCases.map { end.inbound.drops[$0] }
        if end.inbound.receive(raw, from: source, tos: 0, now: now) == .handshake {
            end.device.handshakeMessage(
                UnsafeRawBufferPointer(raw), from: source, underLoad: loaded === end, now: time)
        }
        for (i, drop) in PacketDrop.allCases.enumerated() where end.inbound.drops[drop] > before[i]
        {
            end.drops.append(drop)
        }
        drain(end)
        for i in 0..<end.inbound.eventCount {
            end.device.packetEvent(end.inbound.events[i], now: time)
        }
        end.inbound.resetEvents()
    }

    private func drain(_ end: End) {
        end.inbound.coalescer.close()
        for i in 0..<end.inbound.coalescer.groupCount {
            var packet: [UInt8] = []
            for slice in end.inbound.coalescer.group(i).dropFirst() {
                packet += UnsafeRawBufferPointer(start: slice.base, count: slice.count)
            }
            end.delivered.append(packet)
        }
        end.inbound.coalescer.reset()
    }

    /// Moves the clock in steps of the devices' own deadlines, settling at each.
    func advance(_ span: Nanoseconds) {
        let end = now + span
        while now < end {
            var next = end
            for device in [a.device, b.device] {
                if let deadline = device.nextDeadline {
                    next = min(next, max(deadline, now + .milliseconds(1)))
                }
            }
            wall = WallTime(
                nanosecondsSince1970: wall.nanosecondsSince1970 + (next - now).count)
            now = next
            a.device.tick(now: time)
            b.device.tick(now: time)
            settle()
        }
    }

    // MARK: Traffic

    /// An inner packet leaves the TUN of `end`.
    func send(_ packet: [UInt8], from end: End) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: packet.count + VirtioNetHeader.size, alignment: 16)
        defer { buffer.deallocate() }
        _ = buffer.initializeMemory(as: UInt8.self, repeating: 0)
        UnsafeMutableRawBufferPointer(rebasing: buffer[VirtioNetHeader.size...])
            .copyBytes(from: packet)
        end.outbound.begin(buffer)
        advanceOutbound(end)
        settle()
    }

    private func advanceOutbound(_ end: End) {
        while true {
            let progress = end.outbound.advance(now: now)
            for i in 0..<end.outbound.batch.groupCount {
                let group = end.outbound.batch.groups[i]
                var offset = 0
                while offset < group.count {
                    let size = min(group.segmentSize, group.count - offset)
                    let bytes = UnsafeRawBufferPointer(
                        start: end.outbound.batch.slab + group.offset + offset, count: size)
                    depart(end, Array(bytes), group.endpoint)
                    offset += size
                }
            }
            end.outbound.batch.reset()
            for i in 0..<end.outbound.stagedCount {
                let staged = end.outbound.staged[i]
                let bytes = UnsafeRawBufferPointer(
                    start: end.outbound.staging + staged.offset, count: staged.count)
                end.device.stage([Array(bytes)], for: staged.peer, now: time)
            }
            for i in 0..<end.outbound.eventCount {
                end.device.packetEvent(end.outbound.events[i], now: time)
            }
            end.outbound.resetNews()
            if progress == .done { return }
        }
    }

    /// A UDP packet between the two ends' inner networks.
    func packet(from end: End, payload: [UInt8]) -> [UInt8] {
        let forward = end === a
        return PacketBuilder(
            from: .v4(IPv4Address(forward ? 0x0a00_0101 : 0x0a00_0201)),
            to: .v4(IPv4Address(forward ? 0x0a00_0201 : 0x0a00_0101))
        ).udp(1000, 2000, payload)
    }

    func sentTypes(_ end: End) -> [UInt8] { end.sent.map { $0.bytes.first ?? 0 } }
}
