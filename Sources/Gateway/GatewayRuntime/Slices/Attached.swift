import LinuxNet
import SliceModel

extension SliceWorker {
    /// One endpoint: who it is, and which network namespace.
    struct Attached {
        var key: AddressBook.Key
        var reference: EndpointReference
        var interface: String?
        /// In gateway.conf, rather than attached through the admin interface.
        var isConfigured: Bool
        /// Which namespace it was when it was last seen.
        var identity: NetworkNamespace.Identity?
        /// The kernel's number of that namespace, where the kernel has one (Linux 5.14).
        var cookie: UInt64?
        var labels = EndpointLabels.none
        /// Who asked for it, if it was a program that takes it back by this word.
        var owner: String?
        var boot = SliceState.bootID
        var problem: String?
        /// Its namespace is not there, or another one is in its place. Then, and only then, the
        /// others are told that it has gone.
        var isAway = false

        /// Whether the namespace that the reference leads to may take this place. People point at
        /// names, and whatever has the name is meant; a process number and a container are not
        /// names, and mean the namespace that they meant at first.
        func isStill(_ namespace: NetworkNamespace, cookie now: UInt64?) -> Bool {
            if owner == nil {
                guard case .pid = reference else { return true }
            }
            if let cookie, let now { return cookie == now }
            return identity.map { $0 == namespace.identity } ?? true
        }
    }

    static func text(of hardwareAddress: [UInt8]) -> String {
        hardwareAddress.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined(separator: ":")
    }
}
