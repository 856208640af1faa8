import Groups
import KafkaWire
import NIOCore

/// What is heard, in words.
extension Script {
    func text(_ record: GroupRecord) -> String {
        switch record {
        case .other: return "something else"
        case .offset(let key, let value):
            let what = "\(key.group) \(key.topic):\(key.partition)"
            guard let value else { return what + " deleted" }
            let expiry =
                value.expireTimestamp == -1
                ? "" : " until \(value.expireTimestamp - TestBroker.startMs)"
            return what + " @\(value.offset)"
                + (value.metadata.isEmpty ? "" : " \(value.metadata)") + expiry
        case .group(let key, let value):
            guard let value else { return "\(key.group) deleted" }
            let members = value.members.map {
                name($0.memberId) + ($0.groupInstanceId.map { "(\($0))" } ?? "") + ":"
                    + $0.assignment.text
            }
            return "\(key.group) generation \(value.generation)"
                + " \(value.protocolType) \(value.protocol ?? "-")"
                + " leader \(name(value.leader ?? "")) members [\(members.joined(separator: " "))]"
        }
    }

    func reply(_ token: UInt64, _ response: GroupResponse) {
        // The answer may come before `send` has told the token.
        let asker = asked[token] ?? nextAsker ?? "?"
        switch response {
        case .joinGroup(let joined):
            if !joined.memberId.isEmpty {
                clients[asker, default: Client()].memberId = joined.memberId
            }
            let who = name(joined.memberId)
            guard joined.errorCode == .none else {
                output.append("\(asker): \(joined.errorCode) \(who)")
                return
            }
            clients[asker, default: Client()].generation = joined.generationId
            let members = joined.members.map {
                name($0.memberId) + ":"
                    + (SubscriptionTopics.read($0.metadata) ?? ["?"]).joined(separator: "+")
            }
            output.append(
                "\(asker): joined generation \(joined.generationId) as \(who),"
                    + " \(joined.protocolType ?? "-") \(joined.protocolName ?? "-"),"
                    + " leader \(name(joined.leader))"
                    + (members.isEmpty ? "" : ", members [\(members.joined(separator: " "))]")
                    + (joined.skipAssignment ? ", nothing to assign" : ""))
        case .syncGroup(let synced):
            output.append(
                synced.errorCode == .none
                    ? "\(asker): assigned '\(synced.assignment.text)'"
                    : "\(asker): \(synced.errorCode)")
        case .heartbeat(let answer): output.append("\(asker): \(answer.errorCode)")
        case .leaveGroup(let left):
            let members = left.members.map {
                " " + name($0.memberId) + ($0.groupInstanceId.map { "(\($0))" } ?? "")
                    + " \($0.errorCode)"
            }
            output.append("\(asker): left \(left.errorCode)" + members.joined())
        case .offsetCommit(let committed):
            output.append(
                "\(asker): committed"
                    + committed.topics.map { topic in
                        topic.partitions.map {
                            " \(topic.name):\($0.partitionIndex) \($0.errorCode)"
                        }.joined()
                    }.joined())
        case .offsetFetch(let fetched): output += fetchedText(asker, fetched)
        case .offsetDelete(let deleted):
            output.append(
                "\(asker): deleted \(deleted.errorCode)"
                    + deleted.topics.map { topic in
                        topic.partitions.map {
                            " \(topic.name):\($0.partitionIndex) \($0.errorCode)"
                        }.joined()
                    }.joined())
        case .listGroups(let listed):
            output.append(
                "\(asker): \(listed.errorCode)"
                    + listed.groups.map {
                        " \($0.groupId)/\($0.groupState)/\($0.protocolType)/\($0.groupType)"
                    }.joined())
        case .describeGroups(let described):
            for group in described.groups {
                let members = group.members.map {
                    name($0.memberId) + ($0.groupInstanceId.map { "(\($0))" } ?? "")
                        + " of \($0.clientId) at \($0.clientHost):"
                        + " '\($0.memberAssignment.text)'"
                        + ($0.memberMetadata.readableBytes > 0 ? " with metadata" : "")
                }
                output.append(
                    "\(asker): \(group.groupId) \(group.errorCode) \(group.groupState)"
                        + " \(group.protocolType)/\(group.protocolData)"
                        + " [\(members.joined(separator: ", "))]")
            }
        case .deleteGroups(let deleted):
            output.append(
                "\(asker): deleted"
                    + deleted.results.map { " \($0.groupId) \($0.errorCode)" }.joined())
        }
    }

    private func fetchedText(_ asker: String, _ fetched: OffsetFetchResponse) -> [String] {
        func text(
            _ topic: String, _ partition: Int32, _ offset: Int64, _ metadata: String?,
            _ error: ErrorCode
        ) -> String {
            " \(topic):\(partition)@\(offset)" + (metadata == "" ? "" : "(\(metadata ?? "nil"))")
                + (error == .none ? "" : " \(error)")
        }
        guard fetched.groups.isEmpty else {
            return fetched.groups.map { group in
                "\(asker): \(group.groupId) \(group.errorCode)"
                    + group.topics.map { topic in
                        topic.partitions.map {
                            text(
                                topic.name, $0.partitionIndex, $0.committedOffset, $0.metadata,
                                $0.errorCode)
                        }.joined()
                    }.joined()
            }
        }
        return [
            "\(asker): \(fetched.errorCode)"
                + fetched.topics.map { topic in
                    topic.partitions.map {
                        text(
                            topic.name, $0.partitionIndex, $0.committedOffset, $0.metadata,
                            $0.errorCode)
                    }.joined()
                }.joined()
        ]
    }
}
