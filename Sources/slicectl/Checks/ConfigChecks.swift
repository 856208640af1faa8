import AdminAPI
import Addresses
import ConfigFile
import Glibc
import LinuxNet
import Noise
import SliceModel

/// Goes through a gateway.conf as the daemon will, and reports instead of acting.
struct ConfigChecks {
    typealias Check = DoctorReport.Check

    /// Then its ports are taken, and that is as it should be.
    var isRunning: Bool

    func all(file: String) -> [Check] {
        let config: GatewayConfig
        do {
            config = try GatewayConfig.parse(text: try Input.text(file), file: file)
        } catch let error as ConfigProblems {
            return error.problems.map {
                Check("gateway.conf", .fail, seen: $0.description, advice: "mend the file")
            }
        } catch {
            return [failure("gateway.conf", error)]
        }
        var checks = [
            Check(
                "gateway.conf", .ok,
                seen: "cluster \(config.cluster), \(config.slices.count) slice"
                    + (config.slices.count == 1 ? "" : "s"))
        ]
        checks.append(stateDirectory(config.stateDirectory))
        var ports: [UInt16: String] = [:]
        for slice in config.slices { checks += self.slice(slice, config, &ports) }
        return checks
    }

    private func failure(
        _ name: String, _ error: any Error, advice: String? = nil
    ) -> Check {
        let failure = Failure(error)
        return Check(name, .fail, seen: failure.message, advice: failure.hint ?? advice)
    }

