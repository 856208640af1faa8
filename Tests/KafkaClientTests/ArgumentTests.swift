import KafkaClient
import KafkaWire
import Testing
import slice_broker

@Suite struct ArgumentTests {
    @Test(
        arguments: [
            ("earliest", .earliest), ("latest", .latest), ("0", .offset(0)), ("17", .offset(17)),
            ("@1700000000000", .time(1_700_000_000_000)), ("90s", .ago(90_000)),
            ("15m", .ago(900_000)),
            ("2h", .ago(7_200_000)), ("3d", .ago(259_200_000)),
            ("1970-01-02", .time(86_400_000)), ("2026-11-23T22:00:00Z", .time(1_795_471_200_000)),
        ] as [(String, PlaceArgument)])
    func places(_ text: String, _ place: PlaceArgument) {
        #expect(PlaceArgument(argument: text) == place)
    }

    @Test(arguments: [
        "", "-1", "+1", "first", "@", "@-1", "5x", "m", "-5m", "2026-13-01", "2026-02-29",
        "9223372036854775807d", "99999999999999999999",
    ])
    func noPlaces(_ text: String) {
        #expect(PlaceArgument(argument: text) == nil)
    }

    /// Dates and times as date(1) has them.
    @Test(
        arguments: [
            ("1970-01-01T00:00:00.000Z", 0), ("1972-02-29T23:59:59.999Z", 68_255_999_999),
            ("2000-02-29T12:00:00.000Z", 951_825_600_000),
            ("2000-12-31T00:00:00.000Z", 978_220_800_000),
            ("2100-03-01T00:00:00.001Z", 4_107_542_400_001),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] as [(String, Int64)])
    func times(_ text: String, _ milliseconds: Int64) {
        #expect(TimeText.text(milliseconds) == text)
        #expect(TimeText.parse(text) == milliseconds)
    }

    @Test func timesInOtherForms() {
        let noon: Int64 = 951_825_600_000
        for text in [
            "2000-02-29T12:00", "2000-02-29T12:00:00", "2000-02-29T13:30:00+01:30",
            "2000-02-29T07:00-05:00", "2000-02-29T12:00Z", "2000-02-29T12:00:00.0Z",
        ] {
            #expect(TimeText.parse(text) == noon, "\(text)")
        }
        for text in [
            "2000-02-29T", "2000-02-29T24:00", "2000-02-29T12", "2000-02-30", "2000-2-9",
            "2100-02-29", "1969-12-31", "1970-01-01T00:00+01:00", "2000-02-29T12:00:60",
            "2000-02-29T12:00.5", "2000-02-29T12:00+1:00", "2000-02-29T12:00:00.", "T12:00",
        ] {
            #expect(TimeText.parse(text) == nil, "\(text)")
        }
        #expect(TimeText.text(-1) == "-" && TimeText.text(.max) == "-")
    }

    @Test func everyDayIsItselfAgain() {
        for day in stride(from: Int64(0), to: 60_000, by: 13) {
            let text = TimeText.text(day * 86_400_000)
            #expect(TimeText.parse(text) == day * 86_400_000)
        }
    }

    @Test func partitions() {
        func indexes(_ text: String) -> [Int32]? { PartitionsArgument(argument: text)?.indexes }
        #expect(indexes("0") == [0])
        #expect(indexes("0,2-4,7") == [0, 2, 3, 4, 7])
        for text in ["", ",", "1,", "a", "-1", "3-1", "1-2-3", "0-2000000000", "99999999999"] {
            #expect(indexes(text) == nil, "\(text)")
        }
    }

    @Test func replicas() {
        #expect(ReplicasArgument(argument: "3,1,2")?.brokers == [3, 1, 2])
        #expect(AssignmentArgument(argument: "1:2,2:1")?.partitions == [[1, 2], [2, 1]])
        for text in ["", "1,1", "1,", "-1", "a", "1:2"] {
            #expect(ReplicasArgument(argument: text) == nil, "\(text)")
        }
        for text in ["", "1:1", "1:2,", "1;2"] {
            #expect(AssignmentArgument(argument: text) == nil, "\(text)")
        }
    }

