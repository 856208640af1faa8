import Timing

/// Why a packet did not arrive.
package enum DropReason: Int, Hashable, Sendable, CaseIterable {
    case loss, burst, queue, cut, cutInFlight, packetLimit, byteLimit

    package var name: String {
        switch self {
        case .loss: "loss"
        case .burst: "burst"
        case .queue: "queue"
        case .cut: "cut"
        case .cutInFlight: "cut_in_flight"
        case .packetLimit: "packet_limit"
        case .byteLimit: "byte_limit"
        }
    }
}

/// What becomes of one offered packet.
package enum Fate: Hashable, Sendable {
    case drop(DropReason)
    case deliver(at: Instant)
    /// Two copies: the wire duplicated it.
    case deliverTwice(at: Instant)
}

package struct LinkCounters: Hashable, Sendable {
    package var offeredPackets: UInt64 = 0
    package var offeredBytes: UInt64 = 0
    package var deliveredPackets: UInt64 = 0
    package var deliveredBytes: UInt64 = 0
    package var duplicated: UInt64 = 0
    package var reordered: UInt64 = 0
    private var loss: UInt64 = 0
    private var burst: UInt64 = 0
    private var queue: UInt64 = 0
    private var cut: UInt64 = 0
    private var cutInFlight: UInt64 = 0
    private var packetLimit: UInt64 = 0
    private var byteLimit: UInt64 = 0

    package init() {}

    package mutating func count(_ reason: DropReason, packets: Int = 1) {
        let packets = UInt64(packets)
        switch reason {
        case .loss: loss += packets
        case .burst: burst += packets
        case .queue: queue += packets
        case .cut: cut += packets
        case .cutInFlight: cutInFlight += packets
        case .packetLimit: packetLimit += packets
        case .byteLimit: byteLimit += packets
        }
    }

    mutating func offer(_ load: WireLoad) {
        offeredPackets += UInt64(load.packets)
        offeredBytes += UInt64(load.bytes)
    }

    mutating func deliver(_ load: WireLoad) {
        deliveredPackets += UInt64(load.packets)
        deliveredBytes += UInt64(load.bytes)
    }

    package func dropped(_ reason: DropReason) -> UInt64 {
        switch reason {
        case .loss: loss
        case .burst: burst
        case .queue: queue
        case .cut: cut
        case .cutInFlight: cutInFlight
        case .packetLimit: packetLimit
        case .byteLimit: byteLimit
        }
    }

    package var dropped: UInt64 { DropReason.allCases.reduce(0) { $0 + dropped($1) } }
}

