import AdminAPI

/// What ping(8) prints, for one reply after the other.
package struct PingStatistics: Sendable {
    package private(set) var sent = 0
    package private(set) var received = 0
    package private(set) var replies: [PingReply] = []
    private var minimum = UInt64.max
    private var maximum: UInt64 = 0
    private var sum: UInt64 = 0
    private var squares = 0.0
    private let keepsReplies: Bool

    /// An endless ping must not grow: only a counted one keeps its replies.
    package init(keepsReplies: Bool) { self.keepsReplies = keepsReplies }

    package mutating func add(_ reply: PingReply) {
        sent += 1
        if keepsReplies { replies.append(reply) }
        guard reply.outcome == .answered else { return }
        received += 1
        // A peer's clock has no part in this, but the number still came through a socket.
        let time = min(reply.rttMicroseconds ?? 0, 1 << 40)
        minimum = min(minimum, time)
        maximum = max(maximum, time)
        sum &+= time
        squares += Double(time) * Double(time)
    }

    package struct Summary: Codable, Equatable, Sendable {
        package var sent: Int
        package var received: Int
        package var lossPercent: Double
        package var minimumMilliseconds: Double?
        package var averageMilliseconds: Double?
        package var maximumMilliseconds: Double?
        package var deviationMilliseconds: Double?
    }

    package var summary: Summary {
        var summary = Summary(
            sent: sent, received: received,
            lossPercent: sent == 0 ? 0 : 100 * Double(sent - received) / Double(sent))
        guard received > 0 else { return summary }
        let mean = Double(sum) / Double(received)
        summary.minimumMilliseconds = Double(minimum) / 1000
        summary.averageMilliseconds = mean / 1000
        summary.maximumMilliseconds = Double(maximum) / 1000
        let variance = max(0, squares / Double(received) - mean * mean)
        summary.deviationMilliseconds = variance.squareRoot() / 1000
        return summary
    }

    package func text(target: String) -> String {
        let summary = summary
        let loss = summary.lossPercent
        let whole = loss == loss.rounded()
        var text = "--- \(DisplayText.clean(target)) ---\n"
        text += "\(sent) sent, \(received) received, \(Units.fixed(loss, whole ? 0 : 1))% lost\n"
        if let minimum = summary.minimumMilliseconds, let average = summary.averageMilliseconds,
            let maximum = summary.maximumMilliseconds,
            let deviation = summary.deviationMilliseconds
        {
            let figures = [minimum, average, maximum, deviation].map { Units.fixed($0, 3) }
            text += "min/avg/max/mdev = \(figures.joined(separator: "/")) ms\n"
        }
        return text
    }
}

package enum PingView {
    package static func line(
        _ reply: PingReply, payloadBytes: Int, style: Style = .plain
    ) -> String {
        let cluster = reply.cluster.map { " (\(DisplayText.clean($0)))" } ?? ""
        let from = DisplayText.clean(reply.address) + cluster
        switch reply.outcome {
        case .answered:
            // With the 8 bytes of the ICMP header (RFC 792), as ping(8) counts.
            let size = UInt64(clamping: payloadBytes) + 8
            let time = reply.rttMicroseconds.map { Units.milliseconds(Double($0) / 1000) } ?? "?"
            return "\(size) bytes from \(from): seq=\(reply.sequence) time=\(time)\n"
        case .timedOut:
            return "no answer from \(from): seq=\(reply.sequence) "
                + style.paint("timed out", .warning) + "\n"
        case .unreachable:
            let detail = reply.detail.map { ": \(DisplayText.clean($0))" } ?? ""
            return "\(from): seq=\(reply.sequence) \(style.paint("unreachable", .bad))\(detail)\n"
        }
    }
}
