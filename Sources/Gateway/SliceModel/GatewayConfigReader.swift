import ConfigFile
import Timing

/// gateway.conf, field by field. The commented file at the root of the repository is its
/// reference: a field added here is added there.
enum GatewayConfigReader {
    static var config: ConfigType<GatewayConfig> {
        .object { object in
            let cluster: ClusterName? = object.required("cluster", .name)
            let stateDirectory = object.optional(
                "stateDirectory", .absolutePath, default: GatewayConfig.defaultStateDirectory)
            // sun_path of Linux has 108 bytes, the final NUL included (unix(7)).
            let adminSocket = object.optional(
                "adminSocket",
                .absolutePath.checked {
                    $0.utf8.count > 107
                        ? "is longer than the 107 bytes that a socket's path may have" : nil
                }, default: GatewayConfig.defaultAdminSocket)
            let namespacePrefix = object.optional(
                "namespacePrefix", namespacePrefix,
                default: GatewayConfig.defaultNamespacePrefix)
            let logLevel = object.optional(
                "logLevel", ConfigType<GatewayConfig.LogLevel>.choice, default: .info)
            let logFormat = object.optional(
                "logFormat", ConfigType<GatewayConfig.LogFormat>.choice, default: .text)
            let limits = object.optional("limits", limits, default: GatewayConfig.Limits())
            let tunnel = object.optional("tunnel", tunnel, default: GatewayConfig.Tunnel())
            let dns = object.optional("dns", dns, default: GatewayConfig.DNS())
            let directory = object.optional(
                "directory", directory, default: GatewayConfig.Directory())
            let http = object.optional("http", http)
            let auditFile = object.optional("audit", audit) ?? nil
            let slices = object.required(
                "slices", .list(of: slice.located, atMost: limits.maxSlices))
            guard let cluster, let slices else { return nil }
            checkApart(slices, object.log)
            return GatewayConfig(
                cluster: cluster, stateDirectory: stateDirectory, adminSocket: adminSocket,
                namespacePrefix: namespacePrefix, logLevel: logLevel, logFormat: logFormat,
                limits: limits, tunnel: tunnel, dns: dns, directory: directory, http: http,
                auditFile: auditFile ?? inside(stateDirectory, GatewayConfig.defaultAuditName),
                slices: slices.compactMap { $0.value.finished(for: cluster, object.log) })
        }
    }

    /// With a slice's name of up to 63 bytes after it, it stays a name for `ip netns`.
    private static var namespacePrefix: ConfigType<String> {
        ConfigType<String>.string(1...32).checked { text in
            text.utf8.allSatisfy {
                97...122 ~= $0 || 65...90 ~= $0 || 48...57 ~= $0 || $0 == 45 || $0 == 95
            }
                ? nil : "may have letters, digits, dashes and underscores only"
        }
    }

    private static var limits: ConfigType<GatewayConfig.Limits> {
        .object { object in
            var limits = GatewayConfig.Limits()
            limits.maxSlices = object.optional(
                "maxSlices", .int(1...64), default: limits.maxSlices)
            limits.maxEndpointsPerSlice = object.optional(
                "maxEndpointsPerSlice", .int(1...65536), default: limits.maxEndpointsPerSlice)
            limits.stagedPackets = object.optional(
                "stagedPackets", .int(1...4096), default: limits.stagedPackets)
            return limits
        }
    }

    private static var tunnel: ConfigType<GatewayConfig.Tunnel> {
        .object { object in
            var tunnel = GatewayConfig.Tunnel()
            tunnel.queues = object.optional("queues", queues) ?? nil
            tunnel.cpus = object.optional(
                "cpus", .list(of: .int(0...1023), atMost: 64), default: [])
            tunnel.busyPoll = object.optional(
                "busyPoll", .duration(.seconds(0) ... .milliseconds(10)),
                default: tunnel.busyPoll)
            tunnel.sparseDSCP = object.optional(
                "sparseDSCP", .int(0...63), default: tunnel.sparseDSCP)
            return tunnel
        }
    }

    private static var queues: ConfigType<Int?> {
        .parsed("auto, or a number from 1 to 16") { text in
            if text == "auto" { return .some(nil) }
            guard text.utf8.first != 48, let count = Int(text), 1...16 ~= count else { return nil }
            return .some(count)
        }
    }

    private static var slice: ConfigType<SliceDraft> {
        .object { object in
            object.refuse(
                "privateKey",
                "keys do not belong in this file, which others may read: put the key in a file of "
                    + "its own and name it in privateKeyFile")
            return SliceDraft(
                manifest: object.required("manifest", ConfigType<String>.absolutePath.located),
                owner: object.required("owner", .ownerKey),
                privateKeyFile: object.required(
                    "privateKeyFile", ConfigType<String>.absolutePath.located),
                presharedKeys: object.optional(
                    "presharedKeys",
                    .map(
                        of: ConfigType<ClusterName>.name, to: ConfigType<String>.absolutePath,
                        atMost: ManifestLimits.clusters),
                    default: []),
                listenPort: object.optional(
                    "listenPort", ConfigType<UInt16>.int(1...65535).located),
                endpoints: object.optional(
                    "endpoints", .list(of: endpoint.located, atMost: 65536), default: []))
        }
    }

