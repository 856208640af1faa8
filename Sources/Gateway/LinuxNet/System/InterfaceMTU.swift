import CLinux
import Glibc

/// The MTU of one interface of the network namespace of the thread that makes this, which
/// anybody may change with `ip link`.
package final class InterfaceMTU: Sendable {
    /// Readable when some interface has changed.
    package let fd: Int32
    private let name: String

    package init(of name: String) throws(LinuxError) {
        self.name = name
        fd = clinux_link_events()
        if fd < 0 { throw LinuxError("watch", "interface \(name)", errno: -fd) }
    }

    deinit { close(fd) }

    /// Clears `fd` and reads the MTU; nil when the interface is gone.
    package func read() -> Int? {
        clinux_drain(fd)
        let mtu = clinux_interface_mtu(name)
        return mtu > 0 ? Int(mtu) : nil
    }
}
