import Addresses
import CLinux
import Glibc

/// What one slot of a receive brought: one message, or several of one size back to back.
package struct UDPReceived: BitwiseCopyable {
    package var base: UnsafeMutableRawPointer
    package var count: Int
    /// The size of each message but the last; `count` when there is one.
    package var segmentSize: Int
    package var from: IPEndpoint
    /// The outer TOS or traffic class, ECN bits included.
    package var tos: UInt8
}

/// Buffers for recvmmsg, allocated once. For one thread.
package struct UDPReceiveBatch: ~Copyable {
    /// Holds what the kernel coalesces at most.
    package static let bufferBytes = 65_536
    package let capacity: Int
    private let batch: OpaquePointer
    private let buffers: UnsafeMutableRawPointer

    package init(capacity: Int) {
        self.capacity = capacity
        guard let batch = clinux_batch_new(Int32(capacity)) else {
            preconditionFailure("out of memory for \(capacity) receive slots")
        }
        self.batch = batch
        buffers = .allocate(byteCount: capacity * Self.bufferBytes, alignment: 4096)
        for i in 0..<capacity {
            clinux_batch_provide(
                batch, Int32(i), buffers + i * Self.bufferBytes, Self.bufferBytes)
        }
    }

    deinit {
        clinux_batch_free(batch)
        buffers.deallocate()
    }

    /// Takes what has come, up to `limit` slots of it, and waits for nothing:
    /// how many slots were filled, or a negative errno (-EAGAIN when nothing has come).
    package borrowing func receive(_ descriptor: Int32, limit: Int) -> Int {
        Int(clinux_batch_receive(descriptor, batch, Int32(min(limit, capacity))))
    }

    /// Slot `i` of the last receive; nil when the kernel cut it short.
    package borrowing func received(_ i: Int) -> UDPReceived? {
        var raw = clinux_received()
        clinux_batch_get(batch, Int32(i), &raw)
        guard raw.truncated == 0 else { return nil }
        let size = Int(raw.segment_size)
        return UDPReceived(
            base: buffers + i * Self.bufferBytes, count: raw.count,
            segmentSize: size > 0 ? size : raw.count, from: raw.from.endpoint, tos: raw.tos)
    }
}

/// Message headers for sendmmsg, allocated once. For one thread.
package struct UDPSendBatch: ~Copyable {
    package let capacity: Int
    private let batch: OpaquePointer
    package private(set) var count = 0

    /// What the kernel did not take of one put.
    package struct Refused: BitwiseCopyable {
        package var messages = 0
        package var bytes = 0
    }

    /// Of each put of the last send.
    package let refused: UnsafeMutablePointer<Refused>

    package init(capacity: Int) {
        self.capacity = capacity
        guard let batch = clinux_batch_new(Int32(capacity)) else {
            preconditionFailure("out of memory for \(capacity) send slots")
        }
        self.batch = batch
        refused = .allocate(capacity: capacity)
        refused.initialize(repeating: Refused(), count: capacity)
    }

    deinit {
        clinux_batch_free(batch)
        refused.deallocate()
    }

    /// `segmentSize` smaller than `count` asks for UDP_SEGMENT. The memory must stay until the
    /// send. No more than `capacity` puts before a send.
    package mutating func put(
        _ base: UnsafeMutableRawPointer, count bytes: Int, segmentSize: Int, to: IPEndpoint,
        tos: UInt8, socketFamily: Int32
    ) {
        precondition(count < capacity)
        var address = clinux_address(to)
        clinux_batch_put(
            batch, Int32(count), base, bytes, bytes > segmentSize ? UInt32(segmentSize) : 0,
            &address, tos, socketFamily)
        refused[count] = Refused()
        count += 1
    }

    /// Sends everything put, waiting for room in the socket's buffer. What the kernel will not
    /// cut (the path's MTU is smaller than a message: EMSGSIZE, EINVAL; the device cannot
    /// compute checksums: EIO) goes message by message. A message that it refuses is skipped
    /// and counted; the rest go on. Returns how many were refused, and the last errno.
    package mutating func send(_ descriptor: Int32) -> (refused: Int, errno: Int32) {
        var from: Int32 = 0
        var all = 0
        var lastError: Int32 = 0
        while from < Int32(count) {
            let sent = clinux_batch_send(descriptor, batch, from, Int32(count))
            if sent > 0 {
                from += sent
            } else if sent == -EMSGSIZE || sent == -EINVAL || sent == -EIO {
                var bytes = 0
                let messages = Int(
                    clinux_batch_send_apart(descriptor, batch, from, &lastError, &bytes))
                refused[Int(from)] = Refused(messages: messages, bytes: bytes)
                all += messages
                from += 1
            } else if sent != -EINTR {
                var bytes = 0
                let messages = Int(clinux_batch_messages(batch, from, &bytes))
                refused[Int(from)] = Refused(messages: messages, bytes: bytes)
                all += messages
                lastError = -sent
                from += 1
            }
        }
        count = 0
        return (all, lastError)
    }
}
