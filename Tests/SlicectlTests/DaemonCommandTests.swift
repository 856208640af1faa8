import AdminAPI
import GatewayRuntime
import Testing
import slicectl

/// slicectl against a daemon that is there, over its socket.
@Suite struct DaemonCommandTests {
    @Test func statusAndPeers() async throws {
        try await withDaemon { socket in
            let all = await invoke("status", "--socket", socket)
            #expect(all.status == 0 && all.out == StatusView.text(Samples.status))
            #expect(all.error.isEmpty)
            let one = await invoke("--socket", socket, "status", "payments", "--json")
            let expected = try Console.json(Samples.status)
            #expect(one.status == 0 && one.out == expected + "\n")
            let missing = await invoke("status", "nope", "--socket", socket)
            #expect(missing.status == 4 && missing.out.isEmpty)
            #expect(missing.error.contains("hint: it has: payments\n"))
            let check = await invoke("status", "--check", "--socket", socket)
            #expect(check.status == 1 && check.out == all.out)
            let peers = await invoke("peers", "payments", "--socket", socket)
            #expect(peers.status == 0 && peers.out.contains("CENTRAL="))
            let json = await invoke("peers", "--json", "--socket", socket)
            #expect(json.out.contains("\"cluster\" : \"east\""))
        }
    }

    @Test func attachAndDetach() async throws {
        try await withDaemon { socket in
            let attached = await invoke(
                "attach", "payments", "kafka/b0", "--netns", "b0", "--socket", socket)
            #expect(
                attached.out == """
                    kafka/b0 is attached to payments
                      addresses  10.80.1.2
                      interface  slice0, MTU 1420
                      routes     10.80.0.0/16

                    """)
            let again = await invoke(
                "attach", "payments", "kafka/b0", "--netns", "again", "--interface", "kafka0",
                "--address", "10.80.1.9", "--socket", socket)
            #expect(again.out.hasPrefix("kafka/b0 was attached to payments already\n"))
            #expect(again.out.contains("10.80.1.9") && again.out.contains("kafka0"))
            let pid = await invoke(
                "attach", "payments", "kafka/b1", "--pid", "77", "--json", "--socket", socket)
            #expect(pid.out.contains("\"kind\" : \"pid\"") && pid.out.contains("\"77\""))
            let relative = await invoke(
                "attach", "payments", "kafka/b1", "--path", "x/y", "--json", "--socket", socket)
            #expect(relative.out.contains("/x/y\"") && !relative.out.contains("\"x/y\""))
            let missing = await invoke(
                "attach", "nope", "kafka/b0", "--netns", "b0", "--socket", socket, "--json")
            #expect(missing.status == 4 && missing.error.contains("\"code\" : \"notFound\""))
            let gone = await invoke("detach", "payments", "kafka/b0", "--socket", socket)
            #expect(gone.out == "kafka/b0 is detached from payments\n" && gone.status == 0)
            let never = await invoke("detach", "payments", "kafka/b9", "--socket", socket)
            #expect(never.out.contains("was not attached") && never.status == 0)
        }
    }

    @Test(arguments: [
        ["kafka/b0"], ["kafka/b0", "--netns", "a", "--pid", "1"], ["kafka", "--netns", "a"],
        ["kafka/B0", "--netns", "a"], ["kafka/b0", "--netns", "a/b"], ["kafka/b0", "--pid", "0"],
        ["kafka/b0", "--path", "/proc/self/ns/net"],
        ["kafka/b0", "--netns", "a", "--address", "x"],
        ["kafka/b0", "--netns", "a", "--label", "role"],
        ["kafka/b0", "--netns", "a", "--label", "Role=x"],
        ["kafka/b0", "--netns", "a", "--label", "a=x", "--label", "a=y"],
    ])
    func attachNeedsToBeToldWhere(arguments: [String]) async {
        let all = ["attach", "payments"] + arguments + ["--socket", "/nonexistent"]
        let out = await invoke(all)
        #expect(out.status == 2, "\(arguments): \(out.error)")
        #expect(out.error.hasPrefix("error: ") && out.out.isEmpty)
    }

    @Test func pingCountsAndSumsUp() async throws {
        try await withDaemon { socket in
            let run = await invoke(
                "ping", "payments", "east", "-c", "3", "-i", "0", "--timeout", "30", "--socket",
                socket)
            #expect(
                run.out == """
                    ping east over slice payments, 56 bytes of data
                    64 bytes from 10.80.2.1 (east): seq=1 time=20.1 ms
                    no answer from 10.80.2.1 (east): seq=2 timed out
                    64 bytes from 10.80.2.1 (east): seq=3 time=20.3 ms

                    --- east ---
                    3 sent, 2 received, 33.3% lost
                    min/avg/max/mdev = 20.100/20.200/20.300/0.100 ms

                    """)
            #expect(run.status == 0)
            let none = await invoke(
                "ping", "payments", "10.9.9.9", "-c", "1", "--timeout", "30", "--socket", socket)
            #expect(none.status == 1)
            #expect(none.out.contains("10.9.9.9: seq=1 unreachable: no route in this slice\n"))
            let json = await invoke(
                "ping", "payments", "east", "-i", "0", "--timeout", "30", "--json", "--socket",
                socket)
            #expect(json.out.contains("\"sent\" : 4") && json.out.contains("\"received\" : 2"))
        }
    }

    @Test func reloadVersionAndDoctor() async throws {
        var daemon = StubDaemon()
        daemon.doctorReport.checks.append(.init("x", .fail, seen: "bad", advice: "do"))
        try await withDaemon(daemon) { socket in
            let reload = await invoke("reload", "--socket", socket)
            #expect(
                reload.out == """
                    ! needs a restart: stateDirectory
                    read again:
                      - logLevel: info -> debug

                    """)
            let version = await invoke("version", "--socket", socket)
            #expect(version.out == "slicectl 0.1.0\nslice-gateway 9.9.9, running\n")
            let doctor = await invoke("doctor", "--socket", socket)
            #expect(doctor.status == 1 && doctor.out.hasPrefix("as the running gateway sees"))
            let json = await invoke("doctor", "--json", "--socket", socket)
            #expect(json.status == 1 && json.out.contains("\"verdict\" : \"fail\""))
        }
    }

    @Test func slicectlAndTheDaemonHaveOneVersion() {
        #expect(slicectl.Version.text == GatewayRuntime.Version.text)
    }

    @Test func aDaemonThatIsNotThere() async {
        let missing = "/nonexistent/admin.sock"
        for command in [["status"], ["peers"], ["reload"], ["detach", "s", "a/b"]] {
            let run = await invoke(command + ["--socket", missing])
            #expect(run.status == 3 && run.out.isEmpty)
            #expect(run.error.contains("hint: start it with: systemctl start slice-gateway"))
        }
        let json = await invoke("status", "--json", "--socket", missing)
        #expect(json.status == 3 && json.error.contains("\"code\" : \"notRunning\""))
        let version = await invoke("version", "--socket", missing)
        #expect(version.status == 0 && version.out.contains("not running"))
        let doctor = await invoke("doctor", "--socket", missing)
        #expect(doctor.out.hasPrefix("as slicectl sees this host; no gateway is running\n"))
    }
}
