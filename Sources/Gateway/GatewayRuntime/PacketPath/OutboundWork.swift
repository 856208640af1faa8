import CLinux
import Glibc
import LinuxNet
import Packets
import Synchronization
import Timing
import Tunnel

/// TUN to underlay, run to completion. For one thread.
///
/// Packets of sparse flows leave as soon as they are read; those of others wait while anything is
/// left to read, in which a sparse flow's may be, if there has been any lately: what is read so far
/// ahead has left the cache when its turn comes.
struct OutboundWork: ~Copyable {
    /// Reads before the thread looks at anything else: enough to fill batches, few enough that
    /// others do not wait long.
    private static let readsPerRound = 64
    /// So much in a batch is about what one send carries.
    private static let trainBytes = 60_000

    /// Without a packet of a sparse flow for so long, nothing is read ahead. Who sends more seldom
    /// does not mind the queue.
    private static let looksAheadFor = Nanoseconds.seconds(1)

    /// What a look without waiting found.
    enum Taken { case some, none, gone }

    /// What one turn has done so far.
    private struct Round {
        let now: Instant
        /// Reads that it may make.
        let limit: Int
        var reads = 0
        var bytes = 0
        /// What has left of sparse flows, and of others.
        var sparse = 0
        var bulk = 0

        var mayRead: Bool { reads < limit }
    }

    private let shared: TunnelShared
    private let lane: PacketLane
    private let tun: Int32
    private var outbound: Outbound
    private var sender: UDPSendBatch
    private var ahead = ReadAhead()
    private var sparseFlows = SparseFlows(seed: .random(in: 0 ... .max))
    private var backlog = BacklogMemory()
    private var lastRound = Instant(nanoseconds: 0)
    private var lastSparse = Instant(nanoseconds: 0)
    private var widening = CipherWidening()

    init(
        _ shared: TunnelShared, _ lane: PacketLane, forwarding: UnsafeMutablePointer<Forwarding>
    ) {
        self.shared = shared
        self.lane = lane
        tun = lane.queue
        outbound = Outbound(
            forwarding: forwarding, counters: lane.outboundDrops, lane: lane.number,
            sparseTOS: shared.sparseTOS)
        sender = UDPSendBatch(capacity: outbound.batch.groupCapacity)
        _ = fcntl(tun, F_SETFL, fcntl(tun, F_GETFL) & ~O_NONBLOCK)
    }

    /// Whether something was read that has not been sent.
    var hasBacklog: Bool { !ahead.isEmpty }

    /// Waits for a packet and sends what has come by then. False when the device is gone.
    mutating func wait() -> Bool {
        guard !hasBacklog, let place = ahead.place else { return take() != .gone }
        let count = read(tun, place, ReadAhead.readBytes)
        if count > 0 {
            round(first: count, drain: true)
            return true
        }
        return count < 0 && errno == EINTR
    }

    /// Sends what is there.
    mutating func take() -> Taken {
        let count = readNow()
        if count > 0 || hasBacklog {
            round(first: count, drain: hasBacklog)
            return .some
        }
        return count == -Int(EAGAIN) || count == -Int(EINTR) ? .none : .gone
    }

    /// Bytes at the place for the next read, or a negative errno.
    private func readNow() -> Int {
        guard let place = ahead.place else { return -Int(EAGAIN) }
        return clinux_read_now(tun, place, ReadAhead.readBytes)
    }

    /// A lone packet leaves before anyone asks whether there is another, unless `drain`.
    private mutating func round(first: Int, drain: Bool) {
        shared.quiescence.enter(lane.outboundSeen)
        let now = MonotonicClock.now()
        ProgramPages.shared.notePackets(now)
        let isLone = !drain && now - lastRound > InboundDuty.loneAfter
        lastRound = now
        var round = Round(now: now, limit: isLone ? 1 : Self.readsPerRound)
        run(&round, first: first)
        shared.quiescence.leave(lane.outboundSeen)
        lane.duty.noteRound(units: round.reads, bytes: round.bytes, now)
        widening.noteRound(units: round.reads, bytes: round.bytes, &outbound.cipher)
        backlog.noteRound(&ahead, now)
    }

    private mutating func run(_ round: inout Round, first: Int) {
        readOn(&round, first: first)
        while let oldest = ahead.oldest {
            outbound.begin(oldest)
            advance(round.now)
            round.bulk += oldest.count
            ahead.removeOldest()
            // A large packet fills a train by itself: what follows is better read while this one
            // is on its way. Its last segments, for which the train has no room, wait for those of
            // the next packet: alone they would cost as much as a train.
            if outbound.batch.used > Self.trainBytes { send(outbound.batch.fullGroups) }
            // However many flows are sparse, others have as much as all of those.
            guard round.mayRead || round.bulk < round.sparse else { break }
            if round.mayRead, !hasBacklog || looksAhead(round) {
                readOn(&round, first: readNow())
            }
        }
        send()
        if outbound.hasNews { handOver() }
    }

    private func looksAhead(_ round: Round) -> Bool {
        round.now - lastSparse <= Self.looksAheadFor
    }

    /// Takes in what is there, beginning with what was read already.
    private mutating func readOn(_ round: inout Round, first: Int) {
        var count = first
        var hasSparse = false
        while count > 0 {
            round.reads += 1
            round.bytes += count
            let read = ahead.read(count)
            let packet = UnsafeRawBufferPointer(read).dropFirst(VirtioNetHeader.size)
            let isSparse = sparseFlows.isSparse(
                UnsafeRawBufferPointer(rebasing: packet), ahead: ahead, now: round.now)
            if isSparse {
                outbound.begin(read, isSparse: true)
                advance(round.now)
                round.sparse += count
                hasSparse = true
                lastSparse = round.now
            } else {
                if hasSparse { send() }
                hasSparse = false
                ahead.keep(count)
            }
            guard round.mayRead, !hasBacklog || looksAhead(round) else { break }
            count = readNow()
        }
        // Alone they are sent with all the rest.
        if hasSparse, hasBacklog { send() }
    }

    private mutating func advance(_ now: Instant) {
        while true {
            switch outbound.advance(now: now) {
            case .done: return
            case .batchFull: send()
            case .stagingFull: handOver()
            }
        }
    }

    private mutating func send() { send(outbound.batch.groupCount) }

    private mutating func send(_ groups: Int) {
        guard groups > 0 else { return }
        let family = lane.family.load(ordering: .relaxed)
        for i in 0..<groups {
            let group = outbound.batch.groups[i]
            sender.put(
                outbound.batch.slab + group.offset, count: group.count,
                segmentSize: group.segmentSize, to: group.endpoint, tos: group.tos,
                socketFamily: family)
        }
        let (refused, _) = sender.send(lane.sending)
        if refused > 0 { outbound.drops.add(.sendFailed, refused) }
        for i in 0..<groups {
            let group = outbound.batch.groups[i]
            let lost = sender.refused[i]
            group.peer.pointee.countSent(
                bytes: group.count - lost.bytes, packets: Int(group.segments) - lost.messages)
        }
        outbound.batch.removeFirst(groups)
    }

    private mutating func handOver() {
        for i in 0..<outbound.stagedCount {
            let staged = outbound.staged[i]
            let packet = UnsafeRawBufferPointer(
                start: outbound.staging + staged.offset, count: staged.count)
            if !shared.mailbox.post(packet: packet, peer: staged.peer) {
                outbound.drops.add(.controlBusy)
            }
        }
        for i in 0..<outbound.eventCount { _ = shared.mailbox.post(outbound.events[i]) }
        outbound.resetNews()
    }
}
