import ConfigFile
import SliceModel
import Testing

/// What is allowed and probably not meant.
@Suite struct ManifestWarningTests {
    private func expect(_ text: String, _ expected: [String]) throws {
        let found = try Sample.parsed(text).warnings.map(\.description)
        #expect(found.count == expected.count, "\(found)")
        for (warning, wanted) in zip(found, expected) {
            #expect(warning.contains(wanted), "\(warning)")
        }
    }

    /// The list of policies in a strict slice begins on line 41.
    @Test(
        arguments: [
            ("{name: a, from: {namespaces: [kafka, \"*ll*\"]}, regions: [\"*-*\"]}", []),
            (
                "{name: a, from: {namespaces: [kafak]}}",
                [
                    "m:41:37: spec.policies[0].from.namespaces[0]: the slice has no namespace "
                        + "`kafak`; did you mean `kafka`?"
                ]
            ),
            // A pattern may wait for what comes; a name does not.
            ("{name: a, to: {namespaces: [kafka, \"web-*\"]}}", []),
            (
                "{name: a, to: {namespaces: [\"web-*\", kafka, web]}}",
                ["to.namespaces[2]: the slice has no namespace `web`"]
            ),
            (
                "{name: a, to: {namespaces: [\"web-*\", \"*b\"]}}",
                [
                    "to.namespaces[0]: the slice has no namespace `web-*`",
                    "to.namespaces[1]: the slice has no namespace `*b`",
                ]
            ),
            (
                "{name: a, to: {clusters: [wset], regions: [\"asia-*\"]}, regions: [mars]}",
                [
                    "to.clusters[0]: the slice has no cluster `wset`; did you mean `west`?",
                    "to.regions[0]: the slice has no cluster in a region `asia-*`",
                    "regions[0]: the slice has no cluster in a region `mars`",
                ]
            ),
            (
                "{name: a, from: {clusters: [west]}, log: true}",
                ["policies[0].log: only what a policy denies is logged, and this one allows"]
            ),
            ("{name: a, action: deny, log: true}", []),
            // Shadows.
            (
                "{name: a, to: {namespaces: [kafka]}}\n"
                    + "    - {name: b, action: deny, to: {namespaces: [kafka]}, ports: [tcp/1]}",
                [
                    "m:42:14: spec.policies[1].name: never decides: the policy `a` on line 41 "
                        + "comes first and matches all that it matches"
                ]
            ),
            (
                "{name: a, ports: [tcp/1-10, icmp], from: {labels: {r: \"x*\"}}}\n"
                    + "    - {name: b, ports: [tcp/5, tcp/9-10, icmp], from: {labels: {q: z, "
                    + "r: \"x*z\"}}}\n"
                    + "    - {name: c, ports: [tcp/5-11], from: {labels: {r: xx}}}\n"
                    + "    - {name: d, ports: [udp/5], from: {labels: {r: xx}}}\n"
                    + "    - {name: e, ports: [tcp/5], from: {labels: {r: \"*\"}}}\n"
                    + "    - {name: f, from: {labels: {r: xx}}}",
                ["spec.policies[1].name: never decides"]
            ),
            (
                "{name: a, regions: [\"*\"], from: {namespaces: [\"*\"]}, to: {clusters: [west]}}\n"
                    + "    - {name: b, to: {clusters: [west]}}",
                ["spec.policies[1].name: never decides"]
            ),
            (
                "{name: a, regions: [us-west]}\n    - {name: b, to: {clusters: [west]}}", []
            ),
            (
                "{name: a, action: deny}\n    - {name: b}\n    - {name: c}",
                ["m:41:14: spec.policies[0].name: matches everything: the 2 policies after `a`"]
            ),
            (
                "{name: a}\n    - {name: b}",
                ["matches everything: the policy after `a` never decides"]
            ),
        ] as [(String, [String])])
    func policies(_ policies: String, _ expected: [String]) throws {
        try expect(PolicyManifestTests.text("  policies:\n    - \(policies)\n"), expected)
    }

    @Test func policiesOfAnOpenSlice() throws {
        let allow = "    - {name: a, to: {namespaces: [kafka]}}\n"
        let deny = "    - {name: b, action: deny, ports: [tcp/22]}\n"
        let last = "    - {name: c, ports: [udp/1]}\n"
        func text(_ policies: String) throws -> String {
            try PolicyManifestTests.text("  policies:\n\(policies)", isolation: "open")
        }
        try expect(text(allow + deny), [])
        try expect(text(allow + deny + last), ["spec.policies[2].name: changes nothing: the slice"])
        try expect(
            text(allow + last),
            ["m:41:14: spec.policies[0].name: changes nothing: the slice is open, and no policy"])
    }

    @Test(
        arguments: [
            ("regions: [\"us-*\", \"ap-*\"]\n      clusters: [west, east]", []),
            (
                "regions: [\"us-*\"]\n      clusters: [west, east]",
                [
                    "m:39:24: spec.namespaces[0].clusters[1]: cluster `east` lies in ap-east-1, "
                        + "outside the fence of this namespace: it cannot be attached there"
                ]
            ),
            (
                "regions: [\"us-*\", us-east]",
                ["m:38:25: spec.namespaces[0].regions[1]: the slice has no cluster in a region"]
            ),
        ] as [(String, [String])])
    func fences(_ lines: String, _ expected: [String]) throws {
        try expect(
            Sample.manifest.replacing(
                first: "- name: kafka\n", with: "- name: kafka\n      \(lines)\n"), expected)
    }

    @Test func services() throws {
        try expect(
            Sample.manifest
                + "  services: [{name: a, namespace: kafka, clusters: [wast, east], "
                + "importedBy: [\"n*\"]}]\n",
            [
                "spec.services[0].clusters[0]: the slice has no cluster `wast`; did you mean",
                "spec.services[0].importedBy[0]: the slice has no cluster `n*`",
            ])
    }

    @Test func aClusterCalledAsTheServicesAre() throws {
        try expect(
            Sample.manifest.replacing(first: "- name: central", with: "- name: svc"),
            ["m:22:13: spec.clusters[1].name: endpoints of a cluster `svc` have the names of"])
    }

    @Test func theyAreFew() throws {
        let policies = (0..<300).map { "    - {name: p\($0), from: {namespaces: [none]}}\n" }
        let warnings = try Sample.parsed(
            PolicyManifestTests.text("  policies:\n" + policies.joined())
        ).warnings
        #expect(warnings.count == 101)
        #expect(warnings.last?.message == "and 499 more warnings, not shown: mend these first")
    }

    /// Much that is alike is compared with little: bounded work, and exact repetitions are found.
    @Test func manyPolicies() throws {
        var policies = "    - {name: wide, from: {labels: {a: b}}}\n"
        for index in 0..<1600 {
            policies += "    - {name: p\(index), to: {namespaces: [kafka]}, "
            policies += "ports: [tcp/\(index + 1)]}\n"
        }
        policies += "    - {name: again, to: {namespaces: [kafka]}, ports: [tcp/7]}\n"
        policies += "    - {name: narrow, from: {labels: {a: b, c: d}}}\n"
        try expect(
            PolicyManifestTests.text("  policies:\n" + policies),
            [
                "spec.policies[1601].name: never decides: the policy `p6`",
                "spec.policies[1602].name: never decides: the policy `wide`",
            ])
    }
}
