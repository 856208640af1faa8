extension FuzzTarget {
    /// A parser with a bug put in on purpose: the length of a record is believed. A fuzzer that
    /// does not find it within seconds finds nothing elsewhere either.
    package static let canary = FuzzTarget(
        "canary", maximumBytes: 64, seeds: { [Array("TLV".utf8) + [1, 0]] }
    ) { bytes in
        guard bytes.count >= 5, bytes[0] == 0x54, bytes[1] == 0x4c, bytes[2] == 0x56 else { return }
        var offset = 3
        var sum: UInt8 = 0
        while offset + 1 < bytes.count {
            let length = Int(bytes[offset + 1])
            // Here a check is missing: the record may end after the input.
            for i in 0..<length {
                sum &+= bytes.load(fromByteOffset: offset + 2 + i, as: UInt8.self)
            }
            precondition(offset + 2 + length <= bytes.count, "read past the end \(sum)")
            offset += 2 + length
        }
    }
}
