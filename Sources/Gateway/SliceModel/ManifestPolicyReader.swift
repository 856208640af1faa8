import ConfigFile

// `spec.policies`. There may be very many of them, so what a policy is read by is made once and
// not once a policy.

struct PolicyDraft {
    var name: Located<PolicyName>?
    /// Complete, if nothing was reported.
    var policy: Policy?
}

extension ManifestReader {
    static var policies: ConfigType<[PolicyDraft]> {
        .list(of: policy, atMost: ManifestLimits.policies)
    }

    private static var policy: ConfigType<PolicyDraft> {
        let name = ConfigType<PolicyName>.name.located
        let description = ConfigType<String>.remark(1...256)
        let action = ConfigType<Policy.Action>.choice
        let selector = selector
        let ports = ConfigType<[PortMatch]>.list(
            of: .portMatch, atLeast: 1, atMost: ManifestLimits.ports)
        let globs = ConfigType<[Glob]>.globs
        let bool = ConfigType<Bool>.bool
        return .object { object in
            let name = object.required("name", name)
            let description = object.optional("description", description) ?? ""
            let action = object.optional("action", action) ?? .allow
            let from = object.optional("from", selector) ?? .all
            let to = object.optional("to", selector) ?? .all
            let ports = object.optional("ports", ports)
            let regions = object.optional("regions", globs)
            let log = object.optional("log", bool) ?? false
            return PolicyDraft(
                name: name,
                policy: name.map {
                    Policy(
                        name: $0.value, description: description, action: action, from: from,
                        to: to, ports: ports, regions: regions, log: log)
                })
        }
    }

    private static var selector: ConfigType<EndpointSelector> {
        let globs = ConfigType<[Glob]>.globs
        let labels = ConfigType<[EndpointSelector.LabelMatch]>.labelMatches
        return .object { object in
            EndpointSelector(
                namespaces: object.optional("namespaces", globs),
                clusters: object.optional("clusters", globs),
                regions: object.optional("regions", globs),
                labels: object.optional("labels", labels) ?? [])
        }
    }
}
