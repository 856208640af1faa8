import CLinux
import Glibc
import Synchronization

/// What this host can do of what a gateway needs. Each probe tries the real thing, in a network
/// namespace of its own where it leaves no trace.
package enum KernelFeatures {
    package struct Probe: Hashable, Sendable {
        package let name: String
        package let isAvailable: Bool
        /// What was found, or the error with its remedy.
        package let detail: String
    }

    package static func all() -> [Probe] {
        [
            namespaces(), tun(), veth(), nftables(), udpSegmentation(), udpCoalescing(),
            userNamespaces(),
        ]
    }

    package static func namespaces() -> Probe {
        probe("network namespaces") { () throws(LinuxError) in
            _ = try NetworkNamespace.anonymous()
            return "can be created"
        }
    }

    package static func tun() -> Probe {
        probe("TUN") { () throws(LinuxError) in
            let tun = try TunDevice(
                TunDevice.Options(name: "probe%d"), in: NetworkNamespace.anonymous())
            return switch tun.offloads {
            case .all: "with TCP and UDP segmentation offload"
            case .tcp: "with TCP segmentation offload; UDP needs Linux 6.2"
            default: "without offloads"
            }
        }
    }

    package static func veth() -> Probe {
        probe("veth") { () throws(LinuxError) in
            try Netlink(in: .anonymous()).createVethPair("probe0", peer: "probe1")
            return "can be created"
        }
    }

    package static func nftables() -> Probe {
        probe("nftables") { () throws(LinuxError) in
            try Nftables(in: .anonymous()).apply(
                """
                table inet probe {
                    chain forward {
                        type filter hook forward priority filter; policy accept;
                        ct state established,related counter accept
                    }
                }
                """)
            return "rulesets with connection tracking are accepted"
        }
    }

    // SOL_UDP with UDP_SEGMENT and UDP_GRO (linux/udp.h).
    package static func udpSegmentation() -> Probe {
        udpOption("UDP segmentation (GSO)", 103, 1_400, since: "4.18")
    }

    package static func udpCoalescing() -> Probe {
        udpOption("UDP coalescing (GRO)", 104, 1, since: "5.0")
    }

    /// Whether somebody without root could try this: what the demo asks.
    package static func userNamespaces() -> Probe {
        probe("user namespaces") { () throws(LinuxError) in
            try check(clinux_probe_user_namespace(), "create", "user namespace")
            return "can be created by this user"
        }
    }

    /// Such as `6.18.44`.
    package static func kernelRelease() -> String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: names.release) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The first two numbers of a release, such as (6, 18).
    package static func version(of release: String) -> (major: Int, minor: Int)? {
        let numbers = release.split(separator: ".", maxSplits: 2).prefix(2).map { part in
            Int(part.prefix { $0.isASCII && $0.isNumber })
        }
        guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        return (major, minor)
    }

    private static func udpOption(
        _ name: String, _ option: Int32, _ value: Int32, since: String
    ) -> Probe {
        probe(name) { () throws(LinuxError) in
            let kind = Int32(clinux_sock_dgram) | Int32(clinux_sock_cloexec)
            let fd = Int32(
                try check(system { Int(socket(AF_INET, kind, 0)) }, "open", "UDP socket"))
            defer { close(fd) }
            var value = value
            let size = socklen_t(MemoryLayout<Int32>.size)
            try check(
                system { Int(setsockopt(fd, 17, option, &value, size)) }, "use", name,
                detail: "needs Linux \(since)")
            return "accepted"
        }
    }

    private static func probe(_ name: String, _ body: () throws(LinuxError) -> String) -> Probe {
        do {
            return Probe(name: name, isAvailable: true, detail: try body())
        } catch {
            return Probe(name: name, isAvailable: false, detail: error.description)
        }
    }
}
