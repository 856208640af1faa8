/// 32 bytes that are no secret: a public key, a digest, a MAC1 key.
package struct Bytes32: Hashable, Comparable, Sendable, BitwiseCopyable {
    private var w0: UInt64
    private var w1: UInt64
    private var w2: UInt64
    private var w3: UInt64

    package static let size = 32

    package init() { (w0, w1, w2, w3) = (0, 0, 0, 0) }

    /// Reads 32 bytes at `pointer`.
    package init(at pointer: UnsafeRawPointer) {
        w0 = pointer.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        w1 = pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        w2 = pointer.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        w3 = pointer.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }

    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, let base = bytes.baseAddress else { return nil }
        self.init(at: base)
    }

    init(filledBy fill: (UnsafeMutableRawPointer) -> Void) {
        self.init()
        Swift.withUnsafeMutableBytes(of: &self) { buffer in
            if let base = buffer.baseAddress { fill(base) }
        }
    }

    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        Swift.withUnsafeBytes(of: self, body)
    }

    /// `body` gets a pointer to the 32 bytes.
    func withPointer<R>(_ body: (UnsafeRawPointer) -> R) -> R {
        Swift.withUnsafeBytes(of: self) { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("32 bytes, not none") }
            return body(base)
        }
    }

    package func store(to pointer: UnsafeMutableRawPointer) {
        withPointer { pointer.copyMemory(from: $0, byteCount: Self.size) }
    }

    package var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// Order of the bytes, first byte first.
    package static func < (a: Self, b: Self) -> Bool {
        if a.w0 != b.w0 { return a.w0.bigEndian < b.w0.bigEndian }
        if a.w1 != b.w1 { return a.w1.bigEndian < b.w1.bigEndian }
        if a.w2 != b.w2 { return a.w2.bigEndian < b.w2.bigEndian }
        return a.w3.bigEndian < b.w3.bigEndian
    }
}
