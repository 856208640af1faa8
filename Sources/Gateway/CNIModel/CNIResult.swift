import Addresses

/// The result of ADD (CNI specification, section 5, "Success"): what the plugins before us made,
/// as it was, and what is added to it.
package enum CNIResult {
    /// For a container that we have nothing to do with.
    package static func unchanged(_ config: NetworkConfig) -> JSON {
        .object(base(config))
    }

    private static func base(_ config: NetworkConfig) -> JSONObject {
        var result = config.prevResult ?? JSONObject()
        if result["cniVersion"] == nil {
            result = JSONObject(
                members: [
                    JSONObject.Member(key: "cniVersion", value: .string(config.version.rawValue))
                ] + result.members)
        }
        return result
    }

    package static func adding(
        _ attachment: AttachedInterface, to config: NetworkConfig, netns: String
    ) throws(CNIError) -> JSON {
        var result = base(config)
        result["cniVersion"] = .string(config.version.rawValue)
        var interfaces = try list("interfaces", result)
        interfaces.append(interface(attachment, config, netns))
        result["interfaces"] = .array(interfaces)
        if let dns = config.dns { result["dns"] = .object(try merge(dns, result["dns"])) }
        guard config.reportsAddresses else { return .object(result) }
        var ips = try list("ips", result)
        for address in attachment.addresses {
            ips.append(ip(address, attachment, config, interface: interfaces.count - 1))
        }
        result["ips"] = .array(ips)
        var routes = try list("routes", result)
        for prefix in attachment.routes {
            var route: JSONObject = ["dst": .string(prefix)]
            if let isIPv4 = IPPrefix(prefix)?.isIPv4,
                let gateway = attachment.gateway(isIPv4: isIPv4)
            {
                route["gw"] = .string("\(gateway)")
            }
            routes.append(.object(route))
        }
        result["routes"] = .array(routes)
        return .object(result)
    }

    private static func list(_ key: String, _ result: JSONObject) throws(CNIError) -> [JSON] {
        guard let value = result[key] else { return [] }
        guard let items = value.items else {
            throw ConfigReader.invalid("prevResult.\(key) must be a list, and is \(value.kind)")
        }
        return items
    }

    private static func interface(
        _ attachment: AttachedInterface, _ config: NetworkConfig, _ netns: String
    ) -> JSON {
        var object: JSONObject = ["name": .string(attachment.interface)]
        if let mac = attachment.hardwareAddress { object["mac"] = .string(mac) }
        if config.version >= .v1_1_0, let mtu = attachment.mtu { object["mtu"] = .number(mtu) }
        object["sandbox"] = .string(netns)
        return .object(object)
    }

    private static func ip(
        _ address: IPAddress, _ attachment: AttachedInterface, _ config: NetworkConfig,
        interface: Int
    ) -> JSON {
        var object = JSONObject()
        if config.version.namesFamilies {
            object["version"] = .string(address.isIPv4 ? "4" : "6")
        }
        object["interface"] = .number(interface)
        object["address"] = .string("\(address)/\(address.bitWidth)")
        if let gateway = attachment.gateway(isIPv4: address.isIPv4) {
            object["gateway"] = .string("\(gateway)")
        }
        return .object(object)
    }

    /// Ours in front: who resolves a name asks the first server first.
    private static func merge(_ ours: JSONObject, _ theirs: JSON?) throws(CNIError) -> JSONObject {
        var merged = theirs?.object ?? JSONObject()
        for member in ours.members {
            guard let added = member.value.items else {
                merged[member.key] = member.value
                continue
            }
            let present = merged[member.key]?.items ?? []
            merged[member.key] = .array(added + present.filter { !added.contains($0) })
        }
        return merged
    }
}
