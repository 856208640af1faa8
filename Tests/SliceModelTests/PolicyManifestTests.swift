import ConfigFile
import SliceModel
import Testing
import Timing

/// `spec.policies`, `spec.services` and the fences of namespaces.
@Suite struct PolicyManifestTests {
    /// The sample, strict, with what follows its namespaces.
    static func text(_ more: String, isolation: String = "strict") throws -> String {
        try Sample.manifest.replacing(first: "isolation: open", with: "isolation: \(isolation)")
            + more
    }

    static let full = """
          policies:
            - name: kafka-clients
              description: applications reach brokers
              from: {namespaces: [billing, "web-*"], clusters: [west], regions: ["us-*"],
                     labels: {role: "client*", app: x}}
              to: {namespaces: [kafka]}
              ports: [tcp/9092, tcp/9093-9095, udp/53, icmp]
              regions: ["us-*", "eu-*"]
            - {name: rest, action: deny, from: {}, log: true}
          services:
            - name: kafka
              namespace: kafka
              ports: [{name: broker, protocol: tcp, port: 9092}, {name: x-1, port: 9093}]
              endpoints: {names: ["broker-*"], labels: {role: broker}}
              clusters: [west, "c*"]
              importedBy: ["*"]
              check: {port: 9092, interval: 10s, timeout: 3s, failures: 5}
            - {name: kafka, namespace: billing, check: {port: 1, interval: 500ms}}

        """

