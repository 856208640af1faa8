import NIOCore
import Timing

/// What a shell and a simulator need to know of a node: what happens goes in with the time at which
/// it happened, what is to be done comes out.
package protocol SteppedNode: AnyObject, SendableMetatype {
    associatedtype Effect

    func connectionOpened(_ connection: ConnectionInfo)
    /// A whole request, without its length.
    func receive(_ frame: ByteBuffer, token: ReplyToken, now: Instant, nowMs: Int64)
    func connectionClosed(_ connection: UInt64, now: Instant, nowMs: Int64)
    /// The body of the answer to a request that was sent, or nil if none came.
    func peerReplied(_ id: UInt64, _ body: ByteBuffer?, now: Instant, nowMs: Int64)
    /// There is no answer, and in words why.
    func peerFailed(_ id: UInt64, _ reason: String, now: Instant, nowMs: Int64)
    /// To be called at the end of every burst of events, and when `nextDeadline` has come.
    func settle(now: Instant, nowMs: Int64)
    var nextDeadline: Instant? { get }

    /// What the request was that was received last; nil for one that is not served.
    var requestKind: RequestKind? { get }
    func metrics() -> [NodeMetric]

    /// What is to be done, in order.
    func takeEffects() -> [Effect]
    /// What any node may want done; nil for what only this kind does.
    static func common(_ effect: Effect) -> NodeEffect?
}

extension SteppedNode {
    package func peerFailed(_ id: UInt64, _ reason: String, now: Instant, nowMs: Int64) {
        peerReplied(id, nil, now: now, nowMs: nowMs)
    }
}

/// A connection as a node knows it.
package struct ConnectionInfo: Sendable {
    package var id: UInt64
    /// The other end's address.
    package var host: String
    /// The listener's name.
    package var listener: String

    package init(id: UInt64, host: String, listener: String) {
        self.id = id
        self.host = host
        self.listener = listener
    }
}
