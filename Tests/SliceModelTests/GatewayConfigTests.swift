import ConfigFile
import Foundation
import SliceModel
import Testing

@Suite struct GatewayConfigTests {
    private let sample = """
        cluster: west
        slices:
          - manifest: /etc/a.yaml
            owner: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
            privateKeyFile: /etc/a.key
            endpoints:
              - {namespace: kafka, name: broker-0, netns: b0}

        """

    private func reference() throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "gateway.conf"), encoding: .utf8)
    }

    @Test func theReferenceFileWorks() throws {
        let config = try GatewayConfig.parse(text: reference(), file: "gateway.conf")
        #expect(config.cluster.text == "west" && config.slices.isEmpty)
        // What it says to be defaults are the defaults.
        let least = try GatewayConfig.parse(text: "cluster: west\nslices: []\n", file: "g")
        #expect(config == least)
    }

    @Test func theReferenceExampleWorks() throws {
        let lines = try reference().split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasPrefix("# --- example") })
        let end = try #require(lines.firstIndex { $0.hasPrefix("# --- end") })
        let example = lines[(start + 1)..<end].map { $0 == "#" ? "" : $0.dropFirst(2) }
        let before = lines[..<start].filter { $0 != "slices: []" }
        let text = (before + example).joined(separator: "\n")
        let config = try GatewayConfig.parse(text: text, file: "gateway.conf")
        let slice = try #require(config.slices.first)
        #expect(slice.manifest == "/etc/slice-gateway/payments.yaml" && slice.listenPort == 51821)
        // RFC 8032 section 7.1, test 1.
        #expect(slice.owner.description == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        let psk = slice.presharedKeyFile(for: try Sample.name("east"))
        #expect(psk == "/etc/slice-gateway/payments-east.psk")
        #expect(slice.presharedKeyFile(for: try Sample.name("north")) == nil)
        #expect(
            slice.endpoints.map(\.reference) == [.netns("broker-0"), .path("/run/netns/broker-1")])
        #expect(slice.endpoints.map(\.labels.description) == ["role=broker", ""])
    }

    /// A field that the reader knows and the reference does not name would be a secret.
    @Test func theReferenceNamesEveryField() throws {
        let text = try reference()
        for scope in [
            "", "limits:\n  ", "dns:\n  ", "directory:\n  ", "http:\n  ", "audit:\n  ",
            "slices:\n  - ", "slices:\n  - endpoints:\n    - ",
        ] {
            let wrong = scope + "zzzzzzzzzzzzzzzz: 1\n"
            let found = problems { () throws(ConfigProblems) in
                try GatewayConfig.parse(text: wrong, file: "g")
            }
            let unknown = try #require(found.first { $0.contains("unknown field; known here: ") })
            let fields = try #require(unknown.split(separator: "known here: ").last)
            for field in fields.split(separator: ", ") {
                // pid stands in a comment only: a file outlives processes.
                #expect(text.contains("\(field):") || field == "pid", "\(field)")
            }
        }
    }

    @Test(
        arguments: [
            ("cluster: west\n", "", ["g:1:1: the field `cluster` is missing"]),
            (
                "cluster: west", "cluster: no",
                ["g:1:10: cluster: `no` could be read as true or false"]
            ),
            (
                "cluster: west", "cluster: west\nlogLevel: inf",
                [
                    "g:2:11: logLevel: `inf` is not one of trace, debug, info, "
                        + "notice, warning, error, critical; "
                        + "did you mean `info`?"
                ]
            ),
            (
                "cluster: west", "cluster: west\nstateDirectory: state",
                [
                    "g:2:17: stateDirectory: `state` must be an absolute path"
                ]
            ),
            (
                "cluster: west",
                "cluster: west\nadminSocket: /\(String(repeating: "a", count: 107))",
                [
                    "longer than the 107 bytes"
                ]
            ),
            (
                "cluster: west", "cluster: west\nlimits: {maxSlices: 65}",
                ["65 is out of range: 1 to 64"]
            ),
            (
                "cluster: west", "cluster: west\nstate_directory: /x",
                ["did you mean `stateDirectory`?"]
            ),
            (
                "    privateKeyFile: /etc/a.key\n", "    privateKey: x\n",
                [
                    "g:3:5: slices[0]: the field `privateKeyFile` is missing",
                    "g:5:5: slices[0].privateKey: keys do not belong in this file",
                ]
            ),
            ("11qYAYKxCrfVS", "21qYAYKxCrfVS", ["is not an owner's public key"]),
            (
                "netns: b0", "netns: b0, pid: 3",
                ["g:7:9: slices[0].endpoints[0]: netns and pid together"]
            ),
            (", netns: b0", "", ["say which network namespace it is: give netns, path or pid"]),
            ("netns: b0", "netns: ../x", ["must be a name as `ip netns` shows it"]),
            ("netns: b0", "pid: 0", ["0 is out of range: 1 to 2147483647"]),
            (
                "netns: b0}", "netns: b0}\n      - {namespace: kafka, name: broker-0, netns: b1}",
                [
                    "g:8:9: slices[0].endpoints[1]: the endpoint kafka/broker-0 is used twice, "
                        + "first on line 7"
                ]
            ),
            (
                "netns: b0}", "netns: b0}\n      - {namespace: kafka, name: broker-1, netns: b0}",
                [
                    "the network namespace netns:b0 is used twice"
                ]
            ),
            (
                "    endpoints:", "    presharedKeys: {west: /k}\n    endpoints:",
                [
                    "g:6:21: slices[0].presharedKeys.west: `west` is this cluster itself"
                ]
            ),
            (
                "    endpoints:", "    presharedKeys: {east: k, WEST: /k}\n    endpoints:",
                [
                    "slices[0].presharedKeys.east: `k` must be an absolute path",
                    "slices[0].presharedKeys.WEST: `WEST` is no cluster name",
                ]
            ),
        ] as [(String, String, [String])])
    func refuses(_ old: String, _ new: String, _ expected: [String]) throws {
        let text = try sample.replacing(first: old, with: new)
        let found = problems { () throws(ConfigProblems) in
            try GatewayConfig.parse(text: text, file: "g")
        }
        #expect(found.count == expected.count, "\(found)")
        for (problem, wanted) in zip(found, expected) { #expect(problem.contains(wanted)) }
    }

    @Test func slicesAreApart() throws {
        let second = """
              - manifest: /etc/a.yaml
                owner: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
                privateKeyFile: /etc/a.key
                listenPort: 1
              - manifest: /etc/c.yaml
                owner: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
                privateKeyFile: /etc/c.key
                listenPort: 1
            """
        let found = problems { () throws(ConfigProblems) in
            try GatewayConfig.parse(text: sample + second, file: "g")
        }
        #expect(found.count == 3)
        #expect(
            found.first?.contains(
                "g:8:15: slices[1].manifest: the manifest /etc/a.yaml is used twice") == true)
        #expect(
            found.last?.contains("slices[2].listenPort: the port 1 is used twice, first on line 11")
                == true)
        let few = sample.replacing("cluster: west", with: "cluster: west\nlimits: {maxSlices: 1}")
        let limited = problems { () throws(ConfigProblems) in
            try GatewayConfig.parse(text: few + second, file: "g")
        }
        #expect(limited.contains { $0.contains("too many: 3 items, at most 1 allowed") })
    }
}
