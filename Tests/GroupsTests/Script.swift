import Foundation
import Groups
import KafkaWire
import NIOCore
import Testing

/// Golden scripts. A line that begins with ">" is said to the coordinator, the lines under it are
/// what came of it; "#" is for the reader. `UPDATE_GOLDEN=1` writes the files anew, to be read.
enum Golden {
    static func check(_ name: String, source: String = #filePath) throws {
        let tests = source.split(separator: "/").dropLast(2).joined(separator: "/")
        let path = "/\(tests)/Golden/Groups/\(name).txt"
        let wanted = try String(contentsOfFile: path, encoding: .utf8)
        let script = Script()
        var found: [String] = []
        for line in wanted.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix(">") {
                found.append(String(line))
                found += script.run(String(line.dropFirst())).map { "  " + $0 }
            } else if line.hasPrefix("#") || line.isEmpty {
                found.append(String(line))
            }
        }
        let text = found.joined(separator: "\n")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
            try text.write(toFile: path, atomically: false, encoding: .utf8)
        }
        #expect(text == wanted, "\(name): found\n\(text)")
    }
}

/// Speaks for some clients, and remembers for each what it was told.
final class Script {
    struct Client {
        var memberId = ""
        var generation: Int32 = -1
    }

    private var broker = TestBroker()
    var clients: [String: Client] = [:]
    var asked: [UInt64: String] = [:]
    /// Member ids end in random digits; the reader sees "A-1", "A-2".
    private var names: [String: String] = [:]
    var output: [String] = []

    func run(_ line: String) -> [String] {
        output = []
        var words = line.split(separator: " ").map(String.init)
        var options: [String: String] = [:]
        words.removeAll { word in
            guard let equals = word.firstIndex(of: "=") else { return false }
            options[String(word[..<equals])] = String(word[word.index(after: equals)...])
            return true
        }
        switch words.first {
        case "broker": start(options)
        case "wait": broker.wait(milliseconds: Int64(words[1]) ?? 0)
        case "hold": broker.holds = true
        case "release":
            broker.holds = false
            broker.commitAll()
        case "commit": broker.commit()
        case "refuse": broker.refuse(ErrorCode(named: words[1]))
        case "lead": broker.lead(0)
        case "lose": broker.lose(0)
        case "load": broker.startLeading(0)
        case "loaded": broker.step(.loadFinished(0, epoch: broker.epoch(0)))
        case "expire": broker.step(.expireOffsets)
        case "delete-topics": broker.step(.topicsDeleted(Array(words.dropFirst())))
        case let name? where words.count > 2 && words[1] == "lives":
            live(name, milliseconds: Int64(words[2]) ?? 0)
        case let name? where words.count > 1: request(name, words[1], options, words)
        default: output.append("what?")
        }
        broker.wait(milliseconds: 0)
        return output
    }

    private func start(_ options: [String: String]) {
        let config = GroupCoordinatorConfig.with {
            if let value = options["delay"] { $0.initialRebalanceDelayMs = Int32(value) ?? 0 }
            if let value = options["size"] { $0.maxGroupSize = Int32(value) ?? 0 }
            if let value = options["metadata"] { $0.maxOffsetMetadata = Int(value) ?? 0 }
        }
        let logs = broker.logs
        broker = TestBroker(config: config)
        asked = [:]
        if options["log"] == "kept" {
            broker.logs = logs
        } else {
            clients = [:]
        }
        broker.onBatch = { [unowned self] _, batch in
            let skipped = GroupRecordReader.forEach(in: batch) { output.append("log: " + text($0)) }
            if skipped > 0 { output.append("log: \(skipped) records not understood") }
        }
        broker.onReply = { [unowned self] token, response in reply(token, response) }
        if options["led"] != "no" { broker.leadAll() }
    }

