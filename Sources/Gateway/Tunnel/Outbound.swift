import Addresses
import Noise
import Packets
import Synchronization
import Timing

/// The way of packets from a TUN queue to the underlay, for one thread: cut, route, seal
/// straight from the read buffer into the send batch. Nothing is allocated, counted as a
/// reference or locked for a packet.
///
/// `begin` with each read, then `advance` until it says `.done`; at `.batchFull` send the batch,
/// at `.stagingFull` hand over what is staged, and advance again.
package struct Outbound: ~Copyable {
    package enum Progress { case done, batchFull, stagingFull }

    /// A packet that found no session; its bytes are in `staging`.
    package struct Staged: BitwiseCopyable {
        package var peer: Int32
        package var offset: Int
        package var count: Int
    }

    package static let stagingBytes = 131_072
    package static let stagingPackets = 128
    private static let maxEvents = 16

    private let forwarding: UnsafeMutablePointer<Forwarding>
    package var batch: SendBatch
    package let drops: PacketDrops
    /// Keeps the memory of `drops`.
    private let counters: DropCounters

    /// Has to be widened by whoever sees that there is much to do.
    package var cipher = TransportCipher()
    private var segmenter: Segmenter?
    private var current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var path: UnsafeMutablePointer<PeerPath>?
    /// The current packet is of a sparse flow.
    private var isSparse = false
    /// What its messages have in the outer TOS for that.
    private let sparseTOS: UInt8

    package let staging: UnsafeMutableRawPointer
    private var stagingUsed = 0
    package let staged: UnsafeMutablePointer<Staged>
    package private(set) var stagedCount = 0

    /// What the control side has to do for peers: a successor of an old session, or a word from
    /// the listening port.
    package let events: UnsafeMutablePointer<PacketEvent>
    package private(set) var eventCount = 0
    /// These packets leave from another port than the listening one.
    private let isFromSidePort: Bool
    private let counterStride: UInt64
    private let counterOffset: UInt64

    /// `forwarding` must outlive this. Lanes but the first send from a port of their own.
    /// `sparseTOS`: the outer DSCP of messages of sparse flows, in its place in the TOS.
    package init(
        forwarding: UnsafeMutablePointer<Forwarding>, counters: DropCounters = DropCounters(),
        batchBytes: Int = 524_288, batchGroups: Int = 64, lane: Int = 0, sparseTOS: UInt8 = 0
    ) {
        self.forwarding = forwarding
        self.counters = counters
        isFromSidePort = lane > 0
        counterStride = forwarding.pointee.counterStride
        counterOffset = CounterClasses.offset(lane: lane, stride: counterStride)
        self.sparseTOS = sparseTOS
        drops = counters.drops
        batch = SendBatch(capacity: batchBytes, groups: batchGroups)
        staging = .allocate(byteCount: Self.stagingBytes, alignment: 64)
        staged = .allocate(capacity: Self.stagingPackets)
        events = .allocate(capacity: Self.maxEvents)
    }

    deinit {
        staging.deallocate()
        staged.deallocate()
        events.deallocate()
    }

    /// Whether the control side has something to hear.
    package var hasNews: Bool { stagedCount > 0 || eventCount > 0 }

    /// What was staged and asked for has been handed over.
    package mutating func resetNews() {
        stagingUsed = 0
        stagedCount = 0
        eventCount = 0
    }

    /// Takes what one read of the TUN queue returned, virtio header first. The buffer is
    /// modified, and must stay until `.done`. `isSparse`: see `SparseFlows`.
    package mutating func begin(_ read: UnsafeMutableRawBufferPointer, isSparse: Bool = false) {
        self.isSparse = isSparse
        segmenter = nil
        current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        guard let base = read.baseAddress, read.count > VirtioNetHeader.size else {
            drops.add(.malformedPacket)
            return
        }
        let packet = UnsafeMutableRawBufferPointer(
            rebasing: read[VirtioNetHeader.size...])
        do {
            let ip = try IPPacket(UnsafeRawBufferPointer(packet))
            guard let path = route(ip) else {
                drops.add(.noRoute)
                return
            }
            self.path = path
            segmenter = try Segmenter(packet, VirtioNetHeader(base))
        } catch {
            drops.add(.malformedPacket)
        }
    }

    /// All segments of one read have one destination: it is looked up once.
    private func route(_ ip: IPPacket) -> UnsafeMutablePointer<PeerPath>? {
        guard let routes = forwarding.pointee.routes.load(ordering: .acquiring) else { return nil }
        let number: Int32
        if ip.isIPv4 {
            number = routes.pointee.allowedIPs.lookup(v4: ip.destinationV4)
        } else {
            let (high, low) = ip.destinationV6
            number = routes.pointee.allowedIPs.lookup(v6: high, low: low)
        }
        return routes.pointee.path(number: number)
    }

    package mutating func advance(now: Instant) -> Progress {
        guard let path, segmenter != nil else { return .done }
        guard let session = usableSession(path, now) else { return stage(path) }
        guard let endpoint = path.pointee.endpoint.load(ordering: .acquiring)?.pointee else {
            return dropRest(.noEndpoint)
        }
        let mtu = forwarding.pointee.mtu.load(ordering: .relaxed)
        let key = session.pointee.sendKey
        let remoteIndex = session.pointee.remoteIndex
        let mark = isSparse ? sparseTOS : 0
        let offset = isSparse ? counterOffset &+ CounterClasses.sparse : counterOffset
        var hasSealed = false
        var progress = Progress.done

        while true {
            if current.count == 0, !nextSegment() { break }
            guard let packet = current.baseAddress else { break }
            let padded = Padding.length(current.count, mtu: mtu)
            let count = padded &+ TransportMessage.overhead
            let tos = ECN.encapsulate(trafficClass(packet)) | mark
            guard let place = batch.place(count, for: path, to: endpoint, tos: tos) else {
                progress = .batchFull
                break
            }
            guard
                let counter = session.pointee.takeCounter(stride: counterStride, offset: offset)
            else {
                // The place stays in the batch: it must hold something that nobody accepts.
                place.initializeMemory(as: UInt8.self, repeating: 0, count: count)
                _ = dropRest(.noNonce)
                break
            }
            TransportMessage.writeHeader(
                at: place, receiverIndex: remoteIndex, counter: counter)
            seal(packet, padded, place + TransportMessage.payload, key, counter)
            hasSealed = true
            current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }

        if hasSealed {
            path.pointee.markSent(now, data: true)
            if session.pointee.wantsSuccessorAfterSending(now, stride: counterStride) {
                askForSuccessor(session)
            }
            if isFromSidePort, eventCount < Self.maxEvents,
                path.pointee.takeListeningPortTurn(now)
            {
                note(.sentFromSidePort(peer: path.pointee.number))
            }
        }
        return progress
    }

    /// Padding bytes must be zero, and what follows the packet in the read buffer is the next
    /// segment: so a packet that needs padding is copied first, and sealed in place.
    @inline(__always)
    private func seal(
        _ packet: UnsafeMutableRawPointer, _ padded: Int, _ body: UnsafeMutableRawPointer,
        _ key: TransportKey, _ counter: UInt64
    ) {
        let count = current.count
        guard padded > count else {
            cipher.seal(
                key, counter: counter, plaintext: packet, count: count, into: body)
            return
        }
        body.copyMemory(from: packet, byteCount: count)
        (body + count).initializeMemory(as: UInt8.self, repeating: 0, count: padded &- count)
        cipher.seal(key, counter: counter, plaintext: body, count: padded, into: body)
    }

    @inline(__always)
    private func trafficClass(_ packet: UnsafeMutableRawPointer) -> UInt8 {
        let first = packet.load(as: UInt8.self)
        let second = packet.load(fromByteOffset: 1, as: UInt8.self)
        return first >> 4 == 4 ? second : first << 4 | second >> 4
    }

    private mutating func nextSegment() -> Bool {
        guard let segment = segmenter?.next() else {
            segmenter = nil
            return false
        }
        current = segment
        return true
    }

    @inline(__always)
    private func usableSession(
        _ path: UnsafeMutablePointer<PeerPath>, _ now: Instant
    ) -> UnsafeMutablePointer<Session>? {
        guard let session = path.pointee.sending.load(ordering: .acquiring),
            session.pointee.isUsable(now)
        else { return nil }
        return session
    }

    private mutating func dropRest(_ reason: PacketDrop) -> Progress {
        var count = current.count > 0 ? 1 : 0
        while nextSegment() { count += 1 }
        current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        drops.add(reason, count)
        return .done
    }

    private mutating func stage(_ path: UnsafeMutablePointer<PeerPath>) -> Progress {
        if path.pointee.endpoint.load(ordering: .relaxed) == nil { return dropRest(.noEndpoint) }
        while true {
            if current.count == 0, !nextSegment() { return .done }
            guard let packet = current.baseAddress else { return .done }
            guard stagedCount < Self.stagingPackets,
                stagingUsed + current.count <= Self.stagingBytes
            else { return .stagingFull }
            (staging + stagingUsed).copyMemory(from: packet, byteCount: current.count)
            staged[stagedCount] = Staged(
                peer: path.pointee.number, offset: stagingUsed, count: current.count)
            stagedCount += 1
            stagingUsed += current.count
            current = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
    }

    private mutating func askForSuccessor(_ session: UnsafeMutablePointer<Session>) {
        guard eventCount < Self.maxEvents,
            !session.pointee.rekeyRequested.exchange(true, ordering: .relaxed)
        else { return }
        note(.rekey(peer: session.pointee.peer.pointee.number))
    }

    private mutating func note(_ event: PacketEvent) {
        events[eventCount] = event
        eventCount += 1
    }
}
