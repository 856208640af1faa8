import BrokerCore
import BrokerRuntime
import Testing
import Timing

@Suite struct RequestTimesTests {
    private let begin = Instant(nanoseconds: 1_000_000_000)

    /// A request whose parts take 1, 2, 3, 4 and 5 units.
    private func request(at start: Instant, unit: Nanoseconds) -> (RequestTiming, sent: Instant) {
        func after(_ units: Int64) -> Instant { start + unit * units }
        return (
            RequestTiming(
                kind: RequestKind(index: 0), arrived: after(0), begun: after(1), served: after(3),
                replied: after(6), written: after(10)), after(15)
        )
    }

    private func figure(
        _ metrics: [NodeMetric], _ name: String, _ quantile: String? = nil, suffix: String = ""
    ) -> Double? {
        metrics.first { metric in
            metric.name == "kafka_network_requestmetrics_" + name && metric.suffix == suffix
                && metric.labels.first { $0.name == "quantile" }?.value == quantile
        }?.value
    }

    @Test func everyPartOfTheWayIsTimed() {
        let times = RequestTimes()
        let (one, sent) = request(at: begin, unit: .milliseconds(1))
        times.record(one, sent: sent)
        times.record(one, sent: sent)
        let metrics = times.metrics(part: "broker", now: sent)
        let parts: [(String, Double)] = [
            ("requestqueuetimems", 1), ("localtimems", 2), ("remotetimems", 3),
            ("responsequeuetimems", 4), ("responsesendtimems", 5), ("totaltimems", 15),
        ]
        for (name, length) in parts {
            #expect(figure(metrics, name, suffix: "_sum") == 2 * length)
            #expect(figure(metrics, name, suffix: "_count") == 2)
            for quantile in ["0.50", "0.75", "0.95", "0.98", "0.99", "0.999"] {
                let value = figure(metrics, name, quantile) ?? 0
                #expect(value >= length && value <= length * 1.13, "\(name) \(quantile) \(value)")
            }
        }
        #expect(metrics.allSatisfy { $0.kind == .summary && $0.labels[0].value == "broker" })
        #expect(metrics.allSatisfy { $0.labels[1] == ("request", "Produce") })
    }

    @Test func quantilesTellTheSlowFromTheMany() {
        let times = RequestTimes()
        for index in 0..<1000 {
            let (one, sent) = request(
                at: begin, unit: index < 980 ? .microseconds(10) : .milliseconds(10))
            times.record(one, sent: sent)
        }
        let metrics = times.metrics(part: "broker", now: begin + .seconds(1))
        for (quantile, expected) in [("0.50", 0.15), ("0.98", 0.15), ("0.99", 150), ("0.999", 150)]
        {
            let value = figure(metrics, "totaltimems", quantile) ?? 0
            #expect(value >= expected && value <= expected * 1.13, "\(quantile) \(value)")
        }
    }

    @Test func whatIsLongAgoIsForgottenButForSumAndCount() {
        let times = RequestTimes()
        let (slow, sent) = request(at: begin, unit: .milliseconds(100))
        times.record(slow, sent: sent)
        let (quick, later) = request(at: begin + .seconds(70), unit: .microseconds(100))
        times.record(quick, sent: later)
        #expect(
            (figure(times.metrics(part: "broker", now: later), "totaltimems", "0.99") ?? 0) > 1000)
        let (again, muchLater) = request(at: begin + .seconds(140), unit: .microseconds(100))
        times.record(again, sent: muchLater)
        let metrics = times.metrics(part: "broker", now: muchLater)
        #expect((figure(metrics, "totaltimems", "0.99") ?? 9) < 2)
        #expect(figure(metrics, "totaltimems", suffix: "_count") == 3)
        let silent = times.metrics(part: "broker", now: muchLater + .seconds(300))
        #expect(figure(silent, "totaltimems", "0.99")?.isNaN == true)
        #expect(PrometheusText.render(silent).contains("quantile=\"0.99\"} NaN\n"))
    }

    @Test func everyLengthFindsItsBucket() {
        var last = -1
        for exponent in 0..<45 {
            for step in 0..<16 as Range<Int64> {
                let length = (Int64(1) << Int64(exponent)) * (16 + step) / 16
                let bucket = RequestHistogram.bucket(length)
                #expect(bucket >= last && bucket < RequestHistogram.buckets)
                last = bucket
                guard bucket < RequestHistogram.buckets - 1 else { continue }
                let bound = RequestHistogram.upperBound(bucket)
                #expect(length < bound && bound <= length + max(1, length / 8), "\(length)")
            }
        }
        #expect(last == RequestHistogram.buckets - 1)
    }

    @Test func aLoopIsBusyInHandlersOrOnTheProcessor() {
        var share = LoopShare(now: begin, processor: .seconds(3))
        share.ran(from: begin + .seconds(1), to: begin + .seconds(3))
        // Inside of what was counted, and half of it.
        share.ran(from: begin + .seconds(2), to: begin + .seconds(3))
        share.ran(from: begin + .seconds(2), to: begin + .seconds(4))
        let ten = begin + .seconds(10)
        #expect(share.idleShare(now: ten, processor: .seconds(4)) == 0.7)
        // Who asks again at once is told the same.
        #expect(share.idleShare(now: ten + .seconds(1), processor: .seconds(5)) == 0.7)
        #expect(share.idleShare(now: ten + .seconds(10), processor: .seconds(9)) == 0.5)
        #expect(LoopShare.processorTime() > .zero)
    }
}
