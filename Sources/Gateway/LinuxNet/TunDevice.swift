import CLinux
import Glibc
import Synchronization

/// A TUN device: a layer-3 interface whose packets come and go through file descriptors of ours
/// (Documentation/networking/tuntap.rst).
package final class TunDevice: Sendable {
    package struct Offloads: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let checksum = Offloads(rawValue: 1)
        package static let tso4 = Offloads(rawValue: 2)
        package static let tso6 = Offloads(rawValue: 4)
        package static let tsoECN = Offloads(rawValue: 8)
        /// UDP segmentation of both families: the kernel takes both or none (Linux 6.2).
        package static let uso = Offloads(rawValue: 16)
        package static let tcp: Offloads = [.checksum, .tso4, .tso6, .tsoECN]
        package static let all: Offloads = [.tcp, .uso]
    }

    package struct Options: Sendable {
        /// A name, or a pattern such as `slice%d`.
        package var name: String
        package var queues = 1
        /// Each packet is preceded by a virtio_net_hdr (virtio 1.2 section 5.1.6).
        package var vnetHeader = true
        package var vnetHeaderSize: Int32 = 10
        package var offloads: Offloads = .all
        /// Refuse to take over a device that is there already.
        package var exclusive = false
        /// The device, its routes and what flows through it outlive this process.
        package var persistent = false

        package init(name: String) { self.name = name }
    }

    package static let path = "/dev/net/tun"
    /// MAX_TAP_QUEUES of the kernel's tun driver.
    package static let maximumQueues = 256

    /// One non-blocking descriptor per queue.
    package let queues: [Int32]
    package let name: String
    package let index: Int32
    /// Those that the kernel accepted.
    package let offloads: Offloads
    package let hasVnetHeader: Bool
    /// The namespace in which the device was made.
    package let namespace: NetworkNamespace
    private let isClosed = Atomic<Bool>(false)

    package var fd: Int32 { queues[0] }

    /// Makes the device, or takes over a persistent one of that name, in `namespace` or that of
    /// the calling thread. EBUSY if another process has it.
    package init(
        _ options: Options, in namespace: NetworkNamespace? = nil
    ) throws(LinuxError) {
        let here: NetworkNamespace
        if let namespace { here = namespace } else { here = try .current() }
        guard (1...Self.maximumQueues).contains(options.queues) else {
            throw LinuxError(
                "attach", "TUN device \(options.name)", errno: EINVAL,
                detail: "1 to \(Self.maximumQueues) queues")
        }
        // The descriptor belongs to the namespace of the thread that opens /dev/net/tun.
        let made = try here.perform { () throws(LinuxError) in try Self.attach(options) }
        queues = made.queues
        name = made.name
        index = made.index
        offloads = made.offloads
        hasVnetHeader = options.vnetHeader
        self.namespace = here
    }

    deinit { close() }

    /// Lets go of the device, which ends unless it is persistent.
    package func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        for fd in queues { Glibc.close(fd) }
    }

    package func setPersistent(_ on: Bool) throws(LinuxError) {
        try check(
            clinux_tun_set_persistent(fd, on), on ? "keep" : "release", "TUN device \(name)")
    }

    private struct Made {
        var queues: [Int32] = []
        var name = ""
        var index: Int32 = 0
        var offloads: Offloads = []
    }

    private static func attach(_ options: Options) throws(LinuxError) -> Made {
        var made = Made()
        made.name = options.name
        do {
            for number in 0..<options.queues {
                let fd = Int32(
                    try check(
                        system { Int(open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)) }, "open", path))
                made.queues.append(fd)
                made.name = try attach(fd, made.name, options, isFirst: number == 0)
                if options.vnetHeader {
                    try check(
                        clinux_tun_set_vnet_header_size(fd, options.vnetHeaderSize),
                        "set the packet header of", "TUN device \(made.name)")
                }
            }
            made.offloads = try enable(options, made)
            made.index = try Netlink().index(of: made.name)
            if options.persistent, let fd = made.queues.first {
                try check(
                    clinux_tun_set_persistent(fd, true), "keep", "TUN device \(made.name)")
            }
            return made
        } catch {
            for fd in made.queues { Glibc.close(fd) }
            throw error
        }
    }

    /// Returns the actual name.
    private static func attach(
        _ fd: Int32, _ name: String, _ options: Options, isFirst: Bool
    ) throws(LinuxError) -> String {
        let object = "TUN device \(name)"
        guard Netlink.isInterfaceName(name) else {
            throw LinuxError(
                "attach", object, errno: EINVAL,
                detail: "an interface name is 1 to 15 bytes without `/`, `:` or white space")
        }
        let bits = clinux_tun_feature_bits()
        var flags = bits.tun | bits.no_packet_info
        if options.vnetHeader { flags |= bits.vnet_header }
        if options.queues > 1 { flags |= bits.multi_queue }
        if options.exclusive, isFirst { flags |= bits.exclusive }
        var buffer = Array(name.utf8.map(CChar.init(bitPattern:)))
        buffer += Array(repeating: 0, count: 16 - buffer.count)
        let result = buffer.withUnsafeMutableBufferPointer {
            clinux_tun_attach(fd, $0.baseAddress, flags)
        }
        try check(
            result, "attach", object,
            detail: result == -EINVAL
                ? "a device of that name exists and is of another kind or has other queues" : nil)
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// All that were asked for, or without USO on kernels older than 6.2.
    private static func enable(_ options: Options, _ made: Made) throws(LinuxError) -> Offloads {
        guard options.vnetHeader, let fd = made.queues.first else { return [] }
        let wanted = options.offloads
        for candidate in [wanted, wanted.subtracting(.uso), []] {
            let result = clinux_tun_set_offload(fd, candidate.bits)
            if result == 0 { return candidate }
            if result != -EINVAL {
                try check(result, "set the offloads of", "TUN device \(made.name)")
            }
        }
        return []
    }
}

extension TunDevice.Offloads {
    /// As TUNSETOFFLOAD wants them. TSO without checksum offload is refused by the kernel.
    fileprivate var bits: UInt32 {
        let names = clinux_tun_offload_bits()
        var bits: UInt32 = 0
        if contains(.checksum) { bits |= names.checksum }
        if contains(.tso4) { bits |= names.tso4 }
        if contains(.tso6) { bits |= names.tso6 }
        if contains(.tsoECN) { bits |= names.tso_ecn }
        if contains(.uso) { bits |= names.uso4 | names.uso6 }
        return bits
    }
}
