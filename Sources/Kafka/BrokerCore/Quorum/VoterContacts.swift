import BrokerConfig
import KafkaWire
import Raft
import Timing

/// How this node gets on with the controllers, for its log, and for its end if it is none of
/// theirs.
struct VoterContacts {
    /// Why the last request had no answer; nothing of a controller that answers.
    var failures: [Int32: String] = [:]
    /// Controllers that take this node for one of another cluster, and what theirs is called, if
    /// they say so.
    var strangers: [Int32: String?] = [:]
    /// Questions after a stranger's cluster under way, by our id.
    var questions: [UInt64: Int32] = [:]
    var reminders = Reminders()
    /// A leader has answered since the start: this node belongs here.
    var hasFollowed = false
    /// When a leader answered last; at first, when the node started.
    var lastAnswer: Instant
    /// When it is said that none leads.
    var nextLine: Instant
    var interval = Self.patience
    var hasComplained = false

    /// An election takes less.
    static let patience = Nanoseconds.seconds(2)
    static let longestInterval = Nanoseconds.seconds(60)

    init(now: Instant) {
        lastAnswer = now
        nextLine = now + Self.patience
    }
}

extension QuorumNode {
    // MARK: No leader

    /// The leader has answered, or this node leads.
    func inTouch() {
        contacts.hasFollowed = true
        contacts.lastAnswer = now
        contacts.nextLine = now + VoterContacts.patience
        contacts.interval = VoterContacts.patience
        guard contacts.hasComplained else { return }
        contacts.hasComplained = false
        let leader = raft.leaderID.map { "controller \(place(of: $0)) leads" } ?? "one leads"
        say(.notice, "in touch with the controllers again: \(leader)")
    }

    /// Says for whom this node waits, if it does.
    func complainIfAlone() {
        if raft.isLeader { return inTouch() }
        guard contacts.nextLine <= now else { return }
        // A process that did not run has not listened either.
        guard now < contacts.nextLine + VoterContacts.patience else {
            contacts.nextLine = now + VoterContacts.patience
            return
        }
        let others = config.voters.filter { $0.id != config.nodeID }
        guard !others.isEmpty else {
            contacts.nextLine = now + VoterContacts.patience
            return
        }
        let list = others.map { voter in
            "\(place(of: voter.id)) " + state(of: voter.id)
        }
        let seconds = (now - contacts.lastAnswer).count / 1_000_000_000
        say(
            .warning,
            "no controller leads that this node can reach, for \(seconds) s. Of those in "
                + "controller.quorum.voters, \(list.joined(separator: "; "))")
        contacts.hasComplained = true
        contacts.nextLine = now + contacts.interval
        contacts.interval = min(contacts.interval * 2, VoterContacts.longestInterval)
    }

    private func state(of voter: Int32) -> String {
        if let cluster = contacts.strangers[voter] {
            return "belongs to another cluster" + (cluster.map { ", \($0)" } ?? "")
        }
        return contacts.failures[voter].map { "cannot be reached (\($0))" }
            ?? "answers, and does not lead"
    }

    /// `2 at 10.80.0.2:9093`
    func place(of voter: Int32) -> String {
        config.voters.first { $0.id == voter }.map { "\($0.id) at \($0.host):\($0.port)" }
            ?? "\(voter)"
    }

    /// A controller's answer, whatever it says.
    func heard(_ response: RaftResponse, from voter: Int32) {
        contacts.failures[voter] = nil
        let errors: (RaftError, RaftError)
        switch response {
        case .vote(let response): errors = (response.topLevelError, response.error)
        case .beginQuorumEpoch(let response), .endQuorumEpoch(let response):
            errors = (response.topLevelError, response.error)
        case .fetch(let response): errors = (response.topLevelError, response.error)
        case .fetchSnapshot(let response): errors = (response.topLevelError, response.error)
        case .describeQuorum(let response): errors = (.none, response.error)
        }
        guard errors.0 != .inconsistentClusterID else { return refusedAsStranger(by: voter) }
        contacts.strangers[voter] = nil
        guard errors == (.none, .none) else { return }
        switch response {
        case .fetch, .fetchSnapshot: inTouch()
        default: break
        }
    }

    // MARK: Another cluster

    /// The refusal does not say to which cluster the controller belongs; it is asked.
    private func refusedAsStranger(by voter: Int32) {
        guard contacts.reminders.isDue("stranger \(voter)", now),
            let place = config.voters.first(where: { $0.id == voter })
        else { return }
        let id = nextRequest
        nextRequest += 1
        contacts.questions[id] = voter
        let version = DescribeClusterRequest.validVersions.upperBound
        let request = DescribeClusterRequest(
            includeClusterAuthorizedOperations: false, endpointType: 2)
        effects.append(
            .node(
                .send(
                    PeerRequest(
                        id: id, node: voter, host: place.host, port: place.port, lane: .control,
                        apiKey: DescribeClusterRequest.apiKey, version: version,
                        body: request.encoded(version: version), timeout: .seconds(1)))))
    }

    /// - Parameter response: nil if there was no answer: then its cluster stays without a name.
    func strangerAnswered(_ voter: Int32, _ response: DescribeClusterResponse?) {
        let said = response?.clusterId ?? ""
        let printable = said.utf8.prefix(64).filter { $0 > 0x20 && $0 < 0x7F }
        let name = String(decoding: printable, as: UTF8.self)
        guard name != identity.clusterID else { return }
        contacts.strangers[voter] = .some(name.isEmpty ? nil : name)
        let majority = config.voters.count / 2 + 1
        guard !contacts.hasFollowed, contacts.strangers.count >= majority else {
            say(
                .warning,
                "controller \(place(of: voter)) belongs to another cluster"
                    + (name.isEmpty ? "" : ", \(name)")
                    + ", and this node to \(identity.clusterID): it has no part in this quorum. "
                    + "Check log.dir there and controller.quorum.voters on all nodes")
            return
        }
        let theirs = config.voters.filter { contacts.strangers[$0.id] != nil }.map { voter in
            place(of: voter.id)
                + (contacts.strangers[voter.id].flatMap(\.self).map { " to \($0)" } ?? "")
        }
        fail(
            "the controllers belong to another cluster than this node: "
                + "\(theirs.joined(separator: ", ")), and \(config.metadataDirectory) was "
                + "formatted for \(identity.clusterID). Check controller.quorum.voters and "
                + "log.dir; a node that is to join them needs a directory that was formatted with "
                + "their id")
    }
}
