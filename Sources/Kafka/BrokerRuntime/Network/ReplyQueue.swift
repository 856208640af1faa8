import KafkaWire

/// The replies of one connection, in the order of its requests.
///
/// Requests are served as they come, several at a time; Kafka's protocol wants the replies in
/// order, so one that is early waits here for those before it.
package struct ReplyQueue {
    private var ready: [[Piece]?] = []
    private var head = 0
    /// The sequence number of the oldest request without a reply.
    package private(set) var oldest: UInt64 = 0

    package init() {}

    /// Requests that came and have no reply yet, or whose reply waits for earlier ones.
    package var count: Int { ready.count - head }

    /// - Returns: the sequence number of a new request.
    package mutating func begin() -> UInt64 {
        ready.append(nil)
        return oldest + UInt64(count) - 1
    }

    /// Takes the reply of a request. A second reply to the same request, or one to a request that
    /// never was, is ignored.
    package mutating func finish(_ sequence: UInt64, _ pieces: [Piece]) {
        guard sequence >= oldest, sequence - oldest < UInt64(count) else { return }
        let index = head + Int(sequence - oldest)
        if ready[index] == nil { ready[index] = pieces }
    }

    /// - Returns: the next reply whose turn it is.
    package mutating func next() -> [Piece]? {
        guard head < ready.count, let pieces = ready[head] else { return nil }
        ready[head] = nil
        head += 1
        oldest += 1
        if head == ready.count {
            ready.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 64, head * 2 > ready.count {
            ready.removeFirst(head)
            head = 0
        }
        return pieces
    }
}
