// Unaligned loads and stores in a stated byte order. The caller vouches for the bounds: these
// are for places where the length was checked once for a whole header. Elsewhere: ByteReader.

extension UnsafeRawPointer {
    @inlinable @inline(__always)
    package func loadBig<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as: T.Type) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
    @inlinable @inline(__always)
    package func loadLittle<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as: T.Type) -> T
    {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

extension UnsafeMutableRawPointer {
    @inlinable @inline(__always)
    package func loadBig<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as: T.Type) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
    @inlinable @inline(__always)
    package func loadLittle<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as: T.Type) -> T
    {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
    @inlinable @inline(__always)
    package func storeBig<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
    }
    @inlinable @inline(__always)
    package func storeLittle<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }
}
