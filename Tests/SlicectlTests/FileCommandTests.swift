import Glibc
import Testing
import slicectl

/// Commands that need no daemon: keys and manifests, in files.
@Suite struct FileCommandTests {
    private func mode(_ path: String) -> mode_t {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & 0o777 : 0
    }

    private func write(_ path: String, _ text: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        fputs(text, file)
    }

    private func keys(_ directory: String) async -> (owner: String, west: String, east: String) {
        var keys: [String] = []
        for (name, flags) in [("o", ["--owner"]), ("w", []), ("e", ["--gateway"])] {
            let run = await invoke(["keygen"] + flags + ["--output", "\(directory)/\(name)"])
            keys.append(String(run.out.dropLast()))
        }
        return (keys[0], keys[1], keys[2])
    }

    @Test func keygenAndPubkeyAgree() async throws {
        try await withDirectory { directory in
            for flags in [["--owner"], [], ["--preshared"]] {
                let path = "\(directory)/k"
                let made = await invoke(["keygen", "-o", path] + flags)
                #expect(made.status == 0 && mode(path) == 0o600)
                let secret = try read(path)
                #expect(!made.out.contains(secret) && !made.error.contains(secret))
                if flags != ["--preshared"] {
                    #expect(made.out.utf8.count == 45)
                    #expect(await invoke("pubkey", path).out == made.out)
                }
                let again = await invoke(["keygen", "-o", path] + flags)
                #expect(again.status == 5 && again.error.contains("--force"))
                #expect(try read(path) == secret)
                let forced = await invoke(["keygen", "-o", path, "--force"] + flags)
                #expect(forced.status == 0 && mode(path) == 0o600)
                #expect(try read(path) != secret)
                unlink(path)
            }
            let bare = await invoke("keygen")
            #expect(bare.out.utf8.count == 45 && bare.status == 0)
        }
    }