/// One direction between two sites. A packet first waits for the wire (rate and queue), then
/// may be lost on it, then travels (delay, jitter), and may be overtaken (reordering).
/// Its fate depends on the seed, the link, its place in the link's sequence and the link's
/// state, never on other links' traffic.
package struct WanLink: Sendable {
    /// A train that takes the wire longer than this arrives packet by packet: receivers that
    /// gather what arrives do not wait longer for the rest either. 64 kB at 1 Gbit/s are half.
    static let longestTrain = Nanoseconds.milliseconds(1)

    package internal(set) var conditions = LinkConditions()
    package internal(set) var isCut = false
    package internal(set) var counters = LinkCounters()
    /// Counts the cuts: what was in flight at a cut carries an older number and is lost.
    var cutNumber: UInt32 = 0

    private var seed: UInt64
    private var ordinal: UInt64 = 0
    private var isInBurst = false
    private var wireFreeAt = Instant(nanoseconds: 0)
    private var latestInOrder = Instant(nanoseconds: 0)

    init(seed: UInt64) { self.seed = seed }

    mutating func reseed(_ seed: UInt64) {
        self.seed = seed
        ordinal = 0
        isInBurst = false
    }

    mutating func cut() {
        guard !isCut else { return }
        isCut = true
        cutNumber &+= 1
        wireFreeAt = Instant(nanoseconds: 0)
        latestInOrder = Instant(nanoseconds: 0)
    }

    mutating func heal() { isCut = false }

    /// What waits for the wire stays the same number of bytes when the rate changes.
    mutating func apply(_ changes: [LinkChange], at now: Instant) {
        let waiting = waitingBytes(at: now)
        changes.forEach { conditions.apply($0) }
        wireFreeAt = now + wireTime(bytes: UInt64(waiting))
    }

    mutating func clear(at now: Instant) {
        conditions = LinkConditions()
        isInBurst = false
        wireFreeAt = now
        isCut = false
    }

    /// What is waiting for the wire at this time.
    package func waitingBytes(at now: Instant) -> Int {
        guard let rate = conditions.bitsPerSecond, wireFreeAt > now else { return 0 }
        let wait = UInt64((wireFreeAt - now).count)
        let (high, low) = wait.multipliedFullWidth(by: rate)
        guard high < 8_000_000_000 else { return 1 << 40 }
        // Rounded up, so that a packet half way onto the wire is still there.
        let (whole, rest) = UInt64(8_000_000_000).dividingFullWidth((high, low))
        return Int(min(whole, 1 << 40)) + (rest > 0 ? 1 : 0)
    }

    private func wireTime(bytes: UInt64) -> Nanoseconds {
        guard let rate = conditions.bitsPerSecond, rate > 0 else { return .zero }
        let (high, low) = bytes.multipliedFullWidth(by: 8_000_000_000)
        guard high < rate else { return Quantity.longest }
        let time = rate.dividingFullWidth((high, low)).quotient
        return Nanoseconds(Int64(min(time, UInt64(Quantity.longest.count))))
    }

    /// The fate of a packet of this length, offered now. Times must not run backwards.
    mutating func admit(length: Int, at now: Instant) -> Fate {
        counters.offer(.packet(length))
        // One stream per packet: how many draws one packet takes shifts no other packet's.
        var random = SplitMix64(seed: seed ^ (ordinal &* 0xd134_2543_de82_ef95))
        ordinal &+= 1
        let fate = decide(length: length, now: now, random: &random)
        if case .drop(let reason) = fate { counters.count(reason) }
        return fate
    }

    /// When the last packet of a train, offered now, arrives. Nil, and nothing has changed: chance
    /// or lack of room may tell its packets apart, so each is to be offered by itself.
    mutating func admit(train: WireLoad, at now: Instant) -> Instant? {
        let wire = wireTime(bytes: UInt64(train.bytes))
        guard !isCut, conditions.treatsAllAlike, wire <= Self.longestTrain,
            conditions.bitsPerSecond == nil
                || waitingBytes(at: now) + train.bytes <= conditions.queueBytes
        else { return nil }
        counters.offer(train)
        ordinal &+= UInt64(train.packets)
        wireFreeAt = max(wireFreeAt, now) + wire
        let leavesWire = conditions.bitsPerSecond == nil ? now : wireFreeAt
        latestInOrder = max(leavesWire + conditions.delay, latestInOrder)
        return latestInOrder
    }

    private mutating func decide(
        length: Int, now: Instant, random: inout SplitMix64
    ) -> Fate {
        let isLost = conditions.loss.happens(&random)
        let isBurstLost = stepBurst(&random)
        let isDuplicated = conditions.duplicate.happens(&random)
        let isReordered = conditions.reorder.happens(&random)
        let holdBack = random.next(below: UInt64(conditions.reorderBy.count) &+ 1)

        if isCut { return .drop(.cut) }
        // An idle wire takes any packet, or a small queue would stop a link for good.
        let waiting = waitingBytes(at: now)
        if waiting > 0, waiting + length > conditions.queueBytes { return .drop(.queue) }
        wireFreeAt = max(wireFreeAt, now) + wireTime(bytes: UInt64(length))
        // A lost packet has used the wire all the same.
        if isLost { return .drop(.loss) }
        if isBurstLost { return .drop(.burst) }

        let leavesWire = conditions.bitsPerSecond == nil ? now : wireFreeAt
        let flight = conditions.delay.count + jitter(&random)
        var arrival = max(leavesWire + Nanoseconds(max(0, flight)), latestInOrder)
        if isReordered {
            counters.reordered += 1
            arrival = arrival + Nanoseconds(Int64(holdBack))
        } else {
            latestInOrder = arrival
        }
        return isDuplicated ? .deliverTwice(at: arrival) : .deliver(at: arrival)
    }

    private mutating func stepBurst(_ random: inout SplitMix64) -> Bool {
        guard let burst = conditions.burst else {
            isInBurst = false
            return false
        }
        let turns = (isInBurst ? burst.leave : burst.enter).happens(&random)
        if turns { isInBurst.toggle() }
        let isLost = burst.loss.happens(&random)
        return isInBurst && isLost
    }

    private func jitter(_ random: inout SplitMix64) -> Int64 {
        let width = conditions.jitter.count
        guard width > 0 else { return 0 }
        switch conditions.spread {
        case .uniform:
            return Int64(random.next(below: UInt64(width) * 2 + 1)) - width
        case .normal:
            // Twelve uniform draws have variance one (Irwin-Hall); no transcendental function,
            // whose last bit could differ between machines.
            var sum: UInt64 = 0
            for _ in 0..<12 { sum += random.next(below: UInt64(width) + 1) }
            return Int64(sum) - 6 * width
        case .tail:
            // Leading zeros are geometric; a uniform fraction between two of them makes a
            // straight-lined exponential with mean 1.5.
            let draw = random.next()
            let zeros = UInt64(draw.leadingZeroBitCount)
            let fraction = random.next(below: UInt64(width) + 1)
            return Int64((zeros * UInt64(width) + fraction) * 2 / 3)
        }
    }
}
