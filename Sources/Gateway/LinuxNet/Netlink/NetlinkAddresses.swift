import Addresses
import Glibc

// Addresses: `ip address`, without `ip`.
extension Netlink {
    /// All, or those of one interface.
    package func addresses(on name: String? = nil) throws(LinuxError) -> [InterfaceAddress] {
        var index: Int32 = 0
        if let name { index = try self.index(of: name) }
        var request = NetlinkRequest(RTM.getAddress, flags: NLM.dump)
        request.append(UInt32(0))
        request.append(index)
        let all = try dump(request, name.map { "addresses of \($0)" } ?? "addresses") {
            InterfaceAddress($0)
        }
        // Kernels before 4.20 ignore the index in the request.
        return index == 0 ? all : all.filter { $0.interfaceIndex == index }
    }

    /// EEXIST if it is there already.
    package func addAddress(
        _ address: InterfaceAddress, to name: String
    ) throws(LinuxError) {
        try changeAddress(
            RTM.newAddress, NLM.create | NLM.exclusive, address, name, "add address", "to")
    }

    /// Adds it, or changes the flags of the one that is there.
    package func replaceAddress(
        _ address: InterfaceAddress, on name: String
    ) throws(LinuxError) {
        try changeAddress(
            RTM.newAddress, NLM.create | NLM.replace, address, name, "set address", "on")
    }

    /// EADDRNOTAVAIL if it is not there.
    package func removeAddress(
        _ address: InterfaceAddress, from name: String
    ) throws(LinuxError) {
        try changeAddress(RTM.deleteAddress, 0, address, name, "remove address", "from")
    }

    private func changeAddress(
        _ type: UInt16, _ flags: UInt16, _ address: InterfaceAddress, _ name: String,
        _ operation: String, _ preposition: String
    ) throws(LinuxError) {
        let context = "\(preposition) \(name)"
        guard (0...address.address.bitWidth).contains(address.prefixLength) else {
            throw LinuxError(operation, "\(address)", context, errno: EINVAL)
        }
        let index = try self.index(of: name)
        var request = NetlinkRequest(type, flags: NLM.ack | flags)
        request.append(address.address.family)
        request.append(UInt8(address.prefixLength))
        request.append(UInt8(truncatingIfNeeded: address.flags.rawValue))
        request.append(Route.Scope.universe.rawValue)
        request.append(index)
        request.put(IFA.local, address.address)
        request.put(IFA.address, address.address)
        if !address.flags.isEmpty { request.put(IFA.flags, address.flags.rawValue) }
        try self.request(request, operation, "\(address)", context)
    }

    // MARK: Neighbours

    package func neighbours(on name: String? = nil) throws(LinuxError) -> [Neighbour] {
        var index: Int32 = 0
        if let name { index = try self.index(of: name) }
        var all: [Neighbour] = []
        for family in [Family.ipv4, Family.ipv6] {
            var request = NetlinkRequest(RTM.getNeighbour, flags: NLM.dump)
            request.append(UInt32(family))
            request.append(UInt64(0))
            all += try dump(request, "neighbours") { Neighbour($0) }
        }
        return index == 0 ? all : all.filter { $0.interfaceIndex == index }
    }

    /// EEXIST if there is an entry for the address.
    package func addNeighbour(_ neighbour: Neighbour, on name: String) throws(LinuxError) {
        try changeNeighbour(
            RTM.newNeighbour, NLM.create | NLM.exclusive, neighbour, name, "add neighbour")
    }

    package func replaceNeighbour(_ neighbour: Neighbour, on name: String) throws(LinuxError) {
        try changeNeighbour(
            RTM.newNeighbour, NLM.create | NLM.replace, neighbour, name, "set neighbour")
    }

    /// ENOENT if there is none for the address.
    package func removeNeighbour(_ address: IPAddress, on name: String) throws(LinuxError) {
        try changeNeighbour(
            RTM.deleteNeighbour, 0, Neighbour(address, at: [], state: []), name,
            "remove neighbour")
    }

    private func changeNeighbour(
        _ type: UInt16, _ flags: UInt16, _ neighbour: Neighbour, _ name: String,
        _ operation: String
    ) throws(LinuxError) {
        let index = try self.index(of: name)
        var request = NetlinkRequest(type, flags: NLM.ack | flags)
        request.append(UInt32(neighbour.address.family))
        request.append(index)
        request.append(neighbour.state.rawValue)
        request.append(UInt16(0))
        request.put(NDA.destination, neighbour.address)
        if !neighbour.hardwareAddress.isEmpty {
            request.put(NDA.linkAddress, bytes: neighbour.hardwareAddress.prefix(32))
        }
        try self.request(request, operation, "\(neighbour.address)", "on \(name)")
    }
}
