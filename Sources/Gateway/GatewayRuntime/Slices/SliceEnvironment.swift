import LinuxNet
import Logging
import NIOCore
import SliceModel
import Synchronization

/// What all slices of one daemon share.
struct SliceEnvironment: Sendable {
    var cluster: ClusterName
    var stateDirectory: String
    var namespacePrefix: String
    var limits: GatewayConfig.Limits
    var packetPath = PacketPathOptions()
    var group: any EventLoopGroup
    var resolver: NameResolver
    var claims: SliceClaims
    var logger: Logger
    /// Where `wg` looks for sockets.
    var configurationSockets = ConfigurationSocket.defaultDirectory
    var dns = GatewayConfig.DNS()
    var directory = GatewayConfig.Directory()
    /// Where `ip netns exec` looks for files to show in place of those in /etc.
    var netnsConfiguration = ResolvConf.directory
    var audit: AuditLog?
}

/// Two manifests may not be for the same slice: they would share a router namespace.
final class SliceClaims: Sendable {
    private let holders = Mutex<[SliceName: String]>([:])

    /// The manifest file that has the name already, or nil: now `manifest` has it.
    func claim(_ slice: SliceName, for manifest: String) -> String? {
        holders.withLock { holders in
            if let holder = holders[slice], holder != manifest { return holder }
            holders[slice] = manifest
            return nil
        }
    }

    func release(_ manifest: String) {
        holders.withLock { $0 = $0.filter { $0.value != manifest } }
    }
}
