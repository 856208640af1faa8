import Addresses
import Glibc

/// Names of the underlay, by this host's own means.
enum Resolver {
    struct Problem: Error, CustomStringConvertible {
        var description: String
    }

    /// The first address that the host would use.
    static func resolve(_ host: String) -> Result<IPAddress, Problem> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard code == 0 else {
            return .failure(
                Problem(
                    description: "cannot resolve \(host): \(String(cString: gai_strerror(code)))"))
        }
        var entry = list
        while let current = entry {
            if let address = address(current.pointee) { return .success(address) }
            entry = current.pointee.ai_next
        }
        return .failure(Problem(description: "\(host) has no address"))
    }

    private static func address(_ info: addrinfo) -> IPAddress? {
        guard let name = info.ai_addr else { return nil }
        // sockaddr_in and sockaddr_in6: where the address stands (ip(7), ipv6(7)).
        let place: (offset: Int, count: Int)
        switch info.ai_family {
        case AF_INET: place = (4, 4)
        case AF_INET6: place = (8, 16)
        default: return nil
        }
        guard Int(info.ai_addrlen) >= place.offset + place.count else { return nil }
        let bytes = UnsafeRawBufferPointer(start: name, count: Int(info.ai_addrlen))
        return IPAddress(bytes: bytes[place.offset..<place.offset + place.count])
    }
}
