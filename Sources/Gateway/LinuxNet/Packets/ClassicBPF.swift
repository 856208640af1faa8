/// What programs of classic BPF are made of, as linux/bpf_common.h has it: class, size and mode, or
/// class, operation and source.
enum ClassicBPF {
    static let loadWord: UInt16 = 0x20
    static let loadHalf: UInt16 = 0x28
    static let loadByte: UInt16 = 0x30
    static let loadLength: UInt16 = 0x80
    static let loadKept: UInt16 = 0x60
    static let keep: UInt16 = 0x02
    static let moveToIndex: UInt16 = 0x07
    static let add: UInt16 = 0x04
    static let multiply: UInt16 = 0x24
    static let modulo: UInt16 = 0x94
    static let and: UInt16 = 0x54
    static let xorIndex: UInt16 = 0xac
    static let shiftRight: UInt16 = 0x74
    static let jump: UInt16 = 0x05
    static let jumpIfEqual: UInt16 = 0x15
    static let give: UInt16 = 0x06
    static let giveAccumulator: UInt16 = 0x16

    /// Where the IP header begins (linux/filter.h).
    static let network = UInt32(bitPattern: -0x10_0000)
    /// A random number.
    static let random = UInt32(bitPattern: -0x1000 + 56)
}
