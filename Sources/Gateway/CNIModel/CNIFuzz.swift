import AdminAPI

/// Reads bytes in all the ways in which this room reads bytes. Traps where a law is broken: what
/// was read is written and read again the same, and what runtimes get is JSON.
package enum CNIFuzz {
    package static func run(_ bytes: UnsafeRawBufferPointer) {
        let all = Array(bytes)
        if let value = try? JSONParser.parse(all) {
            // Escapes may grow beyond the limit.
            precondition(
                value.bytes.count > JSONParser.maximumBytes
                    || (try? JSONParser.parse(value.bytes)) == value)
        }
        for command in CNIEnvironment.Command.allCases { plugin(all, command) }
        _ = try? AdminExchange.reply(all)
        let text = String(decoding: all, as: UTF8.self)
        precondition(EndpointNaming.isLabel(EndpointNaming.label(text)))
    }

    private static func plugin(_ bytes: [UInt8], _ command: CNIEnvironment.Command) {
        // The text after the configuration, if there is any, is what CNI_ARGS holds.
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let arguments = parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : ""
        let variables = [
            "CNI_COMMAND": command.rawValue, "CNI_CONTAINERID": "0123456789abcdef",
            "CNI_NETNS": "/run/netns/a", "CNI_IFNAME": "eth0", "CNI_ARGS": arguments,
        ]
        do throws(CNIError) {
            let config = try NetworkConfig(Array(parts.first ?? []), for: command)
            let environment = try CNIEnvironment { variables[$0] }
            guard let placement = try Placement.decide(config, environment) else {
                precondition(isJSON(CNIResult.unchanged(config)))
                return
            }
            precondition(EndpointNaming.isLabel(placement.endpoint))
            precondition(isJSON(AttachBody.json(placement, netns: "/run/netns/a", owner: "o")))
            let result = try CNIResult.adding(
                AttachedInterface(interface: "payments", addresses: []), to: config,
                netns: "/run/netns/a")
            precondition(isJSON(result))
        } catch {
            precondition(isJSON(error.json("1.1.0")))
        }
    }

    private static func isJSON(_ value: JSON) -> Bool {
        let bytes = value.bytes
        return bytes.count > JSONParser.maximumBytes || (try? JSONParser.parse(bytes)) != nil
    }
}