    /// Sends a heartbeat every quarter of an hour, and does not speak of those that went well.
    private func live(_ name: String, milliseconds: Int64) {
        for _ in 0..<(milliseconds / 900_000) {
            broker.wait(milliseconds: 900_000)
            request(name, "heartbeat", [:], [name, "heartbeat"])
            output.removeAll { $0 == "\(name): NONE" }
        }
    }

    // MARK: What is said

    private func request(
        _ name: String, _ verb: String, _ options: [String: String], _ words: [String]
    ) {
        let client = clients[name, default: Client()]
        let version = Int16(options["v"] ?? "") ?? Self.version(of: verb)
        let memberId = options["member"].map(memberId(named:)) ?? client.memberId
        let generation = options["generation"].flatMap { Int32($0) } ?? client.generation
        let group = options["group"] ?? "g"
        let instance = options["instance"]
        func number(_ key: String, _ other: Int32) -> Int32 {
            Int32(options[key] ?? "") ?? other
        }
        let request: GroupRequest
        switch verb {
        case "join":
            let protocols = (options["protocols"] ?? "range").split(separator: ",").map { one in
                let parts = one.split(separator: ":")
                return JoinGroupRequest.JoinGroupRequestProtocol(
                    name: String(parts[0]),
                    metadata: subscription(
                        (parts.count > 1 ? String(parts[1]) : "t").split(separator: "+")
                            .map(String.init)))
            }
            request = .joinGroup(
                JoinGroupRequest(
                    groupId: group, sessionTimeoutMs: number("session", 10_000),
                    rebalanceTimeoutMs: number("rebalance", 60_000), memberId: memberId,
                    groupInstanceId: instance, protocolType: options["type"] ?? "consumer",
                    protocols: options["protocols"] == "none" ? [] : protocols))
        case "sync":
            let assigned = (options["assign"] ?? "").split(separator: ",").map { one in
                let parts = one.split(separator: ":")
                return SyncGroupRequest.SyncGroupRequestAssignment(
                    memberId: self.memberId(named: String(parts[0])),
                    assignment: ByteBuffer(string: parts.count > 1 ? String(parts[1]) : ""))
            }
            request = .syncGroup(
                SyncGroupRequest(
                    groupId: group, generationId: generation, memberId: memberId,
                    groupInstanceId: instance, protocolType: options["type"],
                    protocolName: options["protocol"], assignments: assigned))
        case "heartbeat":
            request = .heartbeat(
                HeartbeatRequest(
                    groupId: group, generationId: generation, memberId: memberId,
                    groupInstanceId: instance))
        case "leave":
            let members = (options["members"] ?? "").split(separator: ",").map { one in
                one.hasPrefix("@")
                    ? LeaveGroupRequest.MemberIdentity(
                        memberId: "", groupInstanceId: String(one.dropFirst()))
                    : LeaveGroupRequest.MemberIdentity(memberId: self.memberId(named: String(one)))
            }
            let own = LeaveGroupRequest.MemberIdentity(
                memberId: memberId, groupInstanceId: instance)
            request = .leaveGroup(
                LeaveGroupRequest(
                    groupId: group, memberId: version < 3 ? memberId : "",
                    members: version < 3 ? [] : members.isEmpty ? [own] : members))
        case "commit":
            request = .offsetCommit(
                commit(options, group, generation, memberId, instance, words.dropFirst(2)))
        case "fetch":
            request = .offsetFetch(fetch(options, group, version, words.dropFirst(2)))
        case "offset-delete":
            request = .offsetDelete(
                OffsetDeleteRequest(
                    groupId: group,
                    topics: topics(words.dropFirst(2)).map { name, partitions in
                        OffsetDeleteRequest.OffsetDeleteRequestTopic(
                            name: name,
                            partitions: partitions.map {
                                OffsetDeleteRequest.OffsetDeleteRequestPartition(
                                    partitionIndex: $0)
                            })
                    }))
        case "list":
            request = .listGroups(
                ListGroupsRequest(
                    statesFilter: (options["states"] ?? "").split(separator: ",").map(String.init),
                    typesFilter: (options["types"] ?? "").split(separator: ",").map(String.init)))
        case "describe":
            request = .describeGroups(DescribeGroupsRequest(groups: Array(words.dropFirst(2))))
        case "delete":
            request = .deleteGroups(DeleteGroupsRequest(groupsNames: Array(words.dropFirst(2))))
        case "forget":
            clients[name] = nil
            return
        default:
            output.append("what?")
            return
        }
        nextAsker = name
        let token = broker.send(
            request, GroupClient(version: version, clientId: name, host: "/10.0.0.1"))
        asked[token] = name
        nextAsker = nil
    }

