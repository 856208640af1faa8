import Addresses
import Glibc
import LinuxNet
import SliceDNS
import SliceModel

/// resolv.conf(5) for programs that `ip netns exec NAME` starts: it shows them
/// /etc/netns/NAME/resolv.conf as /etc/resolv.conf (ip-netns(8)). A file that somebody else wrote
/// is left alone.
package struct ResolvConf: Hashable, Sendable {
    package static let directory = "/etc/netns"
    private static let mark = "# slice-gateway "
    /// MAXNS of resolv.conf(5).
    private static let maximumServers = 3

    package enum Outcome: Hashable, Sendable {
        /// It was there, word for word.
        case unchanged
        case written
        case removed
        /// There was none.
        case absent
        /// It is not ours: somebody else's, or another slice's.
        case foreign(path: String)
    }

    package var slice: SliceName
    package var namespace: NamespaceName
    package var zone: ZoneName
    /// The gateway's overlay addresses, and behind them others that are to be asked for other
    /// names (resolvers of the C library go on to the next at REFUSED).
    package var servers: [IPAddress]

    package init(
        slice: SliceName, namespace: NamespaceName, zone: ZoneName = .standard,
        servers: [IPAddress]
    ) {
        self.slice = slice
        self.namespace = namespace
        self.zone = zone
        self.servers = servers
    }

    /// `SERVICE`, `SERVICE.NAMESPACE` and `ENDPOINT.CLUSTER.SERVICE.NAMESPACE` are found without
    /// the rest: no short form has four dots.
    package var text: String {
        let servers = servers.prefix(Self.maximumServers).map { "nameserver \($0)\n" }.joined()
        return """
            \(Self.firstLine(slice))
            # Written when the endpoint was attached, removed when it is detached. Remove these
            # lines to keep a version of your own.
            \(servers)search \(namespace).svc.\(zone) svc.\(zone) \(zone)
            options ndots:4 timeout:2 attempts:2

            """
    }

    static func firstLine(_ slice: SliceName) -> String { "\(mark)\(slice)" }

    /// Whether what is there was written for the slice.
    static func isOurs(_ bytes: [UInt8], _ slice: SliceName) -> Bool {
        bytes.prefix { $0 != 10 }.elementsEqual(firstLine(slice).utf8)
    }

    // MARK: Files

    /// Applying it twice changes nothing.
    package func apply(
        netns name: String, in directory: String = directory
    ) throws(LinuxError) -> Outcome {
        let path = try Self.path(name, directory)
        let wanted = Array(text.utf8)
        if let present = try Self.read(path) {
            guard Self.isOurs(present, slice) else { return .foreign(path: path) }
            if present == wanted { return .unchanged }
        }
        try Directory.create("\(directory)/\(name)")
        try AtomicFile.write(path, wanted)
        return .written
    }

    /// Takes away what `apply` wrote, and its directory if nothing else is in it.
    package static func remove(
        slice: SliceName, netns name: String, in directory: String = directory
    ) throws(LinuxError) -> Outcome {
        let path = try path(name, directory)
        guard let present = try read(path) else { return .absent }
        guard isOurs(present, slice) else { return .foreign(path: path) }
        do {
            try File.remove(path)
        } catch {
            if error.errno != ENOENT { throw error }
        }
        // Not empty, or somebody's link: stays.
        rmdir("\(directory)/\(name)")
        return .removed
    }

    private static func path(_ name: String, _ directory: String) throws(LinuxError) -> String {
        guard NetworkNamespace.isName(name) else {
            throw LinuxError("write resolv.conf for", "namespace \(name)", errno: EINVAL)
        }
        return "\(directory)/\(name)/resolv.conf"
    }

    /// Nil if there is none. What is too long, or no file at all, is somebody else's.
    private static func read(_ path: String) throws(LinuxError) -> [UInt8]? {
        do {
            return try File.read(path, limitBytes: 65_536)
        } catch {
            switch error.errno {
            case ENOENT, ENOTDIR: return nil
            case EFBIG, EISDIR: return []
            default: throw error
            }
        }
    }
}
