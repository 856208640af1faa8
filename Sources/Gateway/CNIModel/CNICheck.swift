import Addresses

/// What a container's network namespace shows.
package struct NamespaceView: Equatable, Sendable {
    package struct Route: Hashable, Sendable {
        package var destination: IPPrefix
        package var gateway: IPAddress
        package var interface: String

        package init(destination: IPPrefix, gateway: IPAddress, interface: String) {
            self.destination = destination
            self.gateway = gateway
            self.interface = interface
        }
    }

    /// Interfaces that are up, and their addresses.
    package var interfaces: [String: [IPAddress]] = [:]
    package var routes: [Route] = []

    package init() {}
}

/// CHECK: whether what ADD left behind is still so, as the gateway and the kernel see it. Changes
/// nothing; the gateway mends what it can by itself.
package enum CNICheck {
    /// The endpoint of this container in this slice, from an `EndpointsReply`.
    package static func endpoint(
        in reply: JSON, slice: String
    ) throws(CNIError) -> JSONObject {
        let entries = reply.object?["endpoints"]?.items ?? []
        let found = entries.compactMap(\.object).first { $0["slice"]?.text == slice }
        guard let endpoint = found?["endpoint"]?.object else {
            throw failed("the slice gateway has nothing attached to \(slice) for this container")
        }
        return endpoint
    }

    package static func check(
        _ endpoint: JSONObject, _ placement: Placement, _ config: NetworkConfig, netns: String,
        _ view: NamespaceView
    ) throws(CNIError) {
        for (key, wanted) in [("namespace", placement.namespace), ("name", placement.endpoint)]
        where endpoint[key]?.text != wanted {
            throw failed(
                "the slice gateway has it as \(key) `\(endpoint[key]?.text ?? "")` and not "
                    + "`\(wanted)`")
        }
        if endpoint["target"]?.text != netns {
            throw failed("the slice gateway attached another network namespace for it")
        }
        if let problem = endpoint["problems"]?.texts?.first {
            throw failed("the slice gateway says: \(problem)")
        }
        guard let interface = endpoint["interface"]?.text else {
            throw failed("the slice gateway does not name its interface")
        }
        let addresses = (endpoint["addresses"]?.texts ?? []).compactMap { IPAddress($0) }
        let result = try previous(config, interface, netns)
        guard !config.reportsAddresses || Set(result.map(\.address)) == Set(addresses) else {
            throw failed(
                "\(interface) had \(list(result.map(\.address))) at ADD, and the slice gateway has "
                    + list(addresses))
        }
        try check(view, interface, addresses)
        try checkRoutes(view, interface, config, gateways: Set(result.compactMap(\.gateway)))
    }

    private static func check(
        _ view: NamespaceView, _ interface: String, _ addresses: [IPAddress]
    ) throws(CNIError) {
        guard let present = view.interfaces[interface] else {
            throw failed("the container has no interface \(interface) that is up")
        }
        for address in addresses where !present.contains(address) {
            throw failed("the address \(address) is gone from \(interface)")
        }
    }

    /// Those of our interface by the next hop, which nobody else has.
    private static func checkRoutes(
        _ view: NamespaceView, _ interface: String, _ config: NetworkConfig,
        gateways: Set<IPAddress>
    ) throws(CNIError) {
        for route in (config.prevResult?["routes"]?.items ?? []).compactMap(\.object) {
            guard let gateway = route["gw"]?.text.flatMap({ IPAddress($0) }),
                gateways.contains(gateway),
                let destination = route["dst"]?.text.flatMap({ IPPrefix($0) })
            else { continue }
            let wanted = NamespaceView.Route(
                destination: destination, gateway: gateway, interface: interface)
            guard view.routes.contains(wanted) else {
                throw failed(
                    "the route to \(destination) through \(gateway) on \(interface) is gone")
            }
        }
    }

    private struct Address {
        var address: IPAddress
        var gateway: IPAddress?
    }

    /// The addresses that prevResult gives our interface.
    private static func previous(
        _ config: NetworkConfig, _ interface: String, _ netns: String
    ) throws(CNIError) -> [Address] {
        let interfaces = config.prevResult?["interfaces"]?.items ?? []
        let index = interfaces.firstIndex {
            $0.object?["name"]?.text == interface && $0.object?["sandbox"]?.text == netns
        }
        guard let index else {
            throw failed("prevResult has no interface \(interface) in \(netns)")
        }
        return (config.prevResult?["ips"]?.items ?? []).compactMap(\.object).compactMap { ip in
            guard ip["interface"]?.integer == index,
                let text = ip["address"]?.text?.split(separator: "/").first,
                let address = IPAddress(text)
            else { return nil }
            return Address(
                address: address, gateway: ip["gateway"]?.text.flatMap { IPAddress($0) })
        }
    }

    private static func list(_ addresses: [IPAddress]) -> String {
        addresses.isEmpty
            ? "no address" : addresses.sorted().map(\.description).joined(separator: ", ")
    }

    private static func failed(_ what: String) -> CNIError {
        CNIError(
            .checkFailed, what,
            details: "the gateway mends what it can; `slicectl status` shows more"
        )
    }
}

/// STATUS, from a `StatusReport` of the admin interface.
package enum CNIStatus {
    package static func check(_ report: JSON, slice: String) throws(CNIError) {
        let slices = (report.object?["slices"]?.items ?? []).compactMap(\.object)
        guard let found = slices.first(where: { $0["name"]?.text == slice }) else {
            throw CNIError(
                .notAvailable, "the slice gateway has no slice `\(slice)`",
                details: "add it to gateway.conf, or mend the network configuration")
        }
        let problem = found["problems"]?.texts?.first.map { ": \($0)" } ?? ""
        switch found["state"]?.text {
        case "up", "degraded": return
        case "starting":
            throw CNIError(.notAvailable, "the slice `\(slice)` is starting\(problem)")
        default:
            throw CNIError(
                .notAvailableAndLimited, "the slice `\(slice)` is not up\(problem)",
                details: "`slicectl status` shows what is wrong with it")
        }
    }
}