    @Test func readsEverything() throws {
        let text = try Self.text(Self.full).replacing(
            first: "- name: kafka\n", with: "- name: kafka\n      regions: [\"eu-*\", \"us-*\"]\n")
        let manifest = try Sample.parsed(text)
        #expect(manifest.warnings.map(\.description) == [])
        #expect(manifest.isolation == .strict && manifest.policies.count == 2)
        #expect(manifest.namespaces[0].regions?.map(\.text) == ["eu-*", "us-*"])
        let first = manifest.policies[0]
        #expect(first.name.text == "kafka-clients" && first.action == .allow && !first.log)
        #expect(first.description == "applications reach brokers")
        #expect(first.from.namespaces?.map(\.text) == ["billing", "web-*"])
        #expect(first.from.clusters?.map(\.text) == ["west"])
        #expect(first.from.regions?.map(\.text) == ["us-*"])
        #expect(first.from.labels.map(\.key) == ["app", "role"])
        #expect(first.from.labels.map(\.value.text) == ["x", "client*"])
        #expect(first.to == EndpointSelector(namespaces: [try #require(Glob("kafka"))]))
        #expect(
            first.ports?.map(\.description) == ["tcp/9092", "tcp/9093-9095", "udp/53", "icmp"])
        #expect(first.regions?.map(\.text) == ["us-*", "eu-*"])
        #expect(
            manifest.policies[1]
                == Policy(name: try Sample.name("rest"), action: .deny, log: true))
        let service = manifest.services[0]
        #expect(service.name.text == "kafka" && service.namespace.text == "kafka")
        #expect(
            service.ports == [
                ServicePort(name: "broker", transport: .tcp, port: 9092),
                ServicePort(name: "x-1", transport: .tcp, port: 9093),
            ])
        #expect(service.members.names?.map(\.text) == ["broker-*"])
        #expect(service.members.labels.map(\.key) == ["role"])
        #expect(service.clusters?.map(\.text) == ["west", "c*"])
        #expect(service.importedBy?.map(\.text) == ["*"])
        #expect(
            service.check
                == HealthCheck(
                    port: 9092, interval: .seconds(10), timeout: .seconds(3), failures: 5))
        // A timeout that nobody gave fits the interval.
        #expect(
            manifest.services[1].check
                == HealthCheck(
                    port: 1, interval: .milliseconds(500), timeout: .milliseconds(500)))
        #expect(manifest.services[1].members == ServiceSelector())
    }

    @Test func nothingIsAllowedToo() throws {
        let manifest = try Sample.parsed(Self.text("  policies: []\n  services: []\n"))
        #expect(manifest.policies == [] && manifest.services == [])
        #expect(try Sample.parsed(Self.text("")).isolation == .strict)
    }

    /// What stands in the list of policies, from line 41 on; all problems, and no other.
    @Test(
        arguments: [
            ("{name: Web}", ["m:41:14: spec.policies[0].name: `Web` is no policy name: it must"]),
            ("{action: allow}", ["m:41:7: spec.policies[0]: the field `name` is missing"]),
            (
                "{name: a}\n    - {name: b}\n    - {name: a}",
                [
                    "m:43:14: spec.policies[2].name: the policy name `a` is used twice, "
                        + "first on line 41"
                ]
            ),
            ("{name: a, action: drop}", ["`drop` is not one of allow, deny"]),
            ("{name: a, form: {}}", ["spec.policies[0].form: unknown field; did you mean `from`?"]),
            ("{name: a, from: []}", ["spec.policies[0].from: must be a map of fields, not a list"]),
            ("{name: a, from: }", ["spec.policies[0].from: has no value"]),
            (
                "{name: a, to: {namespace: [kafka]}}",
                ["to.namespace: unknown field; did you mean `namespaces`?"]
            ),
            (
                "{name: a, to: {namespaces: kafka}}",
                ["to.namespaces: must be a list, not a single value"]
            ),
            (
                "{name: a, from: {namespaces: []}, to: {clusters: []}, ports: [], regions: []}",
                [
                    "from.namespaces: needs at least 1 item", "to.clusters: needs at least 1 item",
                    "ports: needs at least 1 item", "regions: needs at least 1 item",
                ]
            ),
            (
                "{name: a, from: {namespaces: [Kafka, \"a b\", \"no\", yes, \"\"]}}",
                [
                    "m:41:37: spec.policies[0].from.namespaces[0]: `Kafka` is no pattern: it must "
                        + "be 1 to 63 lower-case letters",
                    "namespaces[1]: `a b` is no pattern", "`yes` could be read as true or false",
                    "namespaces[4]: has 0 bytes",
                ]
            ),
            ("{name: a, from: {namespaces: [*]}}", ["a pattern that begins with * needs quotes"]),
            ("{name: a, from: {namespaces: [*x]}}", ["a pattern that begins with * needs quotes"]),
            (
                "{name: a, from: {labels: {Role: x, role: \"b c\", \"\": z}}}",
                [
                    "from.labels.Role: `Role` is no part of a label",
                    "from.labels.role: `b c` is no pattern", "labels.\"\": has 0 bytes",
                ]
            ),
            ("{name: a, from: {labels: {}}}", ["from.labels: needs at least 1 label"]),
            (
                "{name: a, from: {labels: {r: x, r: z}}}",
                ["from.labels.r: given twice, first on line 41"]
            ),
            (
                "{name: a, ports: [icmp/80, tcp/0, tcp/70000, tcp/9-8, tcp, http/80, 9092, tcp/]}",
                [
                    "ports[0]: `icmp/80` is not understood: icmp has no ports; it must be tcp,",
                    "ports[1]: `tcp/0` is not understood; it must be tcp, udp, sctp or icmp; the "
                        + "first three with /PORT or /PORT-PORT if not all",
                    "ports[2]: `tcp/70000`", "ports[3]: `tcp/9-8`", "ports[5]: `http/80`",
                    "ports[6]: `9092`", "ports[7]: `tcp/`",
                ]
            ),
            ("{name: a, ports: [{tcp: 1}]}", ["ports[0]: must be such as tcp/9092, not a map"]),
            ("{name: a, ports: tcp/1}", ["ports: must be a list, not a single value"]),
            ("{name: a, log: yes}", ["log: `yes` is not true or false: write true"]),
            ("{name: a, description: \"\"}", ["description: has 0 bytes; at least 1 allowed"]),
            (
                "{name: a, description: \(String(repeating: "x", count: 257))}",
                ["description: has 257 bytes; at most 256 allowed"]
            ),
            (
                "{name: a, description: \"x\\n\"}",
                ["description: holds a control character: remove it"]
            ),
            ("{name: a, description: \"x\\u202e\"}", ["description: holds an invisible character"]),
            (
                "{name: a, regions: [\(many(65))]}",
                ["regions[64]: too many: 65 items, at most 64 allowed"]
            ),
            (
                "{name: a, ports: [\((1...65).map { "tcp/\($0)" }.joined(separator: ", "))]}",
                ["ports[64]: too many: 65 items, at most 64 allowed"]
            ),
            (
                "{name: a, to: {labels: {\(many(17, ": x"))}}}",
                ["to.labels: too many: 17 entries, at most 16 allowed"]
            ),
            ("kafka", ["spec.policies[0]: must be a map of fields, not a single value"]),
        ] as [(String, [String])])
    func refusesPolicies(_ policies: String, _ expected: [String]) throws {
        try refuses("  policies:\n    - \(policies)\n", expected)
    }

    /// What stands in the list of services, from line 41 on.
    @Test(
        arguments: [
            ("{name: a}", ["m:41:7: spec.services[0]: the field `namespace` is missing"]),
            ("{namespace: kafka}", ["m:41:7: spec.services[0]: the field `name` is missing"]),
            (
                "{name: a, namespace: kafak}",
                [
                    "m:41:28: spec.services[0].namespace: the slice has no namespace `kafak`; did "
                        + "you mean `kafka`?"
                ]
            ),
            ("{name: a, namespace: \"k*\"}", ["`k*` is no namespace name"]),
            (
                "{name: a, namespace: kafka}\n    - {name: a, namespace: billing}\n"
                    + "    - {name: a, namespace: kafka}",
                [
                    "m:43:14: spec.services[2].name: the service `a` of namespace `kafka` is there "
                        + "twice, first on line 41"
                ]
            ),
            (
                "{name: a, namespace: kafka, port: 1}",
                ["spec.services[0].port: unknown field; did you mean `ports`?"]
            ),
            (
                "{name: a, namespace: kafka, ports: []}", ["ports: needs at least 1 item"]
            ),
            (
                "{name: a, namespace: kafka, ports: [{name: p}, {port: 1}, {name: q, port: 0}]}",
                [
                    "ports[0]: the field `port` is missing",
                    "ports[1]: the field `name` is missing", "ports[2].port: 0 is out of range",
                ]
            ),
            (
                "{name: a, namespace: kafka, ports: [{name: p, port: 1},\n"
                    + "      {name: p, port: 2, protocol: udp}]}",
                ["m:42:7: spec.services[0].ports[1]: the port name `p` is used twice, first on"]
            ),
            (
                "{name: a, namespace: kafka, ports: [{name: sixteen-letters-, port: 1}, "
                    + "{name: Http, port: 1}, {name: a--b, port: 1}, {name: -a, port: 1}, "
                    + "{name: \"80\", port: 1}, {name: sixteen-letters1, port: 1}, "
                    + "{name: fifteen-letters, port: 1}]}",
                [
                    "ports[0].name: `sixteen-letters-` is no port name: it must be 1 to 15",
                    "`Http`", "`a--b`", "`-a`", "`80`", "`sixteen-letters1`",
                ]
            ),
            (
                "{name: a, namespace: kafka, ports: [{name: p, port: 1, protocol: icmp}]}",
                ["ports[0].protocol: icmp has no ports"]
            ),
            (
                "{name: a, namespace: kafka, ports: [{name: p, port: 1, protocol: TCP}]}",
                ["ports[0].protocol: `TCP` is not one of tcp, udp, sctp, icmp"]
            ),
            (
                "{name: a, namespace: kafka, endpoints: {names: [], label: {}}}",
                [
                    "endpoints.names: needs at least 1 item",
                    "endpoints.label: unknown field; did you mean `labels`?",
                ]
            ),
            (
                "{name: a, namespace: kafka, clusters: [], importedBy: []}",
                ["clusters: needs at least 1 item", "importedBy: needs at least 1 item"]
            ),
            (
                "{name: a, namespace: kafka, check: {interval: 499ms, timeout: 49ms, failures: 0}}",
                [
                    "check: the field `port` is missing",
                    "check.interval: is out of range: 500ms to 1h allowed",
                    "check.timeout: is out of range: 50ms to 1h allowed",
                    "check.failures: 0 is out of range: 1 to 10 allowed",
                ]
            ),
            (
                "{name: a, namespace: kafka, check: {port: 1, interval: 61m, failures: 11}}",
                ["check.interval: is out of range", "check.failures: 11 is out of range"]
            ),
            (
                "{name: a, namespace: kafka, check: {port: 1, timeout: 3s}}",
                ["check.timeout: is longer than the interval"]
            ),
            ("{name: a, namespace: kafka, check: true}", ["check: must be a map of fields"]),
        ] as [(String, [String])])
    func refusesServices(_ services: String, _ expected: [String]) throws {
        try refuses("  services:\n    - \(services)\n", expected)
    }

    private func refuses(_ more: String, _ expected: [String]) throws {
        let text = try Self.text(more)
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(text: text, file: "m")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) {
            #expect(problem.contains(wanted), "\(problem)")
        }
    }

    @Test(
        arguments: [
            ("regions: []", ["m:38:16: spec.namespaces[0].regions: needs at least 1 item"]),
            ("regions: eu-central", ["regions: must be a list, not a single value"]),
            ("regions: [EU]", ["regions[0]: `EU` is no pattern"]),
            ("region: [eu-*]", ["region: unknown field; did you mean `regions`?"]),
        ] as [(String, [String])])
    func refusesFences(_ line: String, _ expected: [String]) throws {
        let text = try Sample.manifest.replacing(
            first: "- name: kafka\n", with: "- name: kafka\n      \(line)\n")
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(text: text, file: "m")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) { #expect(problem.contains(wanted)) }
    }

    /// Where no list of namespaces could be read, none is said to be missing.
    @Test func noNoiseAboutNamespaces() throws {
        let text = try Sample.manifest.replacing(first: "- name: kafka\n", with: "- name: KAFKA\n")
        let found = problems { () throws(ConfigProblems) in
            try SliceManifest.parse(
                text: text + "  services: [{name: a, namespace: none}]\n", file: "m")
        }
        #expect(found.count == 1 && found[0].contains("`KAFKA` is no namespace name"), "\(found)")
    }

    @Test func limitsAreNamed() throws {
        let services = (0..<4097).map { "{name: s\($0), namespace: kafka}" }
        try refuses(
            "  services: [\(services.joined(separator: ",\n"))]\n",
            ["spec.services[4096]: too many: 4097 items, at most 4096 allowed"])
        #expect(ManifestLimits.policies == 100_000 && ManifestLimits.namespaces == 4096)
        #expect(ManifestLimits.clusters == 512 && ManifestLimits.gateways == 1024)
    }
}

private func many(_ count: Int, _ rest: String = "") -> String {
    (0..<count).map { "x\($0)\(rest)" }.joined(separator: ", ")
}
