import NIOCore

extension Compression {
    package func compress(
        _ bytes: ByteBuffer, level: Int? = nil, into buffer: inout ByteBuffer
    ) throws(RecordError) {
        guard self == .none else { throw .compressionFailed(self, reason: "not yet") }
        buffer.writeImmutableBuffer(bytes)
    }

    package func decompress(_ bytes: ByteBuffer, limit: Int) throws(RecordError) -> ByteBuffer {
        guard self == .none else { throw .compressionFailed(self, reason: "not yet") }
        return bytes
    }
}
