import AdminAPI
import FoundationEssentials
import Testing
import slicectl

/// Golden texts: a report in, what a person reads out.
@Suite struct ViewTests {
    @Test func statusSaysWhatIsWrongFirst() throws {
        #expect(StatusView.text(Samples.status) == (try golden("status")))
    }

    @Test func statusOfPoliciesDirectoryAndNames() throws {
        #expect(StatusView.text(Samples.known) == (try golden("status-known")))
    }

    @Test func anOlderDaemonsStatusIsRead() throws {
        let old = """
            {"daemon":{"cluster":"west","processID":1,"uptimeSeconds":5,"version":"0.1.0"},
            "slices":[{"name":"s","manifestVersion":1,"manifestDigest":"d","interface":"i",
            "routerNamespace":"n","publicKey":"k","listenPort":1,"mtu":1440,"isolation":"open",
            "addresses":[],"state":"up","problems":[],"peers":[],"endpoints":[],"drops":{}}]}
            """
        let report = try JSONDecoder().decode(StatusReport.self, from: Data(old.utf8))
        #expect(report.slices[0].policies == nil)
        #expect(report.slices[0].disagreements == [])
        #expect(report.daemon.auditEntries == nil)
        let new = try JSONEncoder().encode(Samples.known)
        #expect(try JSONDecoder().decode(StatusReport.self, from: new) == Samples.known)
    }

    @Test(
        arguments: [
            ((7, "d", "p"), nil),
            ((8, "x", "x"), "east has a newer manifest: version 8, here 7"),
            ((6, "x", "x"), "east has an older manifest: version 6, here 7"),
            ((7, "x", "p"), "east has another manifest of the same version 7: its digest is x"),
            ((7, "d", "x"), "east enforces other policies, though the manifest is the same"),
            ((7, nil, nil), nil), ((nil, nil, "p"), nil),
        ] as [((UInt64?, String?, String?), String?)])
    func disagreements(of theirs: (UInt64?, String?, String?), problem: String?) {
        var slice = Samples.status.slices[0]
        slice.manifestVersion = 7
        slice.manifestDigest = "d"
        slice.policyDigest = "p"
        slice.directory = [
            DirectoryPeerReport(
                cluster: "east", state: .fresh, manifestVersion: theirs.0,
                manifestDigest: theirs.1, policyDigest: theirs.2)
        ]
        #expect(slice.disagreements == (problem.map { [$0] } ?? []))
    }