    @Test func settings() {
        #expect(SettingArgument(argument: "a=b=c")?.name == "a")
        #expect(SettingArgument(argument: "a=b=c")?.value == "b=c")
        #expect(SettingArgument(argument: "a=")?.value == "")
        #expect(SettingArgument(argument: "=b") == nil && SettingArgument(argument: "a") == nil)
    }

    @Test func resources() throws {
        #expect(try ConfigResource(words: ["topic", "t"]) == ConfigResource(.topic, "t"))
        #expect(try ConfigResource(words: ["broker", "7"]).broker == 7)
        #expect(try ConfigResource(words: ["broker", "default"]) == ConfigResource(.broker, ""))
        #expect(try ConfigResource(words: ["topic", "7"]).broker == nil)
        for words in [[], ["topic"], ["broker", "x"], ["broker", "-1"], ["group", "g"]] {
            #expect(throws: Failure.self) { try ConfigResource(words: words) }
        }
    }

    /// Wrong usage ends with 2 and says so, whatever is wrong with it.
    @Test(arguments: [
        ["produce"], ["consume"], ["consume", "t", "--from", "never"],
        ["consume", "t", "--count", "0"],
        ["consume", "t", "--last", "1", "--from", "latest"], ["topics", "create"],
        ["topics", "create", "t", "--partitions", "0"],
        ["topics", "create", "t", "--assignment", "1:2", "-p", "1"],
        ["topics", "create", "t", "--config", "x"], ["topics", "alter", "t"],
        ["produce", "t", "--acks", "2"], ["produce", "t", "--compression", "rar"],
        ["produce", "t", "--key", "k", "--key-separator", ":"],
        ["produce", "t", "--batch-size", "0"],
        ["groups", "offsets", "g", "--dry-run"], ["groups", "offsets", "g", "--partition", "1"],
        ["groups", "delete-offsets", "g"], ["leaders", "elect", "preferred"],
        ["leaders", "elect", "dirty", "--all"],
        ["leaders", "elect", "preferred", "--all", "-t", "t"],
        ["records", "delete", "t", "--before", "1"], ["records", "delete", "t", "--all"],
        ["reassign", "start"], ["reassign", "start", "-t", "t"], ["reassign", "cancel"],
        ["reassign", "start", "--plan", "-", "-t", "t", "--replicas", "1"],
        ["features", "update", "a=b"], ["brokers", "unregister", "one"], ["configs", "describe"],
        ["cluster", "--bootstrap-server", "a:b"], ["cluster", "-b", ""], ["nonsense"],
        ["configs", "set", "topic", "t"], ["configs", "unset", "topic", "t", "a=b"],
        ["configs", "describe", "nobody", "x"],
    ])
    func wrongUsage(_ arguments: [String]) async {
        let run = await invoke(arguments)
        #expect(run.status == 2 && run.out.isEmpty, "\(run)")
        #expect(run.error.hasPrefix("error: "))
        let asJSON = await invoke(arguments + ["--json"])
        #expect(asJSON.status == 2 && asJSON.out.isEmpty)
        let document = try? JSONParser.parse(Array(asJSON.error.utf8))
        #expect(document?["code"] == "usage" && document?["message"]?.string?.isEmpty == false)
    }

