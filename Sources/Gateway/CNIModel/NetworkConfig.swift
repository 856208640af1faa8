import AdminAPI

/// The network configuration of one plugin, as a runtime hands it over on standard input (CNI
/// specification, section 1 and 3).
package struct NetworkConfig: Equatable, Sendable {
    /// Where the pods of one Kubernetes namespace go.
    package struct Mapping: Equatable, Sendable {
        package var slice: String
        package var namespace: String
        package var labels: [String: String]
        /// Pods' names, or their beginnings with an asterisk behind. Empty: all pods.
        package var pods: [String]

        package func admits(pod: String) -> Bool {
            pods.isEmpty
                || pods.contains { pattern in
                    pattern.utf8.last == 0x2a
                        ? pod.utf8.starts(with: pattern.utf8.dropLast()) : pod == pattern
                }
        }
    }

    package enum Target: Equatable, Sendable {
        /// Every container. What is absent has to come from CNI_ARGS.
        case fixed(slice: String?, namespace: String?)
        /// By the pod's Kubernetes namespace; pods of others are none of our business.
        case mapped([String: Mapping])
    }

    package struct Attachment: Equatable, Sendable {
        package var containerID: String
        package var interface: String

        package init(containerID: String, interface: String) {
            self.containerID = containerID
            self.interface = interface
        }
    }

    package var version: CNIVersion
    /// The network's name.
    package var name: String
    package var adminSocket = AdminRoute.defaultSocketPath
    package var target = Target.fixed(slice: nil, namespace: nil)
    /// A template of the endpoint's name.
    package var endpoint: String?
    package var labels: [String: String] = [:]
    /// Of the pod, from the runtime, if the configuration has the capability for it.
    package var annotations = JSONObject()
    /// The interface to make in the container.
    package var interface: String?
    /// Whether CNI_ARGS may say where the container goes.
    package var allowArgs = true
    /// Whether the result has our addresses and routes, and not only the interface. Stock plugins
    /// (bridge, ptp) take every address of a result for theirs at CHECK.
    package var reportsAddresses = true
    /// Name servers and the like for the result, in front of what is there.
    package var dns: JSONObject?
    package var prevResult: JSONObject?
    /// For GC: what still lives. Nil if the runtime did not say.
    package var validAttachments: [Attachment]?

    /// What containerd and CRI-O call it.
    package static let annotationsCapability = "io.kubernetes.cri.pod-annotations"
    package static let maximumBytes = 4 << 20
    package static let maximumMappings = 1024

    /// For DEL and GC only what they need is looked at: a container must be able to go, whatever
    /// became of the rest of the configuration.
    package init(_ bytes: [UInt8], for command: CNIEnvironment.Command) throws(CNIError) {
        var reader = ConfigReader(try Self.document(bytes))
        version = try reader.version()
        guard version.allows(command) else {
            throw CNIError(
                .incompatibleVersion,
                "\(command.rawValue) needs a newer cniVersion than "
                    + version.rawValue)
        }
        name = try reader.networkName()
        if let path = try reader.text("adminSocket") {
            guard path.utf8.first == 0x2f, path.utf8.count <= 107 else {
                throw ConfigReader.invalid(
                    "adminSocket must be an absolute path of 107 bytes at most")
            }
            adminSocket = path
        }
        if command == .gc { validAttachments = try reader.validAttachments() }
        do throws(CNIError) {
            try readRest(&reader)
        } catch {
            guard command == .del || command == .gc else { throw error }
            target = .fixed(slice: nil, namespace: nil)
        }
        if command == .check, prevResult == nil {
            throw ConfigReader.invalid("CHECK needs the prevResult of ADD")
        }
    }

    private mutating func readRest(_ reader: inout ConfigReader) throws(CNIError) {
        endpoint = try reader.text("endpoint")
        labels = try reader.labels("labels") ?? [:]
        interface = try reader.text("interface")
        if let interface, !CNIEnvironment.isInterface(interface) {
            throw ConfigReader.invalid(
                "interface must be an interface's name: 1 to 15 bytes without / : and spaces")
        }
        allowArgs = try reader.flag("allowArgs") ?? true
        switch try reader.text("report") {
        case nil, "all": reportsAddresses = true
        case "interface": reportsAddresses = false
        default: throw ConfigReader.invalid("report must be `all` or `interface`")
        }
        dns = try reader.object("dns")
        annotations =
            try reader.object("runtimeConfig")?[Self.annotationsCapability]?.object ?? JSONObject()
        prevResult = try reader.object("prevResult")
        target = try reader.target()
        try EndpointNaming.check(template: endpoint)
        try reader.refuseUnknown()
    }

    private static func document(_ bytes: [UInt8]) throws(CNIError) -> JSONObject {
        guard bytes.count <= maximumBytes else {
            throw CNIError(.decoding, "the network configuration has more than 4 MiB")
        }
        do throws(JSONProblem) {
            guard let object = try JSONParser.parse(bytes).object else {
                throw JSONProblem(line: 1, column: 1, what: "it is not an object")
            }
            return object
        } catch {
            throw CNIError(.decoding, "the network configuration is not JSON: \(error)")
        }
    }

    /// The version that an unusable configuration asks for, for the error's sake.
    package static func versionText(_ bytes: [UInt8]) -> String? {
        guard bytes.count <= maximumBytes else { return nil }
        return (try? JSONParser.parse(bytes))?.object?["cniVersion"]?.text
    }
}

