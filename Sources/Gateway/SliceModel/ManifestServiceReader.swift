import ConfigFile
import Timing

// `spec.services`.

struct ServiceDraft {
    var name: Located<ServiceName>?
    var namespace: Located<NamespaceName>?
    /// Complete, if nothing was reported.
    var service: Service?
}

extension ManifestReader {
    static var services: ConfigType<[ServiceDraft]> {
        .list(of: service, atMost: ManifestLimits.services)
    }

    private static var service: ConfigType<ServiceDraft> {
        .object { object in
            let name = object.required("name", ConfigType<ServiceName>.name.located)
            let namespace = object.required("namespace", ConfigType<NamespaceName>.name.located)
            let ports = object.optional(
                "ports", .list(of: port.located, atLeast: 1, atMost: ManifestLimits.ports))
            checkPortNames(ports ?? [], object.log)
            let members = object.optional("endpoints", members) ?? ServiceSelector()
            let clusters = object.optional("clusters", .globs)
            let importedBy = object.optional("importedBy", .globs)
            let check = object.optional("check", check)
            var draft = ServiceDraft(name: name, namespace: namespace)
            if let name, let namespace {
                draft.service = Service(
                    name: name.value, namespace: namespace.value,
                    ports: (ports ?? []).map(\.value), members: members, clusters: clusters,
                    importedBy: importedBy, check: check)
            }
            return draft
        }
    }

    private static var port: ConfigType<ServicePort> {
        .object { object in
            let name = object.required("name", portName)
            let transport = object.optional("protocol", transport, default: .tcp)
            let port = object.required("port", ConfigType<UInt16>.int(1...65535))
            guard let name, let port else { return nil }
            return ServicePort(name: name, transport: transport, port: port)
        }
    }

    private static var transport: ConfigType<PortMatch.Transport> {
        .choice.checked { $0 == .icmp ? "icmp has no ports: write tcp, udp or sctp" : nil }
    }

    /// RFC 6335 section 5.1, in lower case as all our names.
    private static var portName: ConfigType<String> {
        ConfigType<String>.string(1...253).checked { text in
            let isName =
                text.utf8.count <= 15 && NameRules.isLabel(text)
                && text.utf8.contains { 97...122 ~= $0 }
                && !text.utf8.split(separator: 45, omittingEmptySubsequences: false)
                    .contains(where: \.isEmpty)
            return isName
                ? nil
                : "`\(printable(text))` is no port name: it must be 1 to 15 lower-case letters and "
                    + "digits joined by single dashes, with one letter at least"
        }
    }

    private static func checkPortNames(_ ports: [Located<ServicePort>], _ log: ConfigLog) {
        var seen: [String: Int] = [:]
        for port in ports {
            if let line = seen[port.value.name] {
                log.report(
                    port, "the port name `\(port.value.name)` is used twice, first on line \(line)")
            } else {
                seen[port.value.name] = port.mark.line
            }
        }
    }

    private static var members: ConfigType<ServiceSelector> {
        .object { object in
            ServiceSelector(
                names: object.optional("names", .globs),
                labels: object.optional("labels", .labelMatches) ?? [])
        }
    }

    private static var check: ConfigType<HealthCheck> {
        .object { object in
            let port = object.required("port", ConfigType<UInt16>.int(1...65535))
            let longest = Nanoseconds.seconds(3600)
            let interval =
                object.optional("interval", .duration(.milliseconds(500)...longest)) ?? .seconds(2)
            let timeout = object.optional("timeout", .duration(.milliseconds(50)...longest))
            let failures = object.optional("failures", .int(1...10)) ?? 2
            if let timeout, timeout > interval {
                object.report(
                    "timeout", "is longer than the interval: one try must end before the next")
            }
            guard let port else { return nil }
            return HealthCheck(
                port: port, interval: interval, timeout: timeout ?? min(.seconds(1), interval),
                failures: failures)
        }
    }
}