    @Test func optionsBeforeTheCommand() {
        #expect(
            Invocation.hoist(["--json", "-b", "x:1", "topics", "list"])
                == ["topics", "list", "--json", "-b", "x:1"])
        #expect(
            Invocation.hoist(["--bootstrap-server=x", "topics", "list", "--", "y"])
                == ["topics", "list", "--bootstrap-server=x", "--", "y"])
        for same in [
            ["topics", "--json"], ["--json"], ["--help", "x"], ["--json", "--help"], ["-b"],
        ] {
            #expect(Invocation.hoist(same) == same)
        }
    }

    @Test func helpIsNoFailure() async {
        for arguments in [["--help"], ["topics", "create", "--help"], ["help", "consume"]] {
            let run = await invoke(arguments)
            #expect(run.status == 0 && run.out.contains("USAGE") && run.error.isEmpty)
        }
    }

    // MARK: Lines

    private func split(_ chunks: [String]) throws -> [String] {
        var splitter = LineSplitter()
        var lines: [String] = []
        for chunk in chunks {
            lines += try splitter.lines(in: Array(chunk.utf8))
                .map { String(decoding: $0, as: UTF8.self) }
        }
        if let rest = splitter.end() { lines.append(String(decoding: rest, as: UTF8.self)) }
        return lines
    }

    @Test func linesInChunksOfAnySize() throws {
        let text = "one\n\ntwo\r\nthree and more\nlast"
        let lines = ["one", "", "two\r", "three and more", "last"]
        for size in 1...text.utf8.count {
            var chunks: [String] = []
            var rest = text[...]
            while !rest.isEmpty {
                chunks.append(String(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(try split(chunks) == lines, "chunks of \(size)")
        }
        #expect(try split(["a\n"]) == ["a"])
        #expect(try split([]) == [])
    }

    @Test func keysAndNothings() {
        func read(_ line: String, _ format: LineFormat) -> (String?, String?)? {
            format.split(Array(line.utf8)[...]).map { key, value in
                (
                    key.map { String(decoding: $0, as: UTF8.self) },
                    value.map { String(decoding: $0, as: UTF8.self) }
                )
            }
        }
        let plain = LineFormat()
        #expect(read("a:b", plain)! == (nil, "a:b"))
        let keyed = LineFormat(keySeparator: "::", nullMarker: "NULL")
        #expect(read("k::v::w", keyed)! == ("k", "v::w"))
        #expect(read("::", keyed)! == ("", ""))
        #expect(read("k::NULL", keyed)! == ("k", nil))
        #expect(read("k:v", keyed) == nil)
    }

    // MARK: Plans

    @Test func plans() throws {
        let text = """
            {"version":1, "partitions":[
              {"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any","any"]},
              {"topic":"b","partition":3,"replicas":[3]},
              {"topic":"a","partition":1,"replicas":[2,1]}]}
            """
        let plan = try ReassignmentPlan(parsing: Array(text.utf8), from: "plan")
        #expect(
            plan.entries == [
                .init(topic: "a", partition: 0, replicas: [1, 2]),
                .init(topic: "b", partition: 3, replicas: [3]),
                .init(topic: "a", partition: 1, replicas: [2, 1]),
            ])
        #expect(plan.byTopic.map(\.topic) == ["a", "b"])
        #expect(
            try ReassignmentPlan(parsing: Array(plan.json.pretty.utf8), from: "again") == plan)
    }

    @Test(arguments: [
        ("", "ends early"), ("[]", "list called partitions"), (#"{"version":2}"#, "version"),
        (#"{"partitions":[]}"#, "no partition"),
        (#"{"partitions":[{"topic":"a","partition":-1,"replicas":[1]}]}"#, "no topic or number"),
        (#"{"partitions":[{"topic":"a","partition":0}]}"#, "called replicas"),
        (#"{"partitions":[{"topic":"a","partition":0,"replicas":[]}]}"#, "called replicas"),
        (#"{"partitions":[{"topic":"a","partition":0,"replicas":["1"]}]}"#, "called replicas"),
        (#"{"partitions":[{"topic":"a","partition":0,"replicas":[1,1]}]}"#, "broker twice"),
        (
            #"{"partitions":[{"topic":"a","partition":0,"replicas":[1],"log_dirs":["/x"]}]}"#,
            "log directory"
        ),
        (
            #"{"partitions":[{"topic":"a","partition":0,"replicas":[1]},"#
                + #"{"topic":"a","partition":0,"replicas":[2]}]}"#, "is there twice"
        ),
    ])
    func noPlans(_ text: String, _ reason: String) {
        do throws(Failure) {
            _ = try ReassignmentPlan(parsing: Array(text.utf8), from: "plan")
            Issue.record("read \(text)")
        } catch {
            #expect(error.message.contains(reason) && error.status == .usage)
        }
    }

    @Test func onlyWhatIsCopiedIsThrottled() {
        let plan = ReassignmentPlan([
            .init(topic: "a", partition: 0, replicas: [3, 4]),
            .init(topic: "a", partition: 1, replicas: [2, 1]),
            .init(topic: "b", partition: 0, replicas: [1]),
        ])
        let throttle = ReassignmentThrottle(plan) { _, _ in [1, 2] }
        #expect(throttle.brokers == [1, 2, 3, 4])
        #expect(throttle.topics.map(\.name) == ["a"])
        #expect(throttle.topics.first?.leaders == "0:1,0:2")
        #expect(throttle.topics.first?.followers == "0:3,0:4")
    }
}
