import NIOCore

/// Bytes of requests that all connections of a loop hold together (queued.max.request.bytes).
///
/// Whole requests count until they are answered. A large one counts from its first bytes, with all
/// of its length, as in Kafka: what was let in can be read to its end, and nothing waits in the
/// middle for memory that others in the middle hold. Small ones are always read.
package final class RequestBudget {
    /// A request of at most so many bytes is read without asking.
    package static let freeBytes = 65_536
    /// Where others wait, a request of which nothing came for so long loses its connection.
    package static let patience = TimeAmount.seconds(10)

    private let limit: Int
    private let loop: any EventLoop
    package private(set) var held = 0
    /// In the order in which they came.
    private var waiting: [ServerConnection] = []
    private var waitingIDs: Set<UInt64> = []
    /// Those that have bytes set aside for a request that is not whole.
    private var reserving: [UInt64: ServerConnection] = [:]
    private var look: Scheduled<Void>?

    package init(limit: Int, loop: any EventLoop) {
        self.limit = limit
        self.loop = loop
    }

    var now: NIODeadline { loop.now }

    var isExhausted: Bool { held >= limit }

    func take(_ bytes: Int) { held += bytes }

    func release(_ bytes: Int) { held -= bytes }

    /// As long as there is any room there is room for one: else the largest might never be read.
    func reserve(_ bytes: Int, for connection: ServerConnection) -> Bool {
        guard !isExhausted else { return false }
        held += bytes
        reserving[connection.id] = connection
        return true
    }

    func wait(_ connection: ServerConnection) {
        guard waitingIDs.insert(connection.id).inserted else { return }
        waiting.append(connection)
        lookLater()
    }

    /// The connection has its request, or has ended.
    func forget(_ connection: ServerConnection, reserved: Int) {
        held -= reserved
        reserving[connection.id] = nil
        if waitingIDs.remove(connection.id) != nil { waiting.removeAll { $0 === connection } }
    }

    /// Lets those read again that waited for room; called once per burst.
    package func wakeWaiting() {
        guard !isExhausted, !waiting.isEmpty else { return }
        let connections = waiting
        waiting.removeAll()
        waitingIDs.removeAll()
        for connection in connections { connection.roomMayHaveCome() }
    }

    // MARK: Requests that do not go on

    private func lookLater() {
        guard look == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        look = loop.scheduleTask(in: .seconds(1)) { bound.value.closeIdle() }
    }

    private func closeIdle() {
        look = nil
        guard !waiting.isEmpty else { return }
        let late = now - Self.patience
        let idle = reserving.values.filter { $0.lastProgress < late }.sorted { $0.id < $1.id }
        for connection in idle {
            connection.close(
                because: "a request that did not go on for 10 s, while others waited for the "
                    + "memory it holds (queued.max.request.bytes)")
        }
        wakeWaiting()
        lookLater()
    }
}
