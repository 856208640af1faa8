import AdminAPI
import Addresses
import Glibc
import LinuxNet
import SliceModel
import Timing

/// What this host lacks, found without a daemon and without a configuration.
enum HostChecks {
    typealias Check = DoctorReport.Check

    static func all(isRunning: Bool) -> [Check] {
        [kernel(), capabilities()] + features() + [
            clock(), fileDescriptors(), nameServers(), underlay(),
        ]
    }

    static func kernel() -> Check {
        let release = KernelFeatures.kernelRelease()
        guard let version = KernelFeatures.version(of: release) else {
            return Check("kernel", .warn, seen: "Linux \(release), of unknown version")
        }
        // UDP_GRO of Linux 5.0 is the newest thing that the packet path cannot do without.
        guard version >= (5, 0) else {
            return Check(
                "kernel", .fail, seen: "Linux \(release)", advice: "use Linux 5.0 or later")
        }
        return Check("kernel", .ok, seen: "Linux \(release)")
    }

    static func capabilities() -> Check {
        let wanted: [Capabilities.Capability] = [.netAdmin, .sysAdmin]
        do throws(LinuxError) {
            let missing = try Capabilities.effective().missing(wanted)
            guard missing.isEmpty else {
                return Check(
                    "capabilities", .fail,
                    seen: "without \(missing.map(\.name).joined(separator: ", "))",
                    advice: "ask again as root: what follows is what this user can see")
            }
            let names = wanted.map(\.name).joined(separator: ", ")
            return Check("capabilities", .ok, seen: names)
        } catch {
            return Check("capabilities", .warn, seen: error.description)
        }
    }

    /// What a gateway cannot do without fails; what makes it faster or is only for the demo warns.
    static func features() -> [Check] {
        [
            feature(KernelFeatures.namespaces(), .fail), feature(KernelFeatures.tun(), .fail),
            feature(KernelFeatures.veth(), .fail), feature(KernelFeatures.nftables(), .fail),
            feature(KernelFeatures.udpSegmentation(), .warn),
            feature(KernelFeatures.udpCoalescing(), .warn),
        ]
    }

    private static func feature(
        _ probe: KernelFeatures.Probe, _ otherwise: DoctorReport.Verdict
    ) -> Check {
        guard !probe.isAvailable else { return Check(probe.name, .ok, seen: probe.detail) }
        // The error carries its remedy behind the last semicolon.
        let parts = probe.detail.split(separator: ";", maxSplits: 1)
        let advice = parts.count == 2 ? String(parts[1].drop { $0 == " " }) : nil
        return Check(
            probe.name, otherwise, seen: parts.first.map(String.init) ?? "not available",
            advice: advice)
    }

    /// Handshakes carry the time (TAI64N), and a peer takes none older than the last one.
    static func clock() -> Check {
        let seconds = WallClock.now().nanosecondsSince1970 / 1_000_000_000
        // 2025-01-01 00:00 UTC.
        guard seconds > 1_735_689_600 else {
            return Check(
                "clock", .fail, seen: "it is before 2025, which it is not",
                advice: "set the time: peers refuse handshakes that are older than the last one")
        }
        return Check("clock", .ok, seen: "plausible")
    }

    static func fileDescriptors() -> Check {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let seen = limit.rlim_cur > 1 << 40 ? "unlimited" : "\(limit.rlim_cur)"
        guard limit.rlim_cur >= 1024 else {
            return Check(
                "open files", .warn, seen: "at most \(seen)",
                advice: "allow 1024 or more: LimitNOFILE= in the unit, or ulimit -n")
        }
        return Check("open files", .ok, seen: "at most \(seen)")
    }

    static func nameServers() -> Check {
        let text = (try? File.read("/etc/resolv.conf")).map { String(decoding: $0, as: UTF8.self) }
        let servers = (text ?? "").split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.first == "nameserver" && words.count > 1 ? String(words[1]) : nil
        }
        guard !servers.isEmpty else {
            return Check(
                "name resolution", .warn, seen: "/etc/resolv.conf names no server",
                advice: "give gateways by address in manifests, or mend /etc/resolv.conf")
        }
        return Check("name resolution", .ok, seen: servers.joined(separator: ", "))
    }

    /// Addresses for documentation (RFC 5737, RFC 3849): nothing is sent, only the routes of
    /// this host are looked up, and these go where most of the world goes.
    static func underlay() -> Check {
        for text in ["192.0.2.1", "2001:db8::1"] {
            guard let address = IPAddress(text), let netlink = try? Netlink(),
                let route = try? netlink.lookUpRoute(to: address)
            else { continue }
            return mtu(Int(route.mtu), by: route.interface, toIPv6: !address.isIPv4, "underlay")
        }
        return Check(
            "underlay", .warn, seen: "no default route",
            advice: "a route to each of the other gateways is enough; --config checks them")
    }

    static func mtu(
        _ underlay: Int, by interface: String, toIPv6 isIPv6: Bool, _ name: String
    ) -> Check {
        let tunnel = SlicePlan.tunnelMTU(
            underlay: underlay, outerIsIPv6: isIPv6, innerHasIPv6: false)
        let seen = "through \(interface), MTU \(underlay), leaves \(tunnel) inside the tunnel"
        guard tunnel >= 1280 else {
            return Check(
                name, .warn, seen: seen,
                advice: "IPv6 inside needs 1280: packets between gateways will be fragmented")
        }
        return Check(name, .ok, seen: seen)
    }
}
