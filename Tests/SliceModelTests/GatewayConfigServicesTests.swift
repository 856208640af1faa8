import Addresses
import ConfigFile
import SliceModel
import Testing
import Timing

/// What gateway.conf says of names, the directory, the page for people and the audit log.
@Suite struct GatewayConfigServicesTests {
    private func parsed(_ more: String) throws -> GatewayConfig {
        try GatewayConfig.parse(text: "cluster: west\nslices: []\n" + more, file: "g")
    }

    @Test func defaults() throws {
        let config = try parsed("")
        #expect(config.dns.isEnabled && config.dns.writesResolvConf && config.dns.forwarders == [])
        #expect(config.dns.zone == "slice.local" && config.directory.grace == .seconds(600))
        #expect(config.http == nil && config.auditFile == "/var/lib/slice-gateway/audit.log")
        #expect(try parsed("stateDirectory: /s/\n").auditFile == "/s/audit.log")
        #expect(try parsed("stateDirectory: /s\naudit: {}\n").auditFile == "/s/audit.log")
    }

    @Test func everythingGiven() throws {
        let config = try parsed(
            """
            dns:
              enabled: false
              zone: mesh.example
              forward: [192.0.2.53, "fd00::53", 192.0.2.53:5353, "[fd00::53]:5353"]
              resolvConf: false
            directory: {grace: 90s}
            http: {listen: "[::1]:9469", names: [Gateway-1.example, metrics]}
            audit: {file: /var/log/slices.log}

            """)
        #expect(!config.dns.isEnabled && !config.dns.writesResolvConf)
        #expect(config.dns.zone == "mesh.example" && config.directory.grace == .seconds(90))
        #expect(
            config.dns.forwarders.map(\.description) == [
                "192.0.2.53:53", "[fd00::53]:53", "192.0.2.53:5353", "[fd00::53]:5353",
            ])
        #expect(config.http?.listen.description == "[::1]:9469")
        #expect(config.http?.names == ["gateway-1.example", "metrics"])
        #expect(config.auditFile == "/var/log/slices.log")
    }

    @Test(
        arguments: [
            (
                "dns: {enabled: yes}",
                ["g:3:16: dns.enabled: `yes` is not true or false: write true"]
            ),
            ("dns: {zone: Slice.local}", ["dns.zone: `Slice.local` is no zone: it must be 1 to"]),
            ("dns: {zone: slice.local.}", ["is no zone"]),
            ("dns: {zone: slice..local}", ["is no zone"]),
            ("dns: {zone: \(String(repeating: "a.", count: 31))bc}", ["is no zone"]),
            ("dns: {zone: 80.10.in-addr.arpa}", ["names under arpa mean something else"]),
            ("dns: {zone: localhost}", ["`localhost` is taken"]),
            ("dns: {forward: 192.0.2.1}", ["dns.forward: must be a list, not a single value"]),
            (
                "dns: {forward: [resolver, 224.0.0.251, 192.0.2.1:0]}",
                [
                    "dns.forward[0]: `resolver` is not a DNS server such as 192.0.2.53",
                    "dns.forward[1]: 224.0.0.251 is no address of a host (multicast)",
                    "dns.forward[2]: port 0 cannot be asked",
                ]
            ),
            (
                "dns:\n  forward:\n    - 192.0.2.1\n    - 192.0.2.1:53",
                ["g:6:7: dns.forward[1]: the forwarder 192.0.2.1:53 is used twice, first on line 5"]
            ),
            (
                "dns: {forward: [1.0.0.1, 1.0.0.2, 1.0.0.3, 1.0.0.4, 1.0.0.5, 1.0.0.6, 1.0.0.7, "
                    + "1.0.0.8, 1.0.0.9]}", ["too many: 9 items, at most 8 allowed"]
            ),
            ("dns: {resolvconf: true}", ["did you mean `resolvConf`?"]),
            ("directory: {grace: 0s}", ["directory.grace: is out of range: 1s to 168h allowed"]),
            ("directory: {grace: 600}", ["`600` is not a duration"]),
            ("http: {}", ["g:3:7: http: the field `listen` is missing"]),
            ("http: {listen: 9469}", ["`9469` is not an address with a port"]),
            ("http: {listen: 127.0.0.1:0}", ["http.listen: port 0 cannot be found by anybody"]),
            (
                "http: {listen: 127.0.0.1:1, names: [\"a:80\"]}",
                ["http.names[0]: `a:80` is no name of a host such as"]
            ),
            ("audit: {file: audit.log}", ["audit.file: `audit.log` must be an absolute path"]),
            ("audit:", ["g:3:1: audit: has no value: give it one or remove the field"]),
        ] as [(String, [String])])
    func refuses(_ more: String, _ expected: [String]) {
        let found = problems { () throws(ConfigProblems) in
            try GatewayConfig.parse(text: "cluster: west\nslices: []\n\(more)\n", file: "g")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) {
            #expect(problem.contains(wanted), "\(problem)")
        }
    }

    // MARK: Labels of endpoints

    private func endpoint(_ labels: String) -> String {
        """
        cluster: west
        slices:
          - manifest: /etc/a.yaml
            owner: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
            privateKeyFile: /etc/a.key
            endpoints:
              - {namespace: kafka, name: broker-0, netns: b0, labels: \(labels)}

        """
    }

    @Test func labelsAreRead() throws {
        let config = try GatewayConfig.parse(
            text: endpoint("{tier: \"1\", app.io_x: a_b.c}"), file: "g")
        let labels = try #require(config.slices.first?.endpoints.first?.labels)
        #expect(labels.description == "app.io_x=a_b.c,tier=1" && labels["tier"] == "1")
    }

    @Test(
        arguments: [
            ("{tier: 1}", ["labels.tier: `1` could be read as a number: quote it"]),
            ("{role: Broker}", ["labels.role: `Broker` is no part of a label, which must be NAM"]),
            ("{a/b: c}", ["`a/b` is no part of a label"]),
            ("{role: \"\"}", ["labels.role: has 0 bytes; at least 1 allowed"]),
            ("{role: [a]}", ["labels.role: must be text, not a list"]),
            ("{role: a, role: b}", ["labels.role: given twice, first on line 7"]),
            ("[role]", ["labels: must be a map, not a list"]),
            (
                "{" + (0..<17).map { "l\($0): v" }.joined(separator: ", ") + "}",
                ["labels: too many: 17 entries, at most 16 allowed"]
            ),
        ] as [(String, [String])])
    func refusesLabels(_ labels: String, _ expected: [String]) {
        let found = problems { () throws(ConfigProblems) in
            try GatewayConfig.parse(text: endpoint(labels), file: "g")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) {
            #expect(problem.contains(wanted), "\(problem)")
        }
    }
}
