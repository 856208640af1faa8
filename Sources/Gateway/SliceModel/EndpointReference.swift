/// Which Linux network namespace an endpoint is, in the three ways a user can point at one.
package enum EndpointReference: Hashable, Sendable, CustomStringConvertible {
    /// A name under /run/netns, as `ip netns` shows it.
    case netns(String)
    /// A file that is a network namespace, such as /proc/123/ns/net or a container runtime's.
    case path(String)
    /// The network namespace of a process.
    case pid(Int32)

    /// `netns:NAME`, `path:/ABSOLUTE` or `pid:NUMBER`.
    package init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let rest = String(text[text.index(after: colon)...])
        switch text[..<colon] {
        case "netns": self.init(netns: rest)
        case "path": self.init(path: rest)
        case "pid":
            guard (1...10).contains(rest.utf8.count), rest.utf8.allSatisfy({ 48...57 ~= $0 }),
                let pid = Int32(rest)
            else { return nil }
            self.init(pid: pid)
        default: return nil
        }
    }

    /// One file name: it is joined to a directory, and must not lead out of it.
    package init?(netns name: String) {
        guard (1...255).contains(name.utf8.count), name != ".", name != "..",
            name.utf8.allSatisfy({ $0 > 32 && $0 != 47 && $0 != 127 })
        else { return nil }
        self = .netns(name)
    }

    package init?(path: String) {
        // PATH_MAX of Linux is 4096, the final NUL included.
        guard (2...4095).contains(path.utf8.count), path.utf8.first == 47,
            path.utf8.allSatisfy({ $0 >= 32 && $0 != 127 })
        else { return nil }
        self = .path(path)
    }

    package init?(pid: Int32) {
        guard pid > 0 else { return nil }
        self = .pid(pid)
    }

    package var description: String {
        switch self {
        case .netns(let name): "netns:\(name)"
        case .path(let path): "path:\(path)"
        case .pid(let pid): "pid:\(pid)"
        }
    }
}
