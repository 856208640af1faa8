import Addresses
import LinuxNet
import Logging
import SliceDNS
import SliceDirectory
import SliceModel
import Timing

// DNS of a slice: its server, and what endpoints find it by.
extension SliceWorker {
    var zoneName: ZoneName { ZoneName(environment.dns.zone) ?? .standard }

    func openNames(_ number: Int) async {
        guard number == generation, let running, environment.dns.isEnabled,
            running.membership.names == nil
        else { return }
        let table = nameTable(running)
        running.membership.table = table
        var options = NameServer.Options()
        options.forwarders = environment.dns.forwarders
        do {
            let server = try await NameServer.start(
                in: running.router.namespace, addresses: running.plan.overlayAddresses,
                zone: SliceZone(table), options: options, group: environment.group,
                logger: logger)
            guard number == generation, let running = self.running else {
                return await server.stop()
            }
            running.membership.names = server
            running.membership.table = nil
            refreshNames(running)
        } catch {
            logger.error("names are not answered: \(error)")
            if number == generation {
                self.running?.membership.problem = "names are not answered: \(error)"
            }
        }
    }

    /// Another zone, if anything that is answered has changed.
    func refreshNames(_ running: Running) {
        let membership = running.membership
        guard let server = membership.names else { return }
        if server.addresses != running.plan.overlayAddresses {
            let number = generation
            membership.names = nil
            Task {
                await server.stop()
                await openNames(number)
            }
            return
        }
        var table = nameTable(running)
        table.serial = membership.serial
        guard table != membership.table else { return }
        membership.serial &+= 1
        table.serial = membership.serial
        membership.table = table
        server.replace(SliceZone(table))
    }

    private func nameTable(_ running: Running) -> NameTable {
        let membership = running.membership
        let manifest = running.inputs.manifest
        var clusters: [NameTable.Cluster] = []
        for cluster in manifest.clusters.sorted(by: { $0.name < $1.name }) {
            var entry = NameTable.Cluster(
                cluster.name, rttMicroseconds: membership.distances.rttMicroseconds(cluster.name),
                overlayAddresses: cluster.overlayAddresses)
            if cluster.name == environment.cluster {
                entry.endpoints = membership.endpoints
                entry.services = membership.services
            } else if let view = membership.view?[cluster.name] {
                entry.isStale = view.state != .fresh
                entry.endpoints = view.sortedEndpoints.filter {
                    manifest.admits($0.key.namespace, in: cluster.name)
                }
                entry.services = view.sortedServices.filter {
                    manifest.admits($0.key.namespace, in: cluster.name)
                }
            }
            entry.services.removeAll { membership.hidden.contains($0.key) }
            clusters.append(entry)
        }
        return NameTable(
            slice: manifest.name, zone: zoneName, local: environment.cluster,
            clusters: clusters, prefixes: manifest.prefixes)
    }

    /// A round trip was measured.
    func noteDistance(_ cluster: ClusterName, _ time: Nanoseconds, _ running: Running) {
        let microseconds = UInt64(max(0, time.count)) / 1_000
        if running.membership.distances.measured(cluster, rttMicroseconds: microseconds) {
            refreshNames(running)
        }
    }

    // MARK: resolv.conf

    /// For endpoints that `ip netns` knows by name: programs started there find the slice's names.
    func applyResolvConfs(_ running: Running) {
        guard environment.dns.isEnabled, environment.dns.writesResolvConf else { return }
        let membership = running.membership
        var wanted: [String: NamespaceName] = [:]
        for endpoint in attached.values where endpoint.problem == nil {
            if case .netns(let name) = endpoint.reference { wanted[name] = endpoint.key.namespace }
        }
        for name in membership.resolvConfs.keys.sorted() where wanted[name] == nil {
            removeResolvConf(name, running)
        }
        for (name, namespace) in wanted.sorted(by: { $0.key < $1.key }) {
            let file = ResolvConf(
                slice: running.plan.slice, namespace: namespace, zone: zoneName,
                servers: running.plan.overlayAddresses)
            do {
                switch try file.apply(netns: name, in: environment.netnsConfiguration) {
                case .foreign(let path):
                    if membership.foreignResolvConfs.insert(name).inserted {
                        logger.notice("\(path) is somebody else's: it is left as it is")
                    }
                default: membership.resolvConfs[name] = namespace
                }
            } catch {
                if membership.foreignResolvConfs.insert(name).inserted {
                    logger.warning("\(name) does not find the slice's names: \(error)")
                }
            }
        }
        membership.foreignResolvConfs = membership.foreignResolvConfs.filter { wanted[$0] != nil }
    }

    func removeResolvConf(_ name: String, _ running: Running) {
        _ = try? ResolvConf.remove(
            slice: running.plan.slice, netns: name, in: environment.netnsConfiguration)
        running.membership.resolvConfs[name] = nil
    }
}