    @Test func statusWithoutSlices() {
        let report = StatusReport(
            daemon: DaemonStatus(
                version: "0.1.0", cluster: "west", processID: 1, uptimeSeconds: 5,
                configurationLoadedAt: "2026-11-23T22:00:00Z"))
        #expect(
            StatusView.text(report) == """
                gateway of cluster west, version 0.1.0, process 1, up 5s, configuration of \
                2026-11-23T22:00:00Z

                no slices: name one in gateway.conf, then run `slicectl reload`

                """)
    }

    @Test func statusOfASliceThatDidNotStart() {
        var report = Samples.status
        report.slices = [
            SliceStatus(
                name: "payments", manifestVersion: 0, manifestDigest: "", interface: "",
                routerNamespace: "", publicKey: "", listenPort: 0, mtu: 0, isolation: "",
                state: .down, problems: ["cannot open payments.yaml: No such file"])
        ]
        #expect(
            StatusView.text(report) == """
                gateway of cluster west, version 0.1.0, process 812, up 1d 2h

                slice payments: down
                  ! cannot open payments.yaml: No such file
                  no manifest is in force

                """)
    }

    @Test func theDaemonsOwnSentenceIsNotRepeated() {
        var report = Samples.status
        report.slices[0].problems = ["peer east does not answer at all"]
        let text = StatusView.text(report)
        #expect(text.contains("! peer east does not answer at all"))
        #expect(!text.contains("! east: no handshake yet"))
        #expect(text.contains("! north: no handshake yet"))
    }

    @Test func colourOnlyRepeatsTheWords() {
        let plain = StatusView.text(Samples.status)
        let coloured = StatusView.text(Samples.status, style: Style(hasColour: true))
        #expect(coloured.contains("\u{1b}[31mnever\u{1b}[0m"))
        #expect(coloured.contains("\u{1b}[32mup\u{1b}[0m"))
        var stripped = ""
        var isEscape = false
        for scalar in coloured.unicodeScalars {
            if scalar == "\u{1b}" {
                isEscape = true
            } else if isEscape {
                isEscape = scalar != "m"
            } else {
                stripped.unicodeScalars.append(scalar)
            }
        }
        #expect(stripped == plain)
    }

    @Test func peers() throws {
        let slice = Samples.status.slices[0]
        let rows = slice.peers.map { PeersView.Row(slice: slice.name, peer: $0) }
        #expect(PeersView.text(rows) == (try golden("peers")))
        #expect(PeersView.text([]) == "no peers: no slice has another cluster\n")
    }

    @Test func aCipherIsNamedWhereItIsNotWireGuards() {
        var slice = Samples.status.slices[0]
        slice.peers[0].cipher = "aes-256-gcm"
        let peers = PeersView.text(slice.peers.map { .init(slice: slice.name, peer: $0) })
        var status = Samples.status
        status.slices[0] = slice
        for text in [peers, StatusView.text(status)] {
            let lines = text.split(separator: "\n").filter { $0.contains("CIPHER") }
            #expect(lines.count == 1 && text.contains("aes-256-gcm"), "\(text)")
        }
    }

    @Test func anExpiredSessionIsOnlyAFaultIfPacketsWait() {
        var peer = PeerReport(
            cluster: "south", publicKey: "S", endpoint: "192.0.2.9:1", handshakeAgeSeconds: 200)
        #expect(!PeersView.text([.init(slice: "s", peer: peer)]).contains("!"))
        peer.stagedPackets = 1
        #expect(
            PeersView.text([.init(slice: "s", peer: peer)]).hasPrefix(
                "! s: south: no answer at 192.0.2.9:1 for 3m 20s, 1 packet waiting\n"))
    }

    @Test func pingPrintsEachReplyAndASummary() {
        var statistics = PingStatistics(keepsReplies: true)
        let replies = [
            PingReply(
                outcome: .answered, sequence: 1, address: "10.80.2.1", cluster: "east",
                rttMicroseconds: 20_431),
            PingReply(outcome: .timedOut, sequence: 2, address: "10.80.2.1", cluster: "east"),
            PingReply(
                outcome: .answered, sequence: 3, address: "10.80.2.1", rttMicroseconds: 22_431),
        ]
        for reply in replies { statistics.add(reply) }
        #expect(
            replies.map { PingView.line($0, payloadBytes: 56) }.joined()
                + statistics.text(target: "east") == """
                    64 bytes from 10.80.2.1 (east): seq=1 time=20.4 ms
                    no answer from 10.80.2.1 (east): seq=2 timed out
                    64 bytes from 10.80.2.1: seq=3 time=22.4 ms
                    --- east ---
                    3 sent, 2 received, 33.3% lost
                    min/avg/max/mdev = 20.431/21.431/22.431/1.000 ms

                    """)
        #expect(statistics.replies == replies)
        var none = PingStatistics(keepsReplies: false)
        none.add(replies[1])
        #expect(none.text(target: "e\u{1b}[2J") == "--- e?[2J ---\n1 sent, 0 received, 100% lost\n")
        #expect(none.replies.isEmpty)
    }

    @Test func doctorPutsFailuresFirst() {
        let report = DoctorReport(checks: [
            .init("kernel", .ok, seen: "Linux 6.18"),
            .init("UDP port", .warn, seen: "slow", advice: "buy another"),
            .init("TUN", .fail, seen: "missing", advice: "modprobe tun"),
        ])
        #expect(
            DoctorView.text(report, source: "as slicectl sees this host") == """
                as slicectl sees this host

                FAIL  TUN       missing
                                -> modprobe tun
                warn  UDP port  slow
                                -> buy another
                ok    kernel    Linux 6.18

                1 failed, 1 warning, 1 are well

                """)
    }

    @Test func changes() {
        let same = ApplyManifestReply(slice: "payments", version: 3, digest: "d", changed: false)
        #expect(
            ChangesView.applied(same, isDryRun: false)
                == "slice payments, version 3: in force already, nothing to change\n")
        let other = ApplyManifestReply(
            slice: "payments", version: 4, digest: "d", changed: true,
            changes: ["add peer east", "route 10.80.3.0/24"], warnings: ["east has no address"])
        #expect(
            ChangesView.applied(other, isDryRun: true) == """
                ! east has no address
                slice payments, version 4 would change:
                  - add peer east
                  - route 10.80.3.0/24

                """)
        #expect(ChangesView.reloaded(ReloadReply()) == "read again: nothing has changed\n")
    }
}
