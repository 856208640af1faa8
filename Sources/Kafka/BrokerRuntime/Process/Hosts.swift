import BrokerCore
import CommitLog
import NIOCore
import NIOPosix
import Replication
import Synchronization

/// What a quorum's node wants beyond what every node wants. Lives on the quorum's loop.
final class QuorumHost {
    var nodeLoop: NodeLoop<QuorumNode>?
    private let ready: @Sendable () -> Void
    private let ended: @Sendable () -> Void
    private var sink: (@Sendable (QuorumEffect) -> Void)?
    /// What came before the broker was there to hear it.
    private var backlog: [QuorumEffect] = []
    private let isBroker: Bool

    /// - Parameter ready: called where there is no broker, which would say so itself.
    init(
        isBroker: Bool, ready: @escaping @Sendable () -> Void,
        ended: @escaping @Sendable () -> Void
    ) {
        self.isBroker = isBroker
        self.ready = ready
        self.ended = ended
    }

    var loop: NodeLoop<QuorumNode> {
        guard let nodeLoop else { preconditionFailure("a quorum host without its loop") }
        return nodeLoop
    }

    func carryOut(_ effect: QuorumEffect) {
        guard isBroker else {
            if case .ready = effect { ready() }
            return
        }
        if let sink { sink(effect) } else { backlog.append(effect) }
    }

    func attach(_ sink: @escaping @Sendable (QuorumEffect) -> Void) {
        for effect in backlog { sink(effect) }
        backlog = []
        self.sink = sink
    }

    func shutDown() {
        loop.step { node, now, nowMs in node.shutDown(now: now, nowMs: nowMs) }
    }

    func stopped() {
        nodeLoop?.close()
        ended()
    }
}

/// What a broker wants beyond what every node wants. Lives on the broker's loop.
final class BrokerHost {
    var nodeLoop: NodeLoop<BrokerNode>?
    private let flushers: NIOThreadPool
    private let loop: any EventLoop
    private let ready: @Sendable () -> Void

    init(flushers: NIOThreadPool, loop: any EventLoop, ready: @escaping @Sendable () -> Void) {
        self.flushers = flushers
        self.loop = loop
        self.ready = ready
    }

    func carryOut(_ effect: BrokerEffect) {
        switch effect {
        case .node: break
        case .ready: ready()
        case .flush(let key, let ticket): flush(key, ticket)
        }
    }

    private func flush(_ key: TopicIdPartition, _ ticket: FlushTicket) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        flushers.runIfActive(eventLoop: loop) { () -> DiskError? in
            do {
                try ticket.perform()
                return nil
            } catch let error as DiskError {
                return error
            }
        }.whenSuccess { error in
            bound.value.nodeLoop?.step { node, now, nowMs in
                node.flushed(key, ticket, error, now: now, nowMs: nowMs)
            }
        }
    }
}

/// The end of the process, told once.
final class EndOfProcess: Sendable {
    private let told = Mutex(false)
    private let end: @Sendable (String?) -> Void

    init(_ end: @escaping @Sendable (String?) -> Void) { self.end = end }

    func stop() { tell(nil) }
    func fail(_ reason: String) { tell(reason) }

    private func tell(_ reason: String?) {
        let isFirst = told.withLock { told in
            defer { told = true }
            return !told
        }
        if isFirst { end(reason) }
    }
}

/// A value that several threads use, one at a time.
final class LockedBox<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withValue<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock { body(&$0) }
    }
}
