import AdminAPI
import Addresses
import Glibc
import LinuxNet
import Noise
import SliceModel
import Timing
import Tunnel

/// What on this host would stop the gateway, or already does.
enum Doctor {
    typealias Check = DoctorReport.Check

    static func examine(_ daemon: GatewayDaemon) async -> DoctorReport {
        var report = DoctorReport(checks: host())
        let config = await daemon.config
        report.checks.append(stateDirectory(config.stateDirectory))
        for worker in await daemon.workers { report.checks += await worker.doctor() }
        return report
    }

    /// What does not depend on the configuration.
    static func host() -> [Check] {
        var checks = [kernel(), capabilities()]
        for probe in KernelFeatures.all() where probe.name != "user namespaces" {
            checks.append(
                Check(
                    probe.name, probe.isAvailable ? .ok : .fail, seen: probe.detail,
                    advice: probe.isAvailable
                        ? nil : "load the module, or use a kernel that was built with it"))
        }
        checks.append(clock())
        checks.append(cipher())
        return checks
    }

    private static func kernel() -> Check {
        let release = KernelFeatures.kernelRelease()
        guard let version = KernelFeatures.version(of: release), version >= (5, 4) else {
            return Check(
                "kernel", .warn, seen: "Linux \(release)",
                advice: "5.4 or newer is what this is tested with")
        }
        return Check("kernel", .ok, seen: "Linux \(release)")
    }

    private static func capabilities() -> Check {
        guard let missing = try? Capabilities.effective().missing(Preconditions.capabilities)
        else { return Check("capabilities", .warn, seen: "cannot be read") }
        return missing.isEmpty
            ? Check(
                "capabilities", .ok,
                seen: Preconditions.capabilities.map(\.name).joined(separator: ", "))
            : Check(
                "capabilities", .fail,
                seen: "without \(missing.map(\.name).joined(separator: ", "))",
                advice: "run as root, or under the systemd unit")
    }

    /// A handshake's timestamp may never go back (WireGuard paper, section 5.1): a clock that
    /// lost its time makes peers refuse this gateway.
    private static func clock() -> Check {
        // 2025-01-01, before which no release of this was built.
        let floor: Int64 = 1_735_689_600
        let now = WallClock.now().nanosecondsSince1970 / 1_000_000_000
        return now >= floor
            ? Check("clock", .ok, seen: "\(now) seconds since 1970")
            : Check(
                "clock", .fail, seen: "\(now) seconds since 1970, which is in the past",
                advice: "set the clock (timedatectl): peers refuse handshakes from the past")
    }

    /// Nothing stops without it; it is the largest part of what a packet costs.
    private static func cipher() -> Check {
        let aes = TransportSuite.aesGCM.isAvailable ? "" : "; no AES instructions for `cipher`"
        guard TransportCipher.canWiden else {
            return Check(
                "cipher", .ok, seen: "libsodium (\(TransportCipher.description))\(aes)",
                advice: "on x86-64 with AVX2, libipsec-mb1 lets a tunnel carry half as much again")
        }
        return Check("cipher", .ok, seen: TransportCipher.description + aes)
    }

    private static func stateDirectory(_ path: String) -> Check {
        var info = stat()
        guard stat(path, &info) == 0 else {
            return Check(
                "state directory", .fail, seen: "\(path) cannot be inspected",
                advice: "make it, readable by root only")
        }
        guard info.st_mode & 0o077 == 0 else {
            return Check(
                "state directory", .warn, seen: "\(path) is open to others",
                advice: "run `chmod 700 \(path)`")
        }
        return Check("state directory", .ok, seen: path)
    }
}

extension SliceWorker {
    func doctor() -> [DoctorReport.Check] {
        let slice = name?.text ?? config.manifest
        var checks: [DoctorReport.Check] = []
        func check(
            _ name: String, _ verdict: DoctorReport.Verdict, _ seen: String, _ advice: String? = nil
        ) {
            checks.append(.init("\(slice): \(name)", verdict, seen: seen, advice: advice))
        }
        for path in [config.privateKeyFile] + config.presharedKeyFiles.map(\.path) {
            do {
                var bytes = try SecretFile.read(path, limitBytes: 4096)
                for index in bytes.indices { bytes[index] = 0 }
                check("key file", .ok, "\(path) is readable by root only")
            } catch {
                check("key file", .fail, "\(error)", error.hint ?? "make it again")
            }
        }
        guard let running else {
            for failure in failures { check("start", .fail, failure, "mend it: it is tried again") }
            return checks
        }
        for failure in failures + routerFailures {
            check("state", .warn, failure, "see the daemon's log")
        }
        check("UDP port", .ok, "\(running.plan.listenPort) is ours")
        guard let (device, drops) = try? running.tunnel.waitForStatus() else {
            check("tunnel", .fail, "its control thread does not answer", "restart the daemon")
            return checks
        }
        let netlink = try? Netlink()
        for peer in running.plan.peers {
            for endpoint in peer.endpoints {
                guard let entry = running.resolutions[endpoint] else { continue }
                if let problem = entry.problem {
                    check(
                        "name", .fail, problem, "mend the name, or put an address into the manifest"
                    )
                } else if !entry.addresses.isEmpty {
                    check("name", .ok, "\(endpoint) is \(entry.addresses[0])")
                }
            }
            let current = device.peers.first { $0.publicKey == peer.publicKey }
            if let problem = problem(peer, current, running) {
                check(
                    "peer \(peer.cluster)", .warn, problem,
                    "check that UDP gets there, and that its gateway runs this manifest")
            } else {
                check("peer \(peer.cluster)", .ok, "there is a session")
            }
            guard let endpoint = current?.endpoint else { continue }
            do {
                let found = try netlink?.lookUpRoute(to: endpoint.address)
                let mtu = Int(found?.mtu ?? 0)
                let needed = running.mtu + (endpoint.address.isIPv4 ? 60 : 80)
                check(
                    "MTU to \(peer.cluster)", mtu >= needed ? .ok : .warn,
                    "\(mtu) on \(found?.interface ?? "?"), tunnel \(running.mtu)",
                    mtu >= needed ? nil : "packets to it are fragmented: raise the underlay's MTU")
            } catch {
                check("route to \(peer.cluster)", .fail, "\(error)", "add a route to it")
            }
        }
        if let replayed = drops.handshakes[.replayed], replayed > 0 {
            check(
                "clocks", .warn, "\(replayed) handshakes with an old timestamp were refused",
                "a peer's clock may have gone back: check it there")
        }
        return checks
    }
}