    var nextAsker: String?

    private static func version(of verb: String) -> Int16 {
        switch verb {
        case "join", "commit", "fetch": 9
        case "sync", "list", "describe", "leave": 5
        case "heartbeat": 4
        default: 0
        }
    }

    /// "t:0,1" and so on.
    private func topics(_ words: some Sequence<String>) -> [(String, [Int32])] {
        words.map { word in
            let parts = word.split(separator: ":")
            let partitions = parts.count > 1 ? parts[1] : ""
            return (String(parts[0]), partitions.split(separator: ",").compactMap { Int32($0) })
        }
    }

    /// "t:0@17" commits offset 17.
    private func commit(
        _ options: [String: String], _ group: String, _ generation: Int32, _ memberId: String,
        _ instance: String?, _ words: some Sequence<String>
    ) -> OffsetCommitRequest {
        var request = OffsetCommitRequest(
            groupId: group, generationIdOrMemberEpoch: generation, memberId: memberId,
            groupInstanceId: instance,
            retentionTimeMs: options["retention"].flatMap { Int64($0) } ?? -1)
        for word in words {
            let parts = word.split(whereSeparator: { $0 == ":" || $0 == "@" })
            let partition = OffsetCommitRequest.OffsetCommitRequestPartition(
                partitionIndex: Int32(parts[1]) ?? 0, committedOffset: Int64(parts[2]) ?? 0,
                committedLeaderEpoch: 3, committedMetadata: options["metadata"])
            request.topics.append(
                OffsetCommitRequest.OffsetCommitRequestTopic(
                    name: String(parts[0]), partitions: [partition]))
        }
        return request
    }

    private func fetch(
        _ options: [String: String], _ group: String, _ version: Int16,
        _ words: some Sequence<String>
    ) -> OffsetFetchRequest {
        var request = OffsetFetchRequest(requireStable: options["stable"] == "yes")
        let asked = topics(words)
        guard version >= 8 else {
            request.groupId = group
            request.topics = asked.map {
                OffsetFetchRequest.OffsetFetchRequestTopic(name: $0, partitionIndexes: $1)
            }
            if asked.isEmpty { request.topics = nil }
            return request
        }
        request.groups = group.split(separator: ",").map { id in
            OffsetFetchRequest.OffsetFetchRequestGroup(
                groupId: String(id),
                topics: asked.isEmpty
                    ? nil
                    : asked.map {
                        OffsetFetchRequest.OffsetFetchRequestTopics(name: $0, partitionIndexes: $1)
                    })
        }
        return request
    }

    // MARK: Names of members

    func name(_ memberId: String) -> String {
        if memberId.isEmpty { return "nobody" }
        if let name = names[memberId] { return name }
        // The prefix ends before the 36 digits and dashes of a UUID.
        guard memberId.count > 37 else { return memberId }
        let prefix = String(memberId.dropLast(37))
        let taken = names.values.filter { $0.hasPrefix(prefix + "-") }.count
        names[memberId] = "\(prefix)-\(taken + 1)"
        return "\(prefix)-\(taken + 1)"
    }

    private func memberId(named name: String) -> String {
        if name == "none" { return "" }
        return names.first { $0.value == name }?.key ?? name
    }
}

extension ErrorCode {
    init(named name: String) {
        let code = (Int16(-1)...133).first { ErrorCode(rawValue: $0).description == name }
        self.init(rawValue: code ?? -1)
    }
}
