import Addresses

/// A netlink message under construction: header, fixed part, attributes (RFC 3549 section 2.3.2).
/// Pure: bytes only.
package struct NetlinkRequest: Sendable {
    private(set) var bytes: [UInt8] = []
    let type: UInt16

    init(_ type: UInt16, flags: UInt16) {
        self.type = type
        append(UInt32(0))
        append(type)
        append(flags | NLM.request)
        append(UInt64(0))
    }

    mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    /// Attributes larger than a request may carry are a mistake of this room: whatever comes
    /// from outside (names, aliases) was checked for length before.
    mutating func put(_ type: UInt16, bytes payload: some Collection<UInt8>) {
        precondition(payload.count <= 4096)
        append(UInt16(4 + payload.count))
        append(type)
        bytes.append(contentsOf: payload)
        pad()
    }

    mutating func put(_ type: UInt16, _ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { put(type, bytes: $0) }
    }

    mutating func put(_ type: UInt16, _ address: IPAddress) {
        put(type, bytes: address.bytes)
    }

    /// With the terminating NUL, as the kernel's string policies allow.
    mutating func put(_ type: UInt16, text: String) {
        put(type, bytes: Array(text.utf8) + [0])
    }

    mutating func nest(_ type: UInt16, _ body: (inout Self) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type | NLM.nested)
        body(&self)
        let length = UInt16(bytes.count - start)
        withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<start + 2, with: $0) }
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    func finished(sequence: UInt32) -> [UInt8] {
        var whole = bytes
        withUnsafeBytes(of: UInt32(whole.count)) { whole.replaceSubrange(0..<4, with: $0) }
        withUnsafeBytes(of: sequence) { whole.replaceSubrange(8..<12, with: $0) }
        return whole
    }
}