    /// The daemon makes it; what is above must allow that.
    private func stateDirectory(_ path: String) -> Check {
        var info = stat()
        guard stat(path, &info) == 0 else {
            guard errno == ENOENT else {
                return failure("state directory", LinuxError("use", path, errno: errno))
            }
            return Check("state directory", .ok, seen: "\(path) will be made")
        }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            return failure("state directory", LinuxError("use", path, errno: ENOTDIR))
        }
        guard info.st_mode & 0o077 == 0 else {
            return Check(
                "state directory", .warn, seen: "\(path) is open to others",
                advice: "chmod 700 \(path)")
        }
        guard access(path, W_OK) == 0 else {
            return failure("state directory", LinuxError("write to", path, errno: errno))
        }
        return Check("state directory", .ok, seen: path)
    }

    private func slice(
        _ slice: GatewayConfig.Slice, _ config: GatewayConfig, _ ports: inout [UInt16: String]
    ) -> [Check] {
        let manifest: SliceManifest
        do {
            manifest = try SliceManifest.parse(
                text: try Input.manifest(slice.manifest), file: slice.manifest)
        } catch let error as ConfigProblems {
            return error.problems.map {
                Check("manifest", .fail, seen: $0.description, advice: "mend and sign it again")
            } + [privateKey(slice, nil, "private key")]
        } catch {
            return [
                failure("manifest", error, advice: "put the signed manifest there"),
                privateKey(slice, nil, "private key"),
            ]
        }
        let name = "slice \(manifest.name)"
        var checks = [signature(manifest, slice, name)]
        let plan: SlicePlan
        do throws(SlicePlanProblem) {
            plan = try SlicePlan(manifest, local: config.cluster, listenPort: slice.listenPort)
        } catch {
            checks.append(
                Check(
                    name, .fail, seen: error.description,
                    advice: "correct `cluster` in gateway.conf, or add it to the manifest"))
            return checks + [privateKey(slice, nil, "\(name): private key")]
        }
        checks.append(privateKey(slice, plan.publicKey, "\(name): private key"))
        checks += slice.presharedKeyFiles.map { presharedKey($0, plan, name) }
        checks.append(port(plan.listenPort, name, &ports))
        checks += plan.peers.map { peer($0, name) }
        checks += slice.endpoints.map { endpoint($0, manifest, config.cluster, name) }
        return checks
    }

    private func signature(
        _ manifest: SliceManifest, _ slice: GatewayConfig.Slice, _ name: String
    ) -> Check {
        do throws(SignatureProblem) {
            try manifest.verify(owner: slice.owner)
            return Check(
                "\(name): manifest", .ok, seen: "version \(manifest.version), signed by its owner")
        } catch {
            return Check(
                "\(name): manifest", .fail, seen: "\(slice.manifest): \(error.words)",
                advice: error.hint)
        }
    }

    private func privateKey(
        _ slice: GatewayConfig.Slice, _ expected: PublicKey?, _ name: String
    ) -> Check {
        do {
            let bytes = try SecretFile.read(slice.privateKeyFile)
            guard let key = KeyFile.privateKey(String(decoding: bytes, as: UTF8.self)) else {
                return Check(
                    name, .fail, seen: "\(slice.privateKeyFile) holds no private key",
                    advice: "make one: slicectl keygen --output \(slice.privateKeyFile)")
            }
            guard let expected, key.publicKey != expected else {
                return Check(name, .ok, seen: "\(slice.privateKeyFile), private")
            }
            return Check(
                name, .fail,
                seen: "its public half is \(key.publicKey), the manifest has \(expected)",
                advice: "put the right key there, or the right public key into the manifest")
        } catch {
            return failure(name, error)
        }
    }

    private func presharedKey(
        _ file: GatewayConfig.PresharedKeyFile, _ plan: SlicePlan, _ slice: String
    ) -> Check {
        let name = "\(slice): pre-shared key"
        guard plan.peers.contains(where: { $0.cluster == file.cluster }) else {
            return Check(
                name, .fail, seen: "the slice has no cluster \(file.cluster)",
                advice: "correct presharedKeys in gateway.conf")
        }
        do {
            let bytes = try SecretFile.read(file.path)
            guard KeyFile.presharedKey(String(decoding: bytes, as: UTF8.self)) != nil else {
                return Check(
                    name, .fail, seen: "\(file.path) holds no key",
                    advice: "make one: slicectl keygen --preshared --output \(file.path)")
            }
            return Check(name, .ok, seen: "with \(file.cluster): \(file.path), private")
        } catch {
            return failure(name, error)
        }
    }

    private func port(
        _ port: UInt16, _ slice: String, _ ports: inout [UInt16: String]
    ) -> Check {
        let name = "\(slice): UDP port"
        if let other = ports[port] {
            return Check(
                name, .fail, seen: "\(port) is also that of \(other)",
                advice: "give one of them another listenPort in gateway.conf")
        }
        ports[port] = slice
        do throws(LinuxError) {
            _ = try UDPSocket(port: port)
            return Check(name, .ok, seen: "\(port) is free")
        } catch {
            if error.errno == EADDRINUSE, isRunning {
                return Check(name, .ok, seen: "\(port) is in use, while a gateway runs here")
            }
            if error.errno == EADDRINUSE {
                return Check(
                    name, .fail, seen: "\(port) is in use",
                    advice: "see who has it: ss -ulpn sport = :\(port)")
            }
            return failure(name, error)
        }
    }

    private func peer(_ peer: SlicePlan.Peer, _ slice: String) -> Check {
        let name = "\(slice): peer \(peer.cluster)"
        guard let endpoint = peer.endpoints.first else {
            return Check(name, .ok, seen: "it calls this gateway")
        }
        let address: IPAddress
        switch endpoint {
        case .address(let place): address = place.address
        case .host(let host, _):
            switch Resolver.resolve(host) {
            case .success(let found): address = found
            case .failure(let error):
                return Check(
                    name, .fail, seen: error.description,
                    advice: "correct the name in the manifest, or the host's name resolution")
            }
        }
        do throws(LinuxError) {
            let route = try Netlink().lookUpRoute(to: address)
            var check = HostChecks.mtu(
                Int(route.mtu), by: route.interface, toIPv6: !address.isIPv4, name)
            check.seen = "\(endpoint) \(check.seen)"
            return check
        } catch {
            return Check(
                name, .fail, seen: "there is no route to \(endpoint)",
                advice: "look at: ip route get \(address)")
        }
    }

    private func endpoint(
        _ endpoint: GatewayConfig.Endpoint, _ manifest: SliceManifest, _ cluster: ClusterName,
        _ slice: String
    ) -> Check {
        let name = "\(slice): endpoint \(endpoint.namespace)/\(endpoint.name)"
        guard manifest.admits(endpoint.namespace, in: cluster) else {
            return Check(
                name, .fail, seen: "the manifest lets no namespace \(endpoint.namespace) in here",
                advice: "add it to spec.namespaces and sign, or correct gateway.conf")
        }
        do throws(LinuxError) {
            _ =
                switch endpoint.reference {
                case .netns(let netns): try NetworkNamespace.named(netns)
                case .path(let path): try NetworkNamespace(path: path)
                case .pid(let pid): try NetworkNamespace(pid: pid)
                }
            return Check(name, .ok, seen: "\(endpoint.reference)")
        } catch {
            return Check(
                name, .warn, seen: "\(endpoint.reference) is not there yet",
                advice: "the gateway attaches it when it appears")
        }
    }
}
