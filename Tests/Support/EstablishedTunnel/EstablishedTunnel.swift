import Addresses
import Noise
import Packets
import Synchronization
import Timing
import Tunnel

/// What packet threads see of a device with one session, without the device: for fuzzing and
/// for counting allocations. This end is `near`, the peer that holds the other half of the keys
/// is `far`.
package final class EstablishedTunnel {
    package static let localIndex: UInt32 = 0x1001_0001
    package static let remoteIndex: UInt32 = 0x2002_0002
    package static let created = Instant(nanoseconds: 1_000_000_000)
    /// Where the far end is.
    package static let endpoint = fixed(IPEndpoint("192.0.2.2:51820"))
    /// Where it is not.
    package static let elsewhere = fixed(IPEndpoint("[2001:db8::9]:9"))

    package let forwarding: UnsafeMutablePointer<Forwarding>
    /// Owns 10.0.2.0/24 and fd00:2::/32, and has the session.
    package let far: UnsafeMutablePointer<PeerPath>
    /// Owns 10.0.3.0/24, and has only an endpoint.
    package let idle: UnsafeMutablePointer<PeerPath>
    /// Owns 10.0.4.0/24, and has nothing.
    package let lost: UnsafeMutablePointer<PeerPath>
    package let session: UnsafeMutablePointer<Session>
    private let farKeys: TransportKeys

    package init(
        isInitiator: Bool = true, suite: TransportSuite = .chaChaPoly, lanes: Int = 1
    ) {
        forwarding = .allocate(capacity: 1)
        forwarding.initialize(to: Forwarding(sessionCapacity: 64, lanes: lanes))
        let paths = (Int32(0)..<3).map { number in
            let path = UnsafeMutablePointer<PeerPath>.allocate(capacity: 1)
            path.initialize(to: PeerPath(number: number))
            return path
        }
        (far, idle, lost) = (paths[0], paths[1], paths[2])
        for path in paths.prefix(2) {
            let place = UnsafeMutablePointer<IPEndpoint>.allocate(capacity: 1)
            place.initialize(to: Self.endpoint)
            path.pointee.endpoint.store(place, ordering: .relaxed)
        }
        let prefixes: [(String, Int32)] = [
            ("10.0.2.0/24", 0), ("fd00:2::/32", 0), ("10.0.3.0/24", 1), ("10.0.4.0/24", 2),
        ]
        var allowed = AllowedIPs()
        for (text, peer) in prefixes {
            precondition(allowed.insert(Self.fixed(IPPrefix(text)), peer: peer))
        }
        let routes = UnsafeMutablePointer<Routes>.allocate(capacity: 1)
        routes.initialize(to: Routes(allowedIPs: allowed.freeze(), paths: paths))
        forwarding.pointee.routes.store(routes, ordering: .relaxed)

        let near = Self.keys(isInitiator, suite, Self.localIndex, Self.remoteIndex)
        farKeys = Self.keys(!isInitiator, suite, Self.remoteIndex, Self.localIndex)
        session = Session.make(peer: far, created: Self.created, keys: near)
        forwarding.pointee.sessions.publish(session)
        far.pointee.sending.store(session, ordering: .relaxed)
    }

    deinit {
        for path in [far, idle, lost] { Retired.path(path).free() }
        Retired.session(session).free()
        if let routes = forwarding.pointee.routes.load(ordering: .relaxed) {
            Retired.routes(routes).free()
        }
        forwarding.deinitialize(count: 1)
        forwarding.deallocate()
    }

    /// Both ends derive the same two keys; who sends with which is what the role decides.
    private static func keys(
        _ isInitiator: Bool, _ suite: TransportSuite, _ local: UInt32, _ remote: UInt32
    ) -> TransportKeys {
        let first = [UInt8](repeating: 0x11, count: 32)
        let second = [UInt8](repeating: 0x22, count: 32)
        return fixed(
            TransportKeys(
                sendKey: isInitiator ? first : second, receiveKey: isInitiator ? second : first,
                isInitiator: isInitiator, localIndex: local, remoteIndex: remote, suite: suite))
    }

    private static func fixed<Value>(_ value: Value?) -> Value {
        guard let value else { preconditionFailure("a constant of this file is wrong") }
        return value
    }

    // MARK: The far end

    /// What the far end would send: `message` has room for `plain` and 32 bytes more.
    package func seal(
        _ plain: UnsafeRawBufferPointer, counter: UInt64,
        into message: UnsafeMutableRawBufferPointer
    ) {
        guard let base = message.baseAddress else { return }
        precondition(message.count == plain.count + TransportMessage.overhead)
        TransportMessage.writeHeader(
            at: base, receiverIndex: Self.localIndex, counter: counter)
        let body = base + TransportMessage.payload
        if let from = plain.baseAddress { body.copyMemory(from: from, byteCount: plain.count) }
        TransportCipher().seal(
            farKeys.sendKey, counter: counter, plaintext: body, count: plain.count,
            into: body)
    }

    /// What the far end makes of a message of ours; nil if it is forged.
    package func open(_ message: UnsafeRawBufferPointer) -> (counter: UInt64, plain: [UInt8])? {
        guard MessageType.peek(message) == .transport, let base = message.baseAddress else {
            return nil
        }
        let (index, counter) = TransportMessage.readHeader(at: base)
        guard index == Self.remoteIndex else { return nil }
        let sealed = message.count - TransportMessage.payload
        var plain = [UInt8](repeating: 0, count: max(1, sealed))
        let isAuthentic = plain.withUnsafeMutableBytes { buffer in
            guard let output = buffer.baseAddress else { return false }
            return TransportCipher().open(
                farKeys.receiveKey, counter: counter,
                ciphertext: base + TransportMessage.payload, count: sealed, into: output)
        }
        guard isAuthentic else { return nil }
        plain.removeLast(plain.count - (sealed - ChaChaPoly.tagSize))
        return (counter, plain)
    }

    /// Builds inner packets from the far end to this one, or the other way.
    package static func builder(v6: Bool = false, fromFar: Bool) -> PacketBuilder {
        let far = fixed(IPAddress(v6 ? "fd00:2::7" : "10.0.2.7"))
        let near = fixed(IPAddress(v6 ? "fd00:1::7" : "10.0.1.7"))
        return fromFar
            ? PacketBuilder(from: far, to: near) : PacketBuilder(from: near, to: far)
    }

    /// One read of a TUN queue: a TCP super-packet that is to be cut into segments.
    package static func superPacket(v6: Bool, payload: Int, segment: Int) -> [UInt8] {
        var tcp = PacketBuilder.TCP()
        tcp.sequence = 0xffff_f000
        let bytes = (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let packet = builder(v6: v6, fromFar: false).tcp(5001, 9092, tcp, bytes)
        let transport = v6 ? 40 : 20
        var virtio = VirtioNetHeader()
        virtio.flags = VirtioNetHeader.Flag.needsChecksum
        virtio.gsoType = v6 ? VirtioNetHeader.GSO.tcpV6 : VirtioNetHeader.GSO.tcpV4
        virtio.headerLength = UInt16(transport + 20)
        virtio.segmentSize = UInt16(segment)
        virtio.checksumStart = UInt16(transport)
        virtio.checksumOffset = 16
        return read(virtio, packet)
    }

    /// One read of a TUN queue.
    package static func read(_ virtio: VirtioNetHeader, _ packet: [UInt8]) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: VirtioNetHeader.size)
        header.withUnsafeMutableBytes { raw in
            if let base = raw.baseAddress { virtio.store(to: base) }
        }
        return header + packet
    }
}
