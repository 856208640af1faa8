import CLinux

/// What the calling thread may do beyond its user (capabilities(7)).
package struct Capabilities: Hashable, Sendable {
    package enum Capability: Int, CaseIterable, Sendable {
        case netBindService = 10
        case netAdmin = 12
        case netRaw = 13
        case sysPtrace = 19
        case sysAdmin = 21

        /// As capabilities(7) and systemd write it.
        package var name: String {
            switch self {
            case .netBindService: "CAP_NET_BIND_SERVICE"
            case .netAdmin: "CAP_NET_ADMIN"
            case .netRaw: "CAP_NET_RAW"
            case .sysPtrace: "CAP_SYS_PTRACE"
            case .sysAdmin: "CAP_SYS_ADMIN"
            }
        }
    }

    package let bits: UInt64

    package init(bits: UInt64) { self.bits = bits }

    package static func effective() throws(LinuxError) -> Capabilities {
        var bits: UInt64 = 0
        try check(clinux_effective_capabilities(&bits), "read", "the capabilities of this thread")
        return Capabilities(bits: bits)
    }

    package func has(_ capability: Capability) -> Bool { bits >> capability.rawValue & 1 == 1 }

    package func missing(_ wanted: [Capability]) -> [Capability] { wanted.filter { !has($0) } }
}
