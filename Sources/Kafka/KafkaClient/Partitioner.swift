import NIOCore

/// Which partition a record goes to, as Kafka's own producer decides.
package enum Partitioner {
    /// MurmurHash2, 32 bits, with the seed that Kafka uses. Words are little-endian.
    package static func murmur2(_ bytes: ByteBuffer) -> UInt32 {
        let multiplier: UInt32 = 0x5bd1_e995
        var bytes = bytes
        var hash = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.readableBytes)
        while var word = bytes.readInteger(endianness: .little, as: UInt32.self) {
            word = word &* multiplier
            word ^= word >> 24
            hash = hash &* multiplier ^ word &* multiplier
        }
        var tail: UInt32 = 0
        var shift: UInt32 = 0
        let hasTail = bytes.readableBytes > 0
        while let byte = bytes.readInteger(as: UInt8.self) {
            tail |= UInt32(byte) << shift
            shift += 8
        }
        if hasTail { hash = (hash ^ tail) &* multiplier }
        hash ^= hash >> 13
        hash = hash &* multiplier
        return hash ^ hash >> 15
    }

    /// Of a key: the same in every client that hashes as Kafka's does. The sign is dropped, not
    /// taken away.
    package static func partition(ofKey key: ByteBuffer, count: Int) -> Int32 {
        guard count > 0 else { return 0 }
        return Int32(truncatingIfNeeded: Int(murmur2(key) & 0x7fff_ffff) % count)
    }
}
