import Glibc
import SliceAudit
import Testing
import Timing
import slicectl

/// `slicectl audit`, on files.
@Suite struct AuditCommandTests {
    private func event(_ number: Int, slice: String = "payments") -> AuditEvent {
        let time = WallTime(nanosecondsSince1970: 1_795_471_200_000_000_000 + Int64(number) << 30)
        return number % 2 == 0
            ? AuditEvent(
                .attached, time: time, slice: slice, cluster: "west",
                subject: "kafka/broker-\(number)")
            : AuditEvent(
                .flowRefused, time: time, slice: slice, cluster: "west",
                subject: "apps/web -> kafka/broker-0 tcp/22", reason: "policy deny-ssh",
                count: UInt64(number))
    }

    private func lines(_ count: Int) -> [[UInt8]] {
        var (chain, first) = AuditChain.genesis(
            id: "00c0ffee", time: event(0).time, cluster: "west")
        var lines = [first]
        for number in 1..<count {
            lines.append(chain.append(event(number, slice: number == 3 ? "billing" : "payments")))
        }
        return lines
    }

    /// Two lines a file, of which the gateway keeps so many older ones.
    private func files(_ count: Int, kept: Int) -> [[[UInt8]]] {
        var (chain, first) = AuditChain.genesis(
            id: "00c0ffee", time: event(0).time, cluster: "west")
        var place = AuditFilePlace(id: "00c0ffee", filesBefore: 0, kept: kept)
        var files = [[first, chain.append(event(2))]]
        for number in 1..<count {
            place = place.next(keeping: kept)
            files.append([
                chain.begin(place, time: event(number).time, cluster: "west"),
                chain.append(event(2 * number)),
            ])
        }
        return files
    }

    private func write(_ path: String, _ lines: some Sequence<[UInt8]>) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        for line in lines { fwrite(line, 1, line.count, file) }
    }

    private func head(_ lines: [[UInt8]]) -> String {
        "\(lines.count - 1):\(AuditDigest(of: lines[lines.count - 1].dropLast()))"
    }

    @Test func aWholeLogIsIntact() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/audit.log"
            let all = lines(6)
            try write("\(path).2", all[..<2])
            try write("\(path).1", all[2..<3])
            try write(path, all[3...])
            try write("\(directory)/audit.head", [Array("\(head(all))\n".utf8)])
            let run = await invoke("audit", "verify", path)
            #expect(run.status == 0 && run.error == "")
            #expect(run.out == "intact: 6 entries, 3 files\n  head \(head(all))\n")
            #expect(await invoke("audit", "head", path).out == "\(head(all))\n")
            let early = await invoke(
                "audit", "verify", path, "--head", head(Array(all[..<3])), "--head", head(all),
                "--json")
            #expect(early.status == 0 && early.out.contains("\"intact\" : true"))
        }
    }

    @Test func filesThatAreGoneAreNamed() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/audit.log"
            let all = files(4, kept: 2)
            let end = head(Array(all.joined()))
            try write("\(directory)/audit.head", [Array("\(end)\n".utf8)])
            for (number, lines) in all.reversed().enumerated() where number < 3 {
                try write(number == 0 ? path : "\(path).\(number)", lines)
            }
            let rotated = await invoke("audit", "verify", path)
            #expect(rotated.status == 0)
            #expect(rotated.out.contains("begins with file 2 of the log, entry 2: older ones"))
            let old = await invoke("audit", "verify", path, "--head", head(Array(all[0][..<1])))
            #expect(old.status == 1 && old.out.contains("entry 0 cannot be checked"))
            unlink("\(path).2")
            let gone = await invoke("audit", "verify", path)
            #expect(gone.status == 1)
            #expect(gone.out.hasPrefix("broken: \(path).1: file 2 of the log is missing"))
            unlink("\(path).1")
            unlink(path)
            let none = await invoke("audit", "verify", path)
            #expect(none.status == 1)
            #expect(
                none.out == """
                    broken: \(path): the log is gone, and a head names entry 7
                      0 lines before it in order

                    """)
        }
    }

    @Test func whatIsBrokenIsNamed() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/audit.log"
            let all = lines(6)
            try write(path, all[..<2] + all[3...])
            let gap = await invoke("audit", "verify", path)
            #expect(gap.status == 1)
            #expect(
                gap.out == """
                    broken: \(path):3: entry 2 is not there
                      2 lines before it in order

                    """)
            let json = await invoke("audit", "verify", path, "--json")
            #expect(json.status == 1 && json.out.contains("\"reason\" : \"missing\""))
            // The end is gone, and only a head can tell.
            try write(path, all[..<4])
            #expect(await invoke("audit", "verify", path).status == 0)
            let cut = await invoke("audit", "verify", path, "--head", head(all))
            #expect(cut.status == 1 && cut.out.contains("a head names entry 5"))
            try write("\(directory)/audit.head", [Array("\(head(all))\n".utf8)])
            #expect(await invoke("audit", "verify", path).status == 1)
            try write("\(directory)/audit.head", [Array("no head\n".utf8)])
            let noHead = await invoke("audit", "verify", path)
            #expect(noHead.status == 1 && noHead.error.contains("holds no head"))
            unlink("\(directory)/audit.head")
            try write(path, [all[0], Array(all[1].dropLast(9))])
            let torn = await invoke("audit", "verify", path)
            #expect(torn.status == 1 && torn.out.contains(":2: the last line has no end"))
        }
    }

    @Test func entriesAreATable() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/audit.log"
            let all = lines(6)
            try write("\(path).1", all[..<3])
            try write(path, all[3...])
            let last = await invoke("audit", "show", path, "-n", "3")
            #expect(last.status == 0)
            #expect(last.out == (try golden("audit-show")))
            let billing = await invoke("audit", "show", path, "--slice", "billing", "--json")
            #expect(billing.out.contains("\"sequence\" : 3"))
            #expect(!billing.out.contains("\"sequence\" : 4"))
            #expect(await invoke("audit", "show", path, "--slice", "x").out == "no entries\n")
            try write(path, all[3...] + [Array("junk\n".utf8)])
            let junk = await invoke("audit", "show", path)
            #expect(junk.out.hasSuffix("1 line could not be read: run `slicectl audit verify`\n"))
        }
    }

    @Test func wrongUsageAndNoFile() async throws {
        try await withDirectory { directory in
            for command in ["verify", "show", "head"] {
                let none = await invoke("audit", command, "\(directory)/none")
                #expect(none.status == 4, "\(command)")
                #expect(await invoke("audit", command, directory).status == 1)
            }
            let path = "\(directory)/audit.log"
            try write(path, lines(2))
            #expect(await invoke("audit", "verify", path, "--head", "12").status == 2)
            #expect(await invoke("audit", "show", path, "-n", "0").status == 2)
            try write(path, [])
            #expect(await invoke("audit", "head", path).status == 1)
            #expect(await invoke("audit", "verify", path).status == 1)
        }
    }
}