    @Test func pubkeyRefusesWhatOthersCanReadAndWhatIsNoKey() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/k"
            _ = await invoke("keygen", "-o", path)
            chmod(path, 0o644)
            let open = await invoke("pubkey", path)
            #expect(open.status == 1 && open.error.contains("hint: run `chmod 600 \(path)`"))
            try write(path, "not a key, but perhaps a secret\n")
            chmod(path, 0o600)
            let wrong = await invoke("pubkey", path)
            #expect(wrong.status == 2 && !wrong.error.contains("perhaps"))
            #expect(await invoke("pubkey", "\(directory)/none").status == 4)
        }
    }

    @Test func aManifestFromNothingToSigned() async throws {
        try await withDirectory { directory in
            let (owner, west, _) = await keys(directory)
            let file = "\(directory)/payments.yaml"
            let new = await invoke(
                "slice", "new", "--name", "payments", "--prefix", "10.80.0.0/16", "--cluster",
                "west=us-west,192.0.2.1:51820,\(west)", "--cluster",
                "east=us-east,10.80.7.0/24,gw.example.net:51820", "--namespace", "kafka", "-o",
                file)
            #expect(new.status == 0 && new.error.contains("the public key of east"))
            #expect(try read(file).contains("- 10.80.7.0/24"))
            // The key of east is still to be filled in.
            let early = await invoke("slice", "sign", file, "--key", "\(directory)/o")
            #expect(early.status == 2 && early.error.contains("publicKey"))

            let full = await invoke(
                "slice", "new", "--name", "payments", "--prefix", "10.80.0.0/16", "--cluster",
                "west=us-west,192.0.2.1:51820,\(west)", "--cluster",
                "east=us-east,\(await invoke("pubkey", "\(directory)/e").out.dropLast())",
                "--namespace", "kafka")
            try write(file, full.out)
            chmod(file, 0o640)
            #expect(await invoke("slice", "verify", file).status == 1)
            let signed = await invoke("slice", "sign", file, "--key", "\(directory)/o")
            #expect(signed.status == 0 && mode(file) == 0o640)
            let text = try read(file)
            #expect(text.hasPrefix(full.out) && text.contains("\nsignature:\n  key: \(owner)\n"))

            #expect(await invoke("slice", "verify", file, "--owner", owner).status == 0)
            let other = await invoke("slice", "verify", file, "--owner", west, "--json")
            #expect(other.status != 0 && other.out.isEmpty)
            try write(file, text.replacingOnce("51820\n", "51821\n"))
            let changed = await invoke("slice", "verify", file, "--json")
            #expect(changed.status == 1 && changed.error.contains("changedAfterSigning"))
            try write(file, text.replacingOnce("isolation: open", "isolated: open"))
            let broken = await invoke("slice", "verify", file)
            #expect(broken.status == 2 && broken.error.contains("\(file):"))
            #expect(broken.error.contains("spec.isolated"))
        }
    }

    @Test func doctorGoesThroughAConfiguration() async throws {
        try await withDirectory { directory in
            let (owner, west, east) = await keys(directory)
            let manifest = "\(directory)/p.yaml"
            let config = "\(directory)/g.conf"
            _ = await invoke(
                "slice", "new", "--name", "payments", "--prefix", "10.80.0.0/16", "--cluster",
                "west=us-west,127.0.0.1:51820,\(west)", "--cluster",
                "east=us-east,127.0.0.2:51820,\(east)", "--namespace", "kafka", "-o", manifest)
            _ = await invoke("slice", "sign", manifest, "-k", "\(directory)/o")
            try write(
                config,
                """
                cluster: west
                stateDirectory: \(directory)/state
                slices:
                  - manifest: \(manifest)
                    owner: \(owner)
                    privateKeyFile: \(directory)/w
                    endpoints: [{namespace: other, name: b0, netns: b0}]

                """)
            func check(_ word: String) async -> [Substring] {
                await invoke("doctor", "--config", config, "--socket", "/nonexistent")
                    .out.split(separator: "\n").filter { $0.contains(word) }
            }
            #expect(await check("version 1, signed by its owner").count == 1)
            #expect(await check("private key").first?.hasPrefix("ok") == true)
            #expect(await check("peer east").first?.contains("through lo") == true)
            #expect(await check("other/b0").first?.hasPrefix("FAIL") == true)

            try write("\(directory)/w", try read("\(directory)/e"))
            #expect(await check("private key").first?.contains("the manifest has") == true)
            chmod("\(directory)/w", 0o644)
            #expect(await check("chmod 600").count == 1)
            try write(manifest, try read(manifest).replacingOnce("version: 1\n", "version: 2\n"))
            #expect(await check("changed after it was signed").count == 1)
            try write(config, try read(config).replacingOnce("cluster: west", "cluster: north"))
            #expect(await check("no cluster `north`").count == 1)
            try write(config, "cluster: west\nslice: []\n")
            #expect(await check("\(config):2:1").count == 1)
            unlink(config)
            let absent = await invoke("doctor", "-c", config, "--socket", "/nonexistent")
            #expect(absent.status == 1 && absent.out.contains("cannot open \(config)"))
        }
    }

    @Test func applySpeaksToTheDaemonOnlyOfWhatIsSound() async throws {
        try await withDaemon { socket in
            try await withDirectory { directory in
                let (_, west, east) = await keys(directory)
                let file = "\(directory)/p.yaml"
                _ = await invoke(
                    "slice", "new", "--name", "payments", "--prefix", "10.80.0.0/16", "--cluster",
                    "west=us-west,\(west)", "--cluster", "east=us-east,192.0.2.7:51820,\(east)",
                    "-o", file)
                let unsigned = await invoke("slice", "apply", file, "--socket", socket)
                #expect(unsigned.status == 1 && unsigned.error.contains("not signed"))
                _ = await invoke("slice", "sign", file, "-k", "\(directory)/o")
                let old = await invoke("slice", "apply", file, "--socket", socket)
                #expect(old.status == 5 && old.error.contains("hint: raise spec.version\n"))
                try write(file, try read(file).replacingOnce("version: 1\n", "version: 3\n"))
                _ = await invoke("slice", "sign", file, "-k", "\(directory)/o")
                let dry = await invoke("slice", "apply", file, "-n", "--socket", socket)
                #expect(
                    dry.out == """
                        ! east has no address
                        slice payments, version 3 would change:
                          - add peer east

                        """)
                let applied = await invoke("slice", "apply", file, "--socket", socket)
                #expect(applied.out.contains("is in force:") && applied.status == 0)
            }
        }
    }

    @Test func showTellsWhatFollows() throws {
        let manifest = """
            apiVersion: slice-gateway.dev/v1alpha1
            kind: Slice
            metadata: {name: payments}
            spec:
              version: 7
              isolation: open
              prefixes: [10.80.0.0/16]
              port: 51820
              clusters:
                - name: west
                  region: us-west
                  prefixes: [10.80.1.0/24]
                  gateways:
                    - name: gw
                      publicKey: k/TLq102/uDdKI5Yj72v/pSosdZUnxT+QeEi1jy0mw0=
                      endpoints: ["192.0.2.1:51820"]
                - name: east
                  region: us-east
                  prefixes: [10.80.2.0/24]
                  gateways:
                    - name: gw-east
                      publicKey: 2IV7uMdSpUfgUf+o0BM/P4fVHB0/GA0wbX3W11gVSi0=
                      persistentKeepalive: 25s
              namespaces: [{name: kafka}, {name: test, clusters: [west]}]
            """
        let all = try ManifestView.text(ofManifest: manifest, file: "m", cluster: nil)
        #expect(all == (try golden("manifest")))
        let west = try ManifestView.text(ofManifest: manifest, file: "m", cluster: "west")
        #expect(west == (try golden("manifest-as-west")))
    }

    /// The sample above, strict, with `more` in its spec.
    private func strictManifest(_ more: String) -> String {
        """
        apiVersion: slice-gateway.dev/v1alpha1
        kind: Slice
        metadata: {name: payments}
        spec:
          version: 7
          isolation: strict
          prefixes: [10.80.0.0/16]
          port: 51820
          clusters:
            - name: west
              region: us-west
              prefixes: [10.80.1.0/24]
              gateways:
                - name: gw
                  publicKey: k/TLq102/uDdKI5Yj72v/pSosdZUnxT+QeEi1jy0mw0=
                  endpoints: ["192.0.2.1:51820"]
          namespaces:
            - {name: kafka, regions: ["us-*", "eu-*"]}
            - {name: apps, clusters: [west], regions: [us-west]}
        \(more)
        """
    }

    @Test func showTellsWhoMayTalkToWhom() throws {
        let manifest = strictManifest(
            """
              policies:
                - name: kafka-clients
                  description: applications reach brokers
                  from: {namespaces: [apps, "web-*"], clusters: [west], labels: {role: "client*"}}
                  to: {namespaces: [kafka]}
                  ports: [tcp/9092, tcp/9093-9095]
                  regions: ["us-*"]
                - {name: ping, ports: [icmp], to: {regions: ["*"]}}
                - {name: rest, action: deny, log: true}
              services:
                - name: brokers
                  namespace: kafka
                  ports: [{name: broker, port: 9092}, {name: dns, protocol: udp, port: 53}]
                  endpoints: {names: ["broker-*"], labels: {role: broker}}
                  clusters: [west]
                  check: {port: 9092, interval: 2s, failures: 1}
                - {name: all, namespace: apps, importedBy: ["w*"],
                   check: {port: 1, interval: 1500ms}}
            """)
        let text = try ManifestView.text(ofManifest: manifest, file: "m", cluster: nil)
        #expect(text == (try golden("manifest-strict")))
    }

    @Test func showPrintsTheBeginningOfMany() throws {
        let policies = (1...1100).map { "    - {name: p\($0), ports: [tcp/\($0)]}\n" }.joined()
        let services = (1...21).map { "    - {name: s\($0), namespace: apps}\n" }.joined()
        let manifest = strictManifest("  policies:\n\(policies)  services:\n\(services)")
        let text = try ManifestView.text(ofManifest: manifest, file: "m", cluster: nil)
        #expect(text.contains("\n20  p20     allow   all   all  tcp/20\nand 1,080 more policies\n"))
        #expect(
            text.hasSuffix(
                "\ns20      apps       all        all         all\nand 1 more services\n"))
    }

    @Test func strictSlicesAndWarnings() async throws {
        try await withDirectory { directory in
            let (owner, west, _) = await keys(directory)
            let file = "\(directory)/p.yaml"
            let new = await invoke(
                "slice", "new", "--name", "payments", "--prefix", "10.80.0.0/16", "--cluster",
                "west=us-west,192.0.2.1:51820,\(west)", "--namespace", "kafka", "--strict", "-o",
                file)
            #expect(new.status == 0, "\(new.error)")
            let text = try read(file)
            #expect(text.contains("\n  isolation: strict\n"))
            // The examples in it are good as they are.
            try write(
                file,
                text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                    line.hasPrefix("  # policies:") || line.hasPrefix("  # services:")
                        || line.hasPrefix("  #   ") ? "  " + line.dropFirst(4) : line
                }.joined(separator: "\n"))
            let signed = await invoke("slice", "sign", file, "--key", "\(directory)/o")
            #expect(signed.status == 0, "\(signed.error)")
            #expect(signed.error.contains("the slice has no namespace `app-*`"))
            let verified = await invoke("slice", "verify", file, "--owner", owner)
            #expect(verified.status == 0 && verified.out.contains("valid: slice payments"))
            #expect(verified.error.hasPrefix("warning: \(file):"))
            #expect(verified.error.contains("spec.policies[0].from.namespaces[0]: the slice has"))
            let json = await invoke("slice", "verify", file, "--owner", owner, "--json")
            #expect(json.error.isEmpty && json.out.contains("\"warnings\" : [\n"))
            let shown = await invoke("slice", "show", file, "--json")
            for part in [
                "\"policyDigest\" : \"", "\"action\" : \"allow\"", "\"app-*\"", "\"tcp/9092\"",
                "\"intervalSeconds\" : 2", "\"protocol\" : \"tcp\"",
            ] {
                #expect(shown.out.contains(part), "\(part)")
            }
        }
    }

    @Test(arguments: [
        ["--cluster", "west"], ["--cluster", "west=US"], ["--cluster", "west=us,gw.example.net"],
        ["--cluster", "west=us,1.2.3.4:1,1.2.3.4:2"], ["--cluster", "west=us,10.0.0.0/8"],
        ["--cluster", "west=us", "--prefix", "10.80.0.1/16"],
        ["--cluster", "west=us", "--port", "0"], ["--cluster", "west=us", "--port", "65536"],
        ["--cluster", "west=us", "--cluster", "west=us"],
        ["--cluster", "a=us", "--cluster", "b=us", "--prefix", "10.81.0.0/31"], [],
    ])
    func newRefusesNonsense(arguments: [String]) async {
        let run = await invoke(
            ["slice", "new", "--name", "s", "--prefix", "10.80.0.0/16"] + arguments)
        #expect(run.status == 2, "\(arguments): \(run.out)")
        #expect(run.out.isEmpty && run.error.contains("error: "))
    }

    @Test func usageErrorsAndHelp() async {
        let unknown = await invoke("frobnicate")
        #expect(unknown.status == 2 && unknown.error.hasPrefix("error: "))
        let json = await invoke("status", "--nope", "--json")
        #expect(json.status == 2 && json.error.contains("\"code\" : \"usage\""))
        for arguments in [[], ["slice"]] {
            let help = await invoke(arguments)
            #expect(help.status == 0 && help.out.contains("SUBCOMMANDS"))
        }
        for command in [
            "keygen", "pubkey", "attach", "detach", "status", "peers", "ping", "reload", "doctor",
            "version", "completions", "slice", "slice new", "slice sign", "slice verify",
            "slice show", "slice apply", "audit", "audit verify", "audit show", "audit head",
        ] {
            let help = await invoke(command.split(separator: " ").map(String.init) + ["--help"])
            #expect(help.status == 0 && help.out.contains("EXAMPLE"), "\(command)")
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = await invoke("completions", shell)
            #expect(script.status == 0 && script.out.contains("attach"))
        }
        #expect(await invoke("completions", "tcsh").status == 2)
        #expect(await invoke("--version").out == "\(Version.text)\n")
    }
}

extension String {
    fileprivate func replacingOnce(_ old: String, _ new: String) -> String {
        guard let place = firstRange(of: old) else { return self }
        return String(self[..<place.lowerBound]) + new + String(self[place.upperBound...])
    }

    private func firstRange(of text: String) -> Range<Index>? {
        indices.lazy.first { self[$0...].hasPrefix(text) }.map {
            $0..<self.index($0, offsetBy: text.count)
        }
    }
}