/// Takes fields out of the configuration, and knows in the end which nobody asked for.
struct ConfigReader {
    let object: JSONObject
    private var asked: Set<String> = []

    init(_ object: JSONObject) { self.object = object }

    /// What runtimes add, and what the specification has for all plugins.
    private static let common: Set<String> = [
        "type", "args", "capabilities", "disableCheck", "disableGC",
        "loadOnlyInlinedPlugins", "ipMasq", "ipam",
    ]

    static func invalid(_ what: String, details: String? = nil) -> CNIError {
        CNIError(.invalidConfiguration, what, details: details)
    }

    mutating func value(_ key: String) -> JSON? {
        asked.insert(key)
        return object[key]
    }

    mutating func text(_ key: String) throws(CNIError) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.text, !text.isEmpty else {
            throw Self.invalid("\(key) must be a text, and is \(value.kind)")
        }
        return text
    }

    mutating func flag(_ key: String) throws(CNIError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.flag else {
            throw Self.invalid("\(key) must be true or false, and is \(value.kind)")
        }
        return flag
    }

    mutating func object(_ key: String) throws(CNIError) -> JSONObject? {
        guard let value = value(key) else { return nil }
        guard let object = value.object else {
            throw Self.invalid("\(key) must be an object, and is \(value.kind)")
        }
        return object
    }

    mutating func labels(_ key: String, in place: String = "") throws(CNIError) -> [String: String]?
    {
        guard let object = try object(key) else { return nil }
        var labels: [String: String] = [:]
        for member in object.members {
            guard let text = member.value.text else {
                throw Self.invalid(
                    "\(place)\(key).\(member.key) must be a text, and is \(member.value.kind)")
            }
            labels[member.key] = text
        }
        return labels
    }

    mutating func version() throws(CNIError) -> CNIVersion {
        let text = try text("cniVersion") ?? "0.1.0"
        guard let version = CNIVersion(rawValue: text) else {
            throw CNIError(
                .incompatibleVersion, "this plugin does not speak CNI \(text)",
                details: "set cniVersion to one of "
                    + CNIVersion.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return version
    }

    mutating func networkName() throws(CNIError) -> String {
        guard let name = try text("name"), CNIEnvironment.isIdentifier(name, atMost: 63) else {
            throw Self.invalid(
                "name must be the network's: 1 to 63 letters, digits, dots, dashes and "
                    + "underscores, beginning with a letter or digit")
        }
        return name
    }

    mutating func target() throws(CNIError) -> NetworkConfig.Target {
        let (slice, namespace) = (try label("slice"), try label("namespace"))
        guard let namespaces = try object("namespaces") else {
            return .fixed(slice: slice, namespace: namespace)
        }
        if slice != nil || namespace != nil {
            throw Self.invalid(
                "namespaces and \(slice != nil ? "slice" : "namespace") exclude one another",
                details: "with namespaces each entry names its slice and namespace")
        }
        guard namespaces.members.count <= NetworkConfig.maximumMappings else {
            throw Self.invalid("namespaces has more than \(NetworkConfig.maximumMappings) entries")
        }
        var mappings: [String: NetworkConfig.Mapping] = [:]
        for member in namespaces.members {
            let place = "namespaces.\(member.key)"
            guard let entry = member.value.object else {
                throw Self.invalid("\(place) must be an object, and is \(member.value.kind)")
            }
            mappings[member.key] = try Self.mapping(entry, of: member.key, place)
        }
        return .mapped(mappings)
    }

    private static func mapping(
        _ entry: JSONObject, of kubernetes: String, _ place: String
    ) throws(CNIError) -> NetworkConfig.Mapping {
        var reader = ConfigReader(entry)
        guard let slice = try reader.label("slice", in: place + ".") else {
            throw invalid("\(place).slice is missing")
        }
        let mapping = NetworkConfig.Mapping(
            slice: slice, namespace: try reader.label("namespace", in: place + ".") ?? kubernetes,
            labels: try reader.labels("labels", in: place + ".") ?? [:],
            pods: try reader.patterns("pods", place))
        for member in entry.members where !reader.asked.contains(member.key) {
            throw unsupported("\(place).\(member.key)", member.value)
        }
        return mapping
    }

    private mutating func patterns(
        _ key: String, _ place: String
    ) throws(CNIError) -> [String] {
        guard let value = value(key) else { return [] }
        guard let texts = value.texts, !texts.isEmpty,
            texts.allSatisfy({ !$0.isEmpty && !$0.utf8.dropLast().contains(0x2a) })
        else {
            throw Self.invalid(
                "\(place).\(key) must be a list of pods' names, with an asterisk at the end at most"
            )
        }
        return texts
    }

    /// A slice's or namespace's name.
    mutating func label(_ key: String, in place: String = "") throws(CNIError) -> String? {
        guard let text = try text(key) else { return nil }
        guard EndpointNaming.isLabel(text) else {
            throw Self.invalid("\(place)\(key) \(EndpointNaming.labelRule)")
        }
        return text
    }

    mutating func validAttachments() throws(CNIError) -> [NetworkConfig.Attachment] {
        // The second is what libcni called it before the specification was final.
        guard let value = value("cni.dev/valid-attachments") ?? value("cni.dev/attachments") else {
            // Without it everything would be garbage.
            throw Self.invalid("GC needs cni.dev/valid-attachments: nothing is collected")
        }
        var valid: [NetworkConfig.Attachment] = []
        for item in value.items ?? [.null] {
            guard let id = item.object?["containerID"]?.text,
                let interface = item.object?["ifname"]?.text
            else {
                throw Self.invalid(
                    "cni.dev/valid-attachments must be a list of containerID and ifname: nothing "
                        + "is collected")
            }
            valid.append(NetworkConfig.Attachment(containerID: id, interface: interface))
        }
        return valid
    }

    func refuseUnknown() throws(CNIError) {
        for member in object.members where !asked.contains(member.key) {
            switch member.key {
            case "ipam" where member.value.object?.members.isEmpty == false,
                "ipMasq" where member.value == .bool(true):
                throw Self.unsupported(
                    member.key, member.value,
                    details: "the gateway gives the addresses, and nothing is translated in a slice"
                )
            // A slash: of the specification or of a runtime.
            case let key where Self.common.contains(key) || key.utf8.contains(0x2f): continue
            default: throw Self.unsupported(member.key, member.value)
            }
        }
    }

    /// The specification wants key and value in the message.
    private static func unsupported(
        _ key: String, _ value: JSON, details: String? = nil
    ) -> CNIError {
        let shown = String(decoding: value.bytes.prefix(200), as: UTF8.self)
        return CNIError(
            .unsupportedField, "unsupported field `\(key)` with the value \(shown)",
            details: details
                ?? "fields: slice, namespace, namespaces, endpoint, labels, interface, "
                + "allowArgs, adminSocket, report, dns")
    }
}
