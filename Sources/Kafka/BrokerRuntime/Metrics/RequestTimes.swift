import BrokerCore
import Timing

/// When what became of one request.
package struct RequestTiming {
    package var kind: RequestKind
    /// When the first request was taken that was read together with it.
    package var arrived: Instant
    package var begun: Instant
    package var served: Instant
    package var replied: Instant
    /// When its answer's turn came.
    package var written: Instant

    package init(
        kind: RequestKind, arrived: Instant, begun: Instant, served: Instant, replied: Instant,
        written: Instant
    ) {
        self.kind = kind
        self.arrived = arrived
        self.begun = begun
        self.served = served
        self.replied = replied
        self.written = written
    }
}

/// How long requests take, by kind and part of their way. One event loop owns it; its memory is
/// fixed once a kind has been seen, and a request costs a few additions.
package final class RequestTimes {
    private var kinds = [RequestHistogram?](repeating: nil, count: RequestKind.count)

    package init() {}

    package func record(_ request: borrowing RequestTiming, sent: Instant) {
        let index = Int(request.kind.rawValue)
        let times: RequestHistogram
        if let known = kinds[index] {
            times = known
        } else {
            times = RequestHistogram(sent)
            kinds[index] = times
        }
        times.record(request, sent: sent)
    }

    /// - Parameter part: whose requests they are, as in the log.
    package func metrics(part: String, now: Instant) -> [NodeMetric] {
        let isBroker = part == "broker"
        var all: [NodeMetric] = []
        for (index, times) in kinds.enumerated() {
            guard let times else { continue }
            let name = RequestKind(index: index).name(isBroker: isBroker)
            times.report([("part", part), ("request", name)], now, into: &all)
        }
        return all
    }
}

/// The times of one kind of request. Buckets are eight to each doubling, so that a quantile is at
/// most an eighth too large. Quantiles are of the last one to two minutes: of two halves the older
/// one is emptied each minute.
package final class RequestHistogram {
    enum Phase: Int, CaseIterable {
        case total, queue, local, remote, responseQueue, responseSend

        var name: String {
            switch self {
            case .total: "totaltimems"
            case .queue: "requestqueuetimems"
            case .local: "localtimems"
            case .remote: "remotetimems"
            case .responseQueue: "responsequeuetimems"
            case .responseSend: "responsesendtimems"
            }
        }
    }

    static let half = Nanoseconds.seconds(60)
    private static let quantiles: [(text: String, value: Double)] = [
        ("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99),
        ("0.999", 0.999),
    ]
    /// Of microseconds up to 2^36, which is 19 hours.
    package static let buckets = 34 * 8

    /// Of each phase two halves.
    private var counts = [UInt32](repeating: 0, count: Phase.allCases.count * 2 * buckets)
    private var sums = [Int64](repeating: 0, count: Phase.allCases.count)
    private var count = 0
    private var current = 0
    private var began: Instant

    init(_ now: Instant) { began = now }

    func record(_ request: borrowing RequestTiming, sent: Instant) {
        turn(sent)
        count += 1
        add(.total, request.arrived, sent)
        add(.queue, request.arrived, request.begun)
        add(.local, request.begun, request.served)
        add(.remote, request.served, request.replied)
        add(.responseQueue, request.replied, request.written)
        add(.responseSend, request.written, sent)
    }

    private func add(_ phase: Phase, _ from: Instant, _ to: Instant) {
        let length = max(0, (to - from).count)
        sums[phase.rawValue] += length
        counts[place(phase, current) + Self.bucket(length / 1000)] &+= 1
    }

    private func place(_ phase: Phase, _ half: Int) -> Int {
        (phase.rawValue * 2 + half) * Self.buckets
    }

    private func turn(_ now: Instant) {
        let passed = now - began
        guard passed >= Self.half else { return }
        // After a silence both halves are old.
        let isLong = passed >= Self.half * 2
        current = 1 - current
        for phase in Phase.allCases {
            for half in isLong ? 0...1 : current...current {
                let start = place(phase, half)
                for index in start..<start + Self.buckets { counts[index] = 0 }
            }
        }
        began = now
    }

    package static func bucket(_ microseconds: Int64) -> Int {
        guard microseconds >= 8 else { return Int(max(0, microseconds)) }
        let exponent = 63 - microseconds.leadingZeroBitCount
        let step = Int(microseconds >> Int64(exponent - 3)) & 7
        return min((exponent - 2) * 8 + step, buckets - 1)
    }

    /// The least number of microseconds that belongs to a later bucket.
    package static func upperBound(_ bucket: Int) -> Int64 {
        let next = Int64(bucket + 1)
        guard next >= 8 else { return next }
        return (8 + next % 8) << (next / 8 - 1)
    }

    func report(
        _ labels: [(name: String, value: String)], _ now: Instant, into all: inout [NodeMetric]
    ) {
        turn(now)
        for phase in Phase.allCases {
            let name = "kafka_network_requestmetrics_" + phase.name
            for (quantile, value) in zip(Self.quantiles, values(phase)) {
                all.append(
                    NodeMetric(name, .summary, labels + [("quantile", quantile.text)], value))
            }
            all.append(
                NodeMetric(
                    name, .summary, labels, Double(sums[phase.rawValue]) / 1e6, suffix: "_sum"))
            all.append(NodeMetric(name, .summary, labels, Double(count), suffix: "_count"))
        }
    }

    /// In milliseconds; not numbers where nothing came lately, as in Prometheus' own summaries.
    private func values(_ phase: Phase) -> [Double] {
        let first = place(phase, 0)
        let second = place(phase, 1)
        var total = 0
        for index in 0..<Self.buckets {
            total += Int(counts[first + index] &+ counts[second + index])
        }
        guard total > 0 else { return Self.quantiles.map { _ in .nan } }
        var found: [Double] = []
        var passed = 0
        var index = -1
        for quantile in Self.quantiles {
            let wanted = Int((Double(total) * quantile.value).rounded(.up))
            while passed < wanted {
                index += 1
                passed += Int(counts[first + index] &+ counts[second + index])
            }
            found.append(Double(Self.upperBound(index)) / 1000)
        }
        return found
    }
}
