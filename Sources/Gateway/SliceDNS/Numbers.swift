// IANA's numbers for DNS, as far as we act on them. Others travel as they are.

package struct RecordType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    private init(_ rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = Self(1)
    package static let ns = Self(2)
    package static let cname = Self(5)
    package static let soa = Self(6)
    package static let ptr = Self(12)
    package static let hinfo = Self(13)
    package static let mx = Self(15)
    package static let txt = Self(16)
    package static let aaaa = Self(28)
    package static let srv = Self(33)
    package static let opt = Self(41)
    package static let ixfr = Self(251)
    package static let axfr = Self(252)
    package static let any = Self(255)

    /// RFC 6895 section 3.1: 128 to 255 are for questions and for meta data; OPT is meta data too.
    package var isMeta: Bool { 128...255 ~= rawValue || self == .opt || rawValue == 0 }
}

extension RecordType: CustomStringConvertible {
    package var description: String {
        switch self {
        case .a: "A"
        case .ns: "NS"
        case .cname: "CNAME"
        case .soa: "SOA"
        case .ptr: "PTR"
        case .hinfo: "HINFO"
        case .mx: "MX"
        case .txt: "TXT"
        case .aaaa: "AAAA"
        case .srv: "SRV"
        case .opt: "OPT"
        case .ixfr: "IXFR"
        case .axfr: "AXFR"
        case .any: "ANY"
        // RFC 3597 section 5.
        default: "TYPE\(rawValue)"
        }
    }
}

package struct RecordClass: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The Internet. Everything we have is of this class.
    package static let internet = Self(rawValue: 1)
    /// CHAOS, in which servers tell their versions.
    package static let chaos = Self(rawValue: 3)
}

/// With the upper eight bits that EDNS adds (RFC 6891 section 6.1.3).
package struct ResponseCode: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue & 0xfff }

    package static let noError = Self(rawValue: 0)
    package static let formatError = Self(rawValue: 1)
    package static let serverFailure = Self(rawValue: 2)
    /// NXDOMAIN
    package static let nameError = Self(rawValue: 3)
    package static let notImplemented = Self(rawValue: 4)
    package static let refused = Self(rawValue: 5)
    package static let badVersion = Self(rawValue: 16)

    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

extension ResponseCode: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noError: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .nameError: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        case .badVersion: "BADVERS"
        default: "RCODE\(rawValue)"
        }
    }
}

/// What a message may be at most, and what it is before anybody says more.
package enum MessageLimits {
    package static let headerBytes = 12
    /// RFC 1035 section 4.2.1: without EDNS.
    package static let plainBytes = 512
    /// What fits into every path's packets with room to spare; DNS Flag Day 2020, RFC 9715.
    package static let datagramBytes = 1232
    /// The length in front of a message on a stream has 16 bits.
    package static let streamBytes = 65_535
    /// RFC 1035 section 2.3.4.
    package static let nameBytes = 255
    package static let labelBytes = 63
}
