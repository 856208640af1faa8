import Addresses

/// What the gateway made for a container, from its reply.
package struct AttachedInterface: Equatable, Sendable {
    package var interface: String
    package var addresses: [IPAddress]
    package var hardwareAddress: String?
    package var mtu: Int?
    package var routes: [String]
    package var gateways: [IPAddress]

    package init(
        interface: String, addresses: [IPAddress], hardwareAddress: String? = nil,
        mtu: Int? = nil, routes: [String] = [], gateways: [IPAddress] = []
    ) {
        self.interface = interface
        self.addresses = addresses
        self.hardwareAddress = hardwareAddress
        self.mtu = mtu
        self.routes = routes
        self.gateways = gateways
    }

    /// From an `AttachReply` of the admin interface.
    package init(reply: JSON) throws(CNIError) {
        guard let object = reply.object, let endpoint = object["endpoint"]?.object,
            let interface = endpoint["interface"]?.text, !interface.isEmpty,
            let addresses = endpoint["addresses"]?.texts
        else {
            throw CNIError(
                .decoding, "the slice gateway's reply makes no sense",
                details: "are slice-cni and slice-gateway of the same version?")
        }
        self.init(
            interface: interface, addresses: addresses.compactMap { IPAddress($0) },
            hardwareAddress: object["hardwareAddress"]?.text, mtu: object["mtu"]?.integer,
            routes: object["routes"]?.texts ?? [],
            gateways: (object["gateways"]?.texts ?? []).compactMap { IPAddress($0) })
    }

    func gateway(isIPv4: Bool) -> IPAddress? { gateways.first { $0.isIPv4 == isIPv4 } }
}

/// An `AttachRequest` of the admin interface.
package enum AttachBody {
    package static func json(
        _ placement: Placement, netns: String, owner: String
    ) -> JSON {
        var body: JSONObject = [
            "namespace": .string(placement.namespace), "name": .string(placement.endpoint),
            "kind": .string("path"), "target": .string(netns), "owner": .string(owner),
            "labels": .object(
                JSONObject(
                    placement.labels.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })),
        ]
        if let interface = placement.interface { body["interface"] = .string(interface) }
        return .object(body)
    }
}

/// A `CollectRequest` of the admin interface.
package enum CollectBody {
    package static func json(
        _ config: NetworkConfig, _ valid: [NetworkConfig.Attachment]
    ) -> JSON {
        let keep = valid.map {
            JSON.string(
                Placement.owner(config, containerID: $0.containerID, interface: $0.interface))
        }
        return .object([
            "ownerPrefix": .string(Placement.ownerPrefix(config)), "keep": .array(keep),
        ])
    }
}
