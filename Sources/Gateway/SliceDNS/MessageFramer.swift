/// Cuts a TCP stream into messages: two bytes of length, then so many of message (RFC 1035
/// section 4.2.2, RFC 7766 section 8). Bytes come as they come.
package struct MessageFramer: Sendable {
    package enum Step: Hashable, Sendable {
        case message([UInt8])
        case needsMore
        /// Nothing that follows can be understood.
        case tooLong(Int)
    }

    /// A query has one name, and options of which we understand none.
    package static let queryBytes = 4096

    private let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0

    package init(limit: Int = queryBytes) { self.limit = limit }

    /// What is kept: at most one message that is not whole, if `next` is called until it needs
    /// more.
    package var pendingBytes: Int { bytes.count - start }

    package mutating func append(_ more: some Sequence<UInt8>) {
        if start > 0 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        bytes += more
    }

    package mutating func next() -> Step {
        guard pendingBytes >= 2 else { return .needsMore }
        let length = Int(bytes[start]) << 8 | Int(bytes[start + 1])
        guard length <= limit else { return .tooLong(length) }
        guard pendingBytes >= 2 + length else { return .needsMore }
        let message = Array(bytes[start + 2..<start + 2 + length])
        start += 2 + length
        return .message(message)
    }

    package static func framed(_ message: [UInt8]) -> [UInt8] {
        let count = UInt16(clamping: message.count)
        return [UInt8(count >> 8), UInt8(count & 0xff)] + message
    }
}
