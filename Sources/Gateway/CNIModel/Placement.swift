/// Where a container goes.
package struct Placement: Equatable, Sendable {
    package var slice: String
    package var namespace: String
    package var endpoint: String
    package var labels: [String: String]
    /// Nil: the gateway picks one, called like the slice.
    package var interface: String?

    package init(
        slice: String, namespace: String, endpoint: String, labels: [String: String],
        interface: String?
    ) {
        self.slice = slice
        self.namespace = namespace
        self.endpoint = endpoint
        self.labels = labels
        self.interface = interface
    }

    /// Nil for a pod that is not meant.
    package static func decide(
        _ config: NetworkConfig, _ environment: CNIEnvironment
    ) throws(CNIError) -> Placement? {
        let kubernetes = environment.argument("K8S_POD_NAMESPACE")
        var placement = Placement(
            slice: "", namespace: "", endpoint: "", labels: try annotated(config),
            // The only plugin of a network has to make the interface that the runtime names.
            interface: config.interface
                ?? (config.prevResult == nil ? environment.interface : nil))
        switch config.target {
        case .mapped(let mappings):
            guard let kubernetes, let mapping = mappings[kubernetes],
                mapping.admits(pod: environment.argument("K8S_POD_NAME") ?? "")
            else { return nil }
            placement.slice = mapping.slice
            placement.namespace = mapping.namespace
            placement.labels.merge(mapping.labels) { _, own in own }
        case .fixed(let slice, let namespace):
            let wish = try Wish(config, environment, isKubernetes: kubernetes != nil)
            guard let slice = wish.slice ?? slice, let namespace = wish.namespace ?? namespace
            else {
                throw CNIError(
                    .invalidConfiguration,
                    "the network configuration says not which "
                        + (wish.slice ?? slice == nil ? "slice" : "namespace"),
                    details: "set slice and namespace, or namespaces")
            }
            placement.slice = slice
            placement.namespace = namespace
            if let labels = wish.labels { placement.labels.merge(labels) { _, own in own } }
            if let endpoint = wish.endpoint { placement.endpoint = EndpointNaming.label(endpoint) }
        }
        if placement.endpoint.isEmpty {
            placement.endpoint = try EndpointNaming.choose(
                template: config.endpoint, environment)
        }
        return placement
    }

    static let labelsAnnotation = "slice-gateway.dev/labels"

    /// What the pod says of itself comes last: the configuration is its node's.
    private static func annotated(_ config: NetworkConfig) throws(CNIError) -> [String: String] {
        guard let text = config.annotations[labelsAnnotation]?.text else { return config.labels }
        guard let labels = Wish.pairs(text) else {
            throw CNIError(
                .invalidConfiguration,
                "the pod's annotation \(labelsAnnotation) must be NAME=VALUE pairs with commas")
        }
        return labels.merging(config.labels) { _, configured in configured }
    }

    /// What is attached for a container is remembered under this word, over all slices. The
    /// network's name is part of it: GC is asked for one network, and must not take another's.
    package static func owner(
        _ config: NetworkConfig, containerID: String, interface: String
    ) -> String {
        "\(ownerPrefix(config))\(containerID)/\(interface)"
    }

    package static func ownerPrefix(_ config: NetworkConfig) -> String { "cni:\(config.name)/" }
}

/// What CNI_ARGS asks for. Whoever may run containers says what is in there, except in
/// Kubernetes, where a pod could try: there only the configuration counts.
private struct Wish {
    var slice: String?
    var namespace: String?
    var endpoint: String?
    var labels: [String: String]?

    init(
        _ config: NetworkConfig, _ environment: CNIEnvironment, isKubernetes: Bool
    ) throws(CNIError) {
        if isKubernetes { return }
        for key in ["SLICE", "SLICE_NAMESPACE", "SLICE_ENDPOINT", "SLICE_LABELS"] {
            guard let value = environment.argument(key) else { continue }
            guard config.allowArgs else {
                throw CNIError(
                    .invalidEnvironment,
                    "CNI_ARGS has \(key), which the network configuration forbids",
                    details: "leave it out, or set allowArgs to true")
            }
            switch key {
            case "SLICE": slice = try Self.label(value, key)
            case "SLICE_NAMESPACE": namespace = try Self.label(value, key)
            case "SLICE_ENDPOINT": endpoint = value
            default:
                guard let pairs = Self.pairs(value) else {
                    throw CNIError(
                        .invalidEnvironment,
                        "SLICE_LABELS of CNI_ARGS must be NAME:VALUE pairs joined by commas")
                }
                labels = pairs
            }
        }
    }

    private static func label(_ text: String, _ key: String) throws(CNIError) -> String {
        guard EndpointNaming.isLabel(text) else {
            throw CNIError(.invalidEnvironment, "\(key) of CNI_ARGS \(EndpointNaming.labelRule)")
        }
        return text
    }

    /// `role:broker,tier:1`; with `=` too, which stock plugins in the same chain would not read.
    static func pairs(_ text: String) -> [String: String]? {
        var labels: [String: String] = [:]
        for pair in text.split(separator: ",") {
            let parts = pair.split(
                maxSplits: 1, omittingEmptySubsequences: false,
                whereSeparator: { $0 == ":" || $0 == "=" })
            guard parts.count == 2, !parts[0].isEmpty else { return nil }
            labels[String(parts[0])] = String(parts[1])
        }
        return labels
    }
}
