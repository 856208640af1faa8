import KafkaClient
import KafkaWire

/// What a group has committed for a partition.
package struct CommittedOffset: Equatable, Sendable {
    package var topic: String
    package var partition: Int32
    package var offset: Int64
    package var metadata: String?
    /// Where the partition ends now, if that is known.
    package var end: Int64?

    package init(
        topic: String, partition: Int32, offset: Int64, metadata: String? = nil, end: Int64? = nil
    ) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.metadata = metadata
        self.end = end
    }

    package var lag: Int64? { end.map { max(0, $0 &- offset) } }
}

extension ClientSession {
    /// By topic and partition. Asked in a version that calls topics by name: an answer with ids
    /// would have to be looked up.
    func committed(_ group: String, at coordinator: Int32) throws -> [CommittedOffset] {
        let answer = try cluster.call(
            OffsetFetchRequest(
                groupId: group, topics: nil,
                groups: [.init(groupId: group, topics: nil)]), at: coordinator, atMost: 9)
        var offsets: [CommittedOffset] = []
        let code = answer.groups.first?.errorCode ?? answer.errorCode
        guard code == .none else { throw Failure.refused(code, "the offsets of group \(group)") }
        for topic in answer.groups.flatMap(\.topics) {
            offsets += topic.partitions.filter { $0.committedOffset >= 0 }.map {
                CommittedOffset(
                    topic: topic.name, partition: $0.partitionIndex, offset: $0.committedOffset,
                    metadata: $0.metadata)
            }
        }
        for topic in answer.topics {
            offsets += topic.partitions.filter { $0.committedOffset >= 0 }.map {
                CommittedOffset(
                    topic: topic.name, partition: $0.partitionIndex, offset: $0.committedOffset,
                    metadata: $0.metadata)
            }
        }
        return offsets.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }

    /// Where the partitions end; of a topic that is gone, or that nobody leads, that stays open.
    func fillInEnds(_ offsets: inout [CommittedOffset]) {
        for topic in Set(offsets.map(\.topic)).sorted() {
            let indexes = offsets.filter { $0.topic == topic }.map(\.partition)
            guard
                let ends = try? cluster.offsets(
                    of: topic, partitions: indexes, at: .latest, milliseconds: 1000)
            else { continue }
            for index in offsets.indices where offsets[index].topic == topic {
                offsets[index].end = ends[offsets[index].partition]?.offset
            }
        }
    }

    func group(
        _ name: String, at coordinator: Int32
    ) throws -> DescribeGroupsResponse.DescribedGroup {
        let answer = try cluster.call(
            DescribeGroupsRequest(groups: [name]), at: coordinator)
        guard let group = answer.groups.first else {
            throw Failure(.failed, "malformed", "group \(name): the coordinator does not answer")
        }
        guard group.errorCode == .none else {
            throw Failure.refused(group.errorCode, "group \(name)", group.errorMessage)
        }
        return group
    }

    func describeGroup(_ name: String) throws -> GroupView {
        let coordinator = try cluster.coordinator(of: name)
        let group = try group(name, at: coordinator)
        var offsets = try committed(name, at: coordinator)
        // Brokers from before KIP-1043 call a group that they do not know dead.
        if group.groupState == "Dead", offsets.isEmpty {
            throw Failure.refused(.groupIdNotFound, "group \(name)")
        }
        fillInEnds(&offsets)
        return GroupView(group, coordinator: coordinator, offsets: offsets)
    }
}

/// `groups describe`.
package struct GroupView: Sendable {
    private struct Member {
        var id: String
        var instance: String?
        var client: String
        var host: String
        var assignment: [(topic: String, partitions: [Int32])]
    }

    private let group: DescribeGroupsResponse.DescribedGroup
    private let coordinator: Int32
    private let offsets: [CommittedOffset]
    private let members: [Member]

    package init(
        _ group: DescribeGroupsResponse.DescribedGroup, coordinator: Int32,
        offsets: [CommittedOffset]
    ) {
        self.group = group
        self.coordinator = coordinator
        self.offsets = offsets
        members = group.members.map { member in
            // Empty while the group is rebalancing, and another thing with other protocols.
            let assignment =
                group.protocolType == "consumer"
                ? try? ConsumerProtocolAssignment(versionPrefixed: member.memberAssignment) : nil
            return Member(
                id: member.memberId, instance: member.groupInstanceId, client: member.clientId,
                host: member.clientHost,
                assignment: (assignment?.assignedPartitions ?? [])
                    .map { ($0.topic, $0.partitions.sorted()) }.sorted { $0.topic < $1.topic })
        }.sorted { ($0.client, $0.id) < ($1.client, $1.id) }
    }

    private func owner(_ offset: CommittedOffset) -> Member? {
        members.first { member in
            member.assignment.contains {
                $0.topic == offset.topic && $0.partitions.contains(offset.partition)
            }
        }
    }

    package var json: JSON {
        [
            "group": .string(group.groupId), "state": .string(group.groupState),
            "protocolType": .string(group.protocolType), "protocol": .string(group.protocolData),
            "coordinator": JSON(coordinator),
            "members": .array(
                members.map { member in
                    [
                        "memberId": .string(member.id), "instanceId": JSON(member.instance),
                        "clientId": .string(member.client), "host": .string(member.host),
                        "assignment": .array(
                            member.assignment.map {
                                ["topic": .string($0.topic), "partitions": JSON($0.partitions)]
                            }),
                    ]
                }),
            "offsets": .array(
                offsets.map { offset in
                    [
                        "topic": .string(offset.topic), "partition": JSON(offset.partition),
                        "committed": JSON(offset.offset), "end": JSON(offset.end),
                        "lag": JSON(offset.lag), "metadata": JSON(offset.metadata),
                        "member": JSON(owner(offset)?.id),
                    ]
                }),
        ]
    }

    package func text(style: Style = .plain) -> String {
        let state = group.groupState
        var text = "group \(style.paint(TerminalText.clean(group.groupId), .strong)): "
        text += style.paint(
            TerminalText.clean(state),
            state == "Stable" ? .good : state == "Empty" ? .plain : .warning)
        text += ", \(Quantity.count(members.count, "member")), coordinator \(coordinator)"
        if !group.protocolData.isEmpty { text += ", \(TerminalText.clean(group.protocolData))" }
        text += "\n"
        if !members.isEmpty {
            var table = Table(["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"])
            for member in members {
                table.rows.append([
                    Table.Cell(member.id), Table.Cell(member.instance ?? ""),
                    Table.Cell(member.client), Table.Cell(member.host),
                    member.assignment.isEmpty
                        ? .none
                        : Table.Cell(
                            member.assignment.map { topic, partitions in
                                "\(topic): " + partitions.map(String.init).joined(separator: ",")
                            }.joined(separator: "; ")),
                ])
            }
            text += "\n" + table.text(indent: 2, style: style)
        }
        guard !offsets.isEmpty else { return text + "\n  nothing is committed\n" }
        var table = Table([
            "TOPIC", .right("PARTITION"), .right("COMMITTED"), .right("END"), .right("LAG"),
            "CLIENT",
        ])
        for offset in offsets {
            table.rows.append([
                Table.Cell(offset.topic), Table.Cell(offset.partition),
                Table.Cell(offset.offset), offset.end.map { Table.Cell($0) } ?? .none,
                offset.lag.map { Table.Cell("\($0)", $0 > 0 ? .warning : .good) } ?? .none,
                Table.Cell(owner(offset)?.client ?? ""),
            ])
        }
        return text + "\n" + table.text(indent: 2, style: style)
    }
}
