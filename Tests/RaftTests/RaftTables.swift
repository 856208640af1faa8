import NIOCore
import Raft
import Testing

@Suite struct RaftTables {
    @Test(arguments: [
        (Int16(-1), "UNKNOWN_SERVER_ERROR"), (0, "NONE"), (3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (6, "NOT_LEADER_OR_FOLLOWER"), (7, "REQUEST_TIMED_OUT"), (8, "BROKER_NOT_AVAILABLE"),
        (31, "CLUSTER_AUTHORIZATION_FAILED"), (42, "INVALID_REQUEST"),
        (56, "KAFKA_STORAGE_ERROR"), (74, "FENCED_LEADER_EPOCH"), (75, "UNKNOWN_LEADER_EPOCH"),
        (94, "INCONSISTENT_VOTER_SET"), (98, "SNAPSHOT_NOT_FOUND"),
        (99, "POSITION_OUT_OF_RANGE"), (104, "INCONSISTENT_CLUSTER_ID"),
        (125, "INVALID_VOTER_KEY"),
    ])
    func errorsHaveKafkasCodesAndNames(_ code: Int16, _ name: String) {
        #expect(RaftError(code: code).rawValue == code)
        #expect("\(RaftError(code: code))" == name)
    }

    @Test func anErrorThatIsNotKnownIsOne() {
        #expect(RaftError(code: 9_999) == .unknownServerError)
        #expect(RaftError.allCases.count == 16)
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
    func aMajorityIsMoreThanHalf(_ count: Int32, _ majority: Int) {
        #expect(VoterSet(ids: (0..<count).map { $0 }).majority == majority)
    }

    @Test func votersAreOrderedAndOnce() {
        let one = DirectoryID(high: 0, low: 1)
        let two = DirectoryID(high: 0, low: 2)
        let voters = VoterSet([
            ReplicaKey(id: 3), ReplicaKey(id: 1, directoryID: one), ReplicaKey(id: 3),
            ReplicaKey(id: 1, directoryID: two),
        ])
        #expect(voters.voters.map(\.id) == [1, 3])
        #expect(voters.contains(ReplicaKey(id: 1)))
        #expect(voters.contains(ReplicaKey(id: 1, directoryID: one)))
        #expect(!voters.contains(ReplicaKey(id: 1, directoryID: two)))
        #expect(voters.contains(ReplicaKey(id: 3, directoryID: two)))
        #expect(voters.index(of: ReplicaKey(id: 2)) == nil)
    }

    @Test func aLogIsFurtherByEpochThenByOffset() {
        let ordered = [(9, 0), (1, 1), (2, 1), (1, 2), (0, 3)]
            .map { OffsetAndEpoch(offset: $0.0, epoch: $0.1) }
        for (index, position) in ordered.enumerated() {
            for (other, further) in ordered.enumerated() {
                #expect((position < further) == (index < other))
            }
        }
    }
}

/// What a leader says to a fetch at any place, for logs of every kind: KIP-595's table of diverging
/// epochs, KIP-630's of snapshots.
@Suite struct FetchPositionTables {
    struct Case: CustomTestStringConvertible, Sendable {
        let log: String
        let fetch: String
        let answer: String
        var testDescription: String { "[\(log)] at \(fetch)" }
    }

    @Test(arguments: [
        // A log from its first record: epochs 1 1 3 3, and the leader's own of epoch 4 behind.
        Case(log: "1,1,3,3", fetch: "0@0", answer: "5 records"),
        Case(log: "1,1,3,3", fetch: "1@1", answer: "4 records"),
        Case(log: "1,1,3,3", fetch: "2@1", answer: "3 records"),
        Case(log: "1,1,3,3", fetch: "3@1", answer: "diverging 2@1"),
        Case(log: "1,1,3,3", fetch: "2@2", answer: "diverging 2@1"),
        Case(log: "1,1,3,3", fetch: "9@2", answer: "diverging 2@1"),
        Case(log: "1,1,3,3", fetch: "4@3", answer: "1 records"),
        Case(log: "1,1,3,3", fetch: "5@3", answer: "diverging 4@3"),
        Case(log: "1,1,3,3", fetch: "5@4", answer: "nothing"),
        Case(log: "1,1,3,3", fetch: "6@4", answer: "diverging 5@4"),
        Case(log: "1,1,3,3", fetch: "9223372036854775807@4", answer: "diverging 5@4"),
        Case(log: "1,1,3,3", fetch: "1@0", answer: "diverging 0@0"),
        // Nothing but the leader's own first record.
        Case(log: "", fetch: "0@0", answer: "1 records"),
        Case(log: "", fetch: "3@2", answer: "diverging 0@0"),
        // A snapshot of the first three in front, and one record behind it.
        Case(log: "1,1,3|3", fetch: "0@0", answer: "snapshot 3@3"),
        Case(log: "1,1,3|3", fetch: "2@1", answer: "snapshot 3@3"),
        Case(log: "1,1,3|3", fetch: "2@3", answer: "snapshot 3@3"),
        Case(log: "1,1,3|3", fetch: "3@1", answer: "snapshot 3@3"),
        Case(log: "1,1,3|3", fetch: "3@4", answer: "snapshot 3@3"),
        Case(log: "1,1,3|3", fetch: "3@3", answer: "2 records"),
        Case(log: "1,1,3|3", fetch: "4@3", answer: "1 records"),
        Case(log: "1,1,3|3", fetch: "5@3", answer: "diverging 4@3"),
        Case(log: "1,1,3|3", fetch: "9@2", answer: "snapshot 3@3"),
        // Nothing behind the snapshot but the leader's own.
        Case(log: "1,1,3|", fetch: "3@3", answer: "1 records"),
        Case(log: "1,1,3|", fetch: "4@3", answer: "diverging 3@3"),
        Case(log: "1,1,3|", fetch: "4@4", answer: "nothing"),
    ])
    func theLeaderAnswers(_ example: Case) throws {
        let parts = example.log.split(separator: "|", omittingEmptySubsequences: false)
        let before = parts[0].split(separator: ",").count
        let epochs = example.log.split { $0 == "," || $0 == "|" }.joined(separator: ",")
        let replay = RaftScript.replay(
            """
            > node 1 voters 1 epoch 3 log \(epochs.isEmpty ? "-" : epochs)
            > timer
            \(parts.count > 1 ? "> snapshot \(before)" : "#")
            > fetch from 2 epoch 4 at \(example.fetch) ms 0
            """)
        let answer = try #require(replay.split(separator: "\n").last)
        let expected = example.answer == "nothing" ? "hw 5" : example.answer
        let isSmall = example.log.isEmpty || example.log.hasSuffix("|")
        let wanted =
            isSmall && example.answer == "nothing" ? "hw 4" : expected
        #expect(answer.hasSuffix(wanted), "\(replay)")
    }
}
