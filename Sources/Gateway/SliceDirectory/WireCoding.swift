import Addresses
import SliceModel

/// What is wrong with bytes from a peer or a file.
package enum WireProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case truncated
    case trailing
    case frameLength(UInt32)
    case unknownType(UInt8)
    case badName(String)
    case badValue(String)
    case tooMany(String)

    package var description: String {
        switch self {
        case .truncated: "a message ends too early"
        case .trailing: "a message goes on after its end"
        case .frameLength(let length): "a frame of \(length) bytes"
        case .unknownType(let type): "a message of unknown type \(type)"
        case .badName(let noun): "a malformed \(noun)"
        case .badValue(let what): "a malformed \(what)"
        case .tooMany(let what): "too many \(what)"
        }
    }
}

/// Takes numbers and names off bytes; every length is checked before it is believed.
struct WireReader {
    private let bytes: [UInt8]
    private(set) var place: Int
    private let end: Int

    /// The range must lie inside the bytes.
    init(_ bytes: [UInt8], _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "outside the bytes")
        self.bytes = bytes
        place = range.lowerBound
        end = range.upperBound
    }

    init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

    var remaining: Int { end - place }

    func finish() throws(WireProblem) {
        if remaining != 0 { throw .trailing }
    }

    mutating func byte() throws(WireProblem) -> UInt8 {
        guard place < end else { throw .truncated }
        place += 1
        return bytes[place - 1]
    }

    /// Big endian.
    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type = Number.self
    ) throws(WireProblem) -> Number {
        let count = Number.bitWidth / 8
        guard remaining >= count else { throw .truncated }
        var value: Number = 0
        for index in place..<place + count { value = value << 8 | Number(bytes[index]) }
        place += count
        return value
    }

    mutating func rest() -> [UInt8] {
        defer { place = end }
        return Array(bytes[place..<end])
    }

    mutating func bytes(_ count: Int) throws(WireProblem) -> ArraySlice<UInt8> {
        guard count >= 0, remaining >= count else { throw .truncated }
        defer { place += count }
        return bytes[place..<place + count]
    }

    /// One byte of length, then that many. Damaged UTF-8 is mended here and refused by the rules
    /// of whatever it is to be: all names are ASCII.
    mutating func text() throws(WireProblem) -> String {
        let count = Int(try byte())
        return String(decoding: try bytes(count), as: UTF8.self)
    }

    mutating func name<Name: SliceModelName>() throws(WireProblem) -> Name {
        guard let name = Name(try text()) else { throw .badName(Name.noun) }
        return name
    }

    mutating func flag(_ what: String) throws(WireProblem) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw .badValue(what)
        }
    }

    mutating func address(isIPv4: Bool) throws(WireProblem) -> IPAddress {
        if isIPv4 { return .v4(IPv4Address(try number())) }
        return .v6(IPv6Address(high: try number(), low: try number()))
    }
}

struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> Number(shift)))
        }
    }

    /// At most 255 bytes; what is longer ends there.
    mutating func text(_ text: String) {
        let units = text.utf8.prefix(255)
        bytes.append(UInt8(units.count))
        bytes.append(contentsOf: units)
    }

    mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }

    mutating func append(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

    mutating func address(_ address: IPAddress) {
        switch address {
        case .v4(let a): number(a.value)
        case .v6(let a):
            number(a.high)
            number(a.low)
        }
    }

    /// Four bytes of length before what comes after `start`.
    mutating func closeFrame(at start: Int) {
        let length = UInt32(bytes.count - start - 4)
        for index in 0..<4 {
            bytes[start + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index))
        }
    }
}
