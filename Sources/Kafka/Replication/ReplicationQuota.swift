import Timing

/// `leader.replication.throttled.replicas`: all, or pairs of partition and broker (KIP-73).
package enum ThrottledReplicas: Equatable, Sendable {
    case none
    case all
    case listed([Pair])

    package struct Pair: Equatable, Sendable {
        package var partition: Int32
        package var broker: Int32

        package init(partition: Int32, broker: Int32) {
            self.partition = partition
            self.broker = broker
        }
    }

    /// `*`, or `partition:broker` with commas between.
    package init?(_ text: String) {
        let text = Substring(text).trimmed
        if text.isEmpty {
            self = .none
            return
        }
        if text == "*" {
            self = .all
            return
        }
        var pairs: [Pair] = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let partition = Int32(parts[0].trimmed),
                let broker = Int32(parts[1].trimmed), partition >= 0, broker >= 0
            else { return nil }
            pairs.append(Pair(partition: partition, broker: broker))
        }
        self = .listed(pairs)
    }

    package func contains(partition: Int32, broker: Int32) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .listed(let pairs):
            pairs.contains { $0.partition == partition && $0.broker == broker }
        }
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = self
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}

/// A token bucket over the bytes that throttled replicas move: they go on while there is
/// anything in it, and what was taken too much has to flow in first.
package struct ReplicationQuota: Sendable {
    /// Bytes a second; nil is no limit.
    package var rate: Int64? {
        didSet { if let rate { available = min(available, rate) } }
    }
    private var available: Int64
    private var filled: Instant?

    package init(rate: Int64?) {
        self.rate = rate
        available = rate ?? 0
    }

    package mutating func isExceeded(_ now: Instant) -> Bool {
        guard rate != nil else { return false }
        fill(now)
        return available <= 0
    }

    package mutating func take(_ bytes: Int, _ now: Instant) {
        guard rate != nil else { return }
        fill(now)
        available -= Int64(bytes)
    }

    /// When an exceeded quota has something left again.
    package func nextAvailable(_ now: Instant) -> Instant {
        guard let rate, available <= 0 else { return now }
        // Nothing at all may move: look again when that may have changed.
        guard rate > 0 else { return now + .seconds(1) }
        let seconds = Double(1 - available) / Double(rate)
        return now + Nanoseconds(Int64(min(seconds, 3_600) * 1e9) + 1)
    }

    private mutating func fill(_ now: Instant) {
        guard let rate else { return }
        guard let last = filled, now > last else {
            if filled == nil { filled = now }
            return
        }
        let elapsed = min((now - last).seconds, 3_600)
        let gained = Int64(elapsed * Double(rate))
        // Too short a time for a byte counts when it is long enough.
        guard gained > 0 else { return }
        filled = now
        available = min(rate, available + gained)
    }
}
