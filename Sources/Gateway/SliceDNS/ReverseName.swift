import Addresses

/// A name under in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC 3596 section 2.5) that lies
/// in one of the slice's prefixes.
struct ReverseName {
    enum Meaning: Equatable {
        /// All labels of an address.
        case address(IPAddress)
        /// The top of what is ours.
        case apex
        /// Between the top and addresses.
        case between
        /// Below an address, or not numbers: nothing is there.
        case nothing
    }

    let meaning: Meaning
    /// Where in the name the zone begins whose SOA record negative answers carry: as many labels
    /// as the prefix has whole or begun octets or nibbles.
    let zonePlace: Int

    private static let ipv4: [UInt8] = [7] + Array("in-addr".utf8) + [4] + Array("arpa".utf8) + [0]
    private static let ipv6: [UInt8] = [3] + Array("ip6".utf8) + [4] + Array("arpa".utf8) + [0]

    /// `name` is in lower case.
    init?(_ name: DomainName, within prefixes: [IPPrefix]) {
        let isIPv4: Bool
        let end: Int
        if let place = name.place(of: Self.ipv4) {
            (isIPv4, end) = (true, place)
        } else if let place = name.place(of: Self.ipv6) {
            (isIPv4, end) = (false, place)
        } else {
            return nil
        }
        let (bits, whole) = isIPv4 ? (8, 4) : (4, 32)
        // Label by label, the one that is nearest to the top first.
        var places: [Int] = []
        var at = 0
        while at < end {
            places.append(at)
            at += 1 + Int(name.wire[at])
        }
        var bytes = [UInt8](repeating: 0, count: isIPv4 ? 4 : 16)
        var count = 0
        for place in places.reversed().prefix(whole) {
            let label = name.wire[place + 1...place + Int(name.wire[place])]
            guard let value = isIPv4 ? Self.octet(label) : Self.nibble(label) else { break }
            if isIPv4 {
                bytes[count] = value
            } else {
                bytes[count / 2] |= count % 2 == 0 ? value << 4 : value
            }
            count += 1
        }
        guard let address = IPAddress(bytes: bytes) else { return nil }
        // The longest of those that the numbers so far lie in.
        let zone = prefixes.filter {
            $0.isIPv4 == isIPv4 && count * bits >= $0.length && $0.contains(address)
        }.max { $0.length < $1.length }
        guard let zone else { return nil }
        let zoneCount = (zone.length + bits - 1) / bits
        zonePlace = zoneCount == 0 ? end : places[places.count - zoneCount]
        if count < places.count {
            meaning = .nothing
        } else if count == whole {
            meaning = .address(address)
        } else {
            meaning = count == zoneCount ? .apex : .between
        }
    }

    /// Decimal without zeros in front.
    private static func octet(_ label: ArraySlice<UInt8>) -> UInt8? {
        guard (1...3).contains(label.count), label.allSatisfy({ 48...57 ~= $0 }),
            label.count == 1 || label.first != 48
        else { return nil }
        return UInt8(exactly: label.reduce(0) { $0 * 10 + Int($1 - 48) })
    }

    /// One hexadecimal digit.
    private static func nibble(_ label: ArraySlice<UInt8>) -> UInt8? {
        guard label.count == 1, let unit = label.first else { return nil }
        switch unit {
        case 48...57: return unit - 48
        case 97...102: return unit - 87
        default: return nil
        }
    }
}
