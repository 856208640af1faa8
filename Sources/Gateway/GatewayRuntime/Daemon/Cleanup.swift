import Glibc
import LinuxNet
import Logging
import SliceModel

/// `slice-gateway cleanup`: takes away what a daemon left in place for its successor.
package enum Cleanup {
    /// Everything of one gateway: its slices' router namespaces, and with them the interfaces in
    /// attached namespaces. Returns the names of what was removed.
    package static func run(_ config: GatewayConfig) throws -> [String] {
        try Directory.create(config.stateDirectory, mode: 0o700)
        let lock = try Preconditions.lock(config.stateDirectory)
        defer { withExtendedLifetime(lock) {} }
        var removed: [String] = []
        for (slice, source) in SliceState.all(config.stateDirectory) {
            if try remove(namespace: source.routerNamespace) {
                removed.append(source.routerNamespace)
            }
            SliceState(stateDirectory: config.stateDirectory, slice: slice).removeSource()
        }
        return removed
    }

    /// Every router namespace whose name begins so, whoever's gateway made it.
    package static func runAll(namespacePrefix: String) throws -> [String] {
        var removed: [String] = []
        for name in try NetworkNamespace.list() where name.hasPrefix(namespacePrefix) {
            if try remove(namespace: name) { removed.append(name) }
        }
        return removed
    }

    /// False if there is none of that name, or it is not a router namespace.
    static func remove(namespace name: String) throws -> Bool {
        guard NetworkNamespace.exists(named: name) else { return false }
        let namespace = try NetworkNamespace.named(name)
        let netlink = try Netlink(in: namespace)
        let links = try netlink.links()
        let isRouter = links.contains { $0.isOurs && $0.kind == "tun" }
        // One that was killed before it had a device is empty, and has a router's name.
        guard isRouter || links.allSatisfy(\.isLoopback) else { return false }
        for link in links where link.isOurs {
            try ignoringAbsence { () throws(LinuxError) in try netlink.deleteLink(link.name) }
        }
        try NetworkNamespace.remove(named: name)
        return true
    }
}