    private static var endpoint: ConfigType<GatewayConfig.Endpoint> {
        .object { object in
            let namespace: NamespaceName? = object.required("namespace", .name)
            let name: EndpointName? = object.required("name", .name)
            let references = [
                object.optional("netns", .netns), object.optional("path", .namespacePath),
                object.optional("pid", .pid),
            ]
            let labels = object.optional("labels", .labels) ?? .none
            let given = ["netns", "path", "pid"].filter(object.has)
            if given.count != 1 {
                object.log.report(
                    object.node.start, object.path,
                    given.isEmpty
                        ? "say which network namespace it is: give netns, path or pid"
                        : "\(given.joined(separator: " and ")) together: give one of them")
                return nil
            }
            guard let namespace, let name, let reference = references.compactMap({ $0 }).first
            else {
                return nil
            }
            return GatewayConfig.Endpoint(
                namespace: namespace, name: name, reference: reference, labels: labels)
        }
    }

    /// What two slices may not share: each is one WireGuard interface with a key and a port of
    /// its own.
    private static func checkApart(_ slices: [Located<SliceDraft>], _ log: ConfigLog) {
        var manifests: [String: Int] = [:]
        var keys: [String: Int] = [:]
        var ports: [UInt16: Int] = [:]
        for slice in slices.map(\.value) {
            once(slice.manifest, &manifests, log) { "the manifest \(printable($0))" }
            once(slice.privateKeyFile, &keys, log) {
                "the private key \(printable($0)) (each slice needs its own)"
            }
            once(slice.listenPort, &ports, log) { "the port \($0)" }
        }
    }

    static func once<Value: Hashable>(
        _ value: Located<Value>?, _ seen: inout [Value: Int], _ log: ConfigLog,
        _ what: (Value) -> String
    ) {
        guard let value else { return }
        if let line = seen[value.value] {
            log.report(value, "\(what(value.value)) is used twice, first on line \(line)")
        } else {
            seen[value.value] = value.mark.line
        }
    }
}

private struct SliceDraft {
    var manifest: Located<String>?
    var owner: OwnerPublicKey?
    var privateKeyFile: Located<String>?
    var presharedKeys: [(key: Located<ClusterName>, value: String)]
    var listenPort: Located<UInt16>?
    var endpoints: [Located<GatewayConfig.Endpoint>]

    func finished(for cluster: ClusterName, _ log: ConfigLog) -> GatewayConfig.Slice? {
        for entry in presharedKeys where entry.key.value == cluster {
            log.report(entry.key, "`\(cluster)` is this cluster itself: name the other one")
        }
        var names: [AddressBook.Key: Int] = [:]
        var references: [EndpointReference: Int] = [:]
        for endpoint in endpoints {
            let key = AddressBook.Key(endpoint.value.namespace, endpoint.value.name)
            let place = Located(key, mark: endpoint.mark, path: endpoint.path)
            GatewayConfigReader.once(place, &names, log) { "the endpoint \($0)" }
            let reference = Located(
                endpoint.value.reference, mark: endpoint.mark, path: endpoint.path)
            GatewayConfigReader.once(reference, &references, log) {
                "the network namespace \(printable($0.description))"
            }
        }
        guard let manifest, let owner, let privateKeyFile else { return nil }
        return GatewayConfig.Slice(
            manifest: manifest.value, owner: owner, privateKeyFile: privateKeyFile.value,
            presharedKeyFiles: presharedKeys.map { ($0.key.value, $0.value) }
                .sorted { $0.0 < $1.0 }
                .map { GatewayConfig.PresharedKeyFile(cluster: $0.0, path: $0.1) },
            listenPort: listenPort?.value, endpoints: endpoints.map(\.value))
    }
}

extension ConfigType where Value == EndpointReference {
    fileprivate static var netns: ConfigType {
        ConfigType<String>.string(1...255)
            .checked {
                EndpointReference(netns: $0) == nil
                    ? "must be a name as `ip netns` shows it, not a path" : nil
            }
            .compactMap { EndpointReference(netns: $0) }
    }

    fileprivate static var namespacePath: ConfigType {
        ConfigType<String>.absolutePath
            .checked {
                EndpointReference(path: $0) == nil
                    ? "must be the absolute path of a network namespace" : nil
            }
            .compactMap { EndpointReference(path: $0) }
    }

    fileprivate static var pid: ConfigType {
        ConfigType<Int32>.int(1...Int32.max).compactMap { EndpointReference(pid: $0) }
    }
}
