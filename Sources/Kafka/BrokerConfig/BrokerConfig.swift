/// What the configuration file says, checked, with defaults filled in.
package struct BrokerConfig: Sendable {
    package enum Role: String, Sendable, CaseIterable {
        case broker, controller
    }

    /// The text of every property that was given, and of no other.
    package private(set) var given: [String: String]

    package private(set) var nodeID: Int32 = 0
    package private(set) var roles: Set<Role> = []
    package private(set) var voters: [QuorumVoter] = []
    package private(set) var listeners: [Listener] = []
    package private(set) var advertised: [Listener] = []
    package private(set) var controllerListenerNames: [String] = []

    package var isBroker: Bool { roles.contains(.broker) }
    package var isController: Bool { roles.contains(.controller) }
    package var rack: String? { text("broker.rack").isEmpty ? nil : text("broker.rack") }
    package var interBrokerListener: String { text("inter.broker.listener.name").uppercased() }

    package var logDirectory: String {
        let list = list("log.dirs")
        return list.first ?? text("log.dir")
    }
    package var metadataDirectory: String {
        text("metadata.log.dir").isEmpty ? logDirectory : text("metadata.log.dir")
    }

    /// The listeners of clients and brokers, and those of the controller.
    package var brokerListeners: [Listener] {
        isBroker ? listeners.filter { !controllerListenerNames.contains($0.name) } : []
    }
    package var controllerListeners: [Listener] {
        listeners.filter { controllerListenerNames.contains($0.name) }
    }

    /// - Throws: all problems at once.
    package init(_ file: PropertiesFile) throws(BrokerConfigError) {
        var problems: [PropertiesError] = []
        var lines: [String: Int] = [:]
        given = [:]
        for entry in file.entries {
            guard let property = Self.byName[entry.key] else {
                problems.append(
                    .init(line: entry.line, message: Self.unknown(entry.key)))
                continue
            }
            if let first = lines[entry.key] {
                problems.append(
                    .init(
                        line: entry.line,
                        message: "\(entry.key) was given before, in line \(first)"))
                continue
            }
            lines[entry.key] = entry.line
            if entry.value.isEmpty, property.defaultValue == "" { continue }
            if let problem = property.problem(with: entry.value) {
                problems.append(.init(line: entry.line, message: "\(entry.key) \(problem)"))
                continue
            }
            given[entry.key] = entry.value
        }
        check(lines: lines, &problems)
        guard problems.isEmpty else {
            throw BrokerConfigError(problems: problems.sorted { $0.line < $1.line })
        }
    }

    private mutating func check(lines: [String: Int], _ problems: inout [PropertiesError]) {
        func complain(_ name: String, _ message: String) {
            problems.append(.init(line: lines[name] ?? 0, message: "\(name) \(message)"))
        }
        for property in BrokerProperty.all
        where property.defaultValue == nil && lines[property.name] == nil {
            complain(property.name, "is missing; every node needs it")
        }
        nodeID = Int32(integer("node.id"))
        for role in list("process.roles") {
            guard let role = Role(rawValue: role) else {
                complain("process.roles", "knows broker and controller, not \(quoted(role))")
                continue
            }
            roles.insert(role)
        }
        for text in list("controller.quorum.voters") {
            guard let voter = QuorumVoter(text) else {
                complain(
                    "controller.quorum.voters", "has \(quoted(text)), which is not id@host:port")
                continue
            }
            if voters.contains(where: { $0.id == voter.id }) {
                complain("controller.quorum.voters", "has node \(voter.id) twice")
            }
            voters.append(voter)
        }
        listeners = places("listeners", complain)
        advertised = places("advertised.listeners", complain)
        controllerListenerNames = list("controller.listener.names").map { $0.uppercased() }
        checkListeners(complain)
        let isVoter = voters.contains { $0.id == nodeID }
        if isController, !voters.isEmpty, !isVoter {
            complain(
                "controller.quorum.voters",
                "does not have this node, \(nodeID), which process.roles makes a controller")
        }
        if !isController, isVoter {
            complain(
                "controller.quorum.voters",
                "has this node, \(nodeID), which process.roles does not make a controller")
        }
        if list("log.dirs").count > 1 {
            complain("log.dirs", "takes one directory so far")
        }
        for mapping in list("listener.security.protocol.map")
        where mapping.split(separator: ":").last != "PLAINTEXT" {
            complain(
                "listener.security.protocol.map", "has \(quoted(mapping)); only PLAINTEXT is served"
            )
        }
        for policy in list("log.cleanup.policy") where policy != "delete" && policy != "compact" {
            complain("log.cleanup.policy", "knows delete and compact, not \(quoted(policy))")
        }
        checkLogs(complain)
        if !text("metrics.listener").isEmpty, HostAndPort(text("metrics.listener")) == nil {
            complain("metrics.listener", "must be host:port")
        }
        if integer("broker.session.timeout.ms") < 2 * integer("broker.heartbeat.interval.ms") {
            complain(
                "broker.session.timeout.ms", "must be at least twice broker.heartbeat.interval.ms")
        }
    }

    /// What topics would inherit and could not have.
    private func checkLogs(_ complain: (String, String) -> Void) {
        if flag("log.preallocate") {
            complain("log.preallocate", "takes only false: segments grow as they are written")
        }
        for name in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        where given[name].flatMap({ Int64($0) }) == 0 {
            complain(name, "must be at least 1, or -1 to keep records for ever")
        }
        let shortest = "log.cleaner.min.compaction.lag.ms"
        let longest = "log.cleaner.max.compaction.lag.ms"
        if integer(shortest) > integer(longest) {
            complain(
                given[shortest] == nil ? longest : shortest,
                "would keep records from compaction for longer (\(integer(shortest)) ms) than "
                    + "\(longest) allows (\(integer(longest)) ms)")
        }
    }

    private func places(
        _ name: String, _ complain: (String, String) -> Void
    ) -> [Listener] {
        var result: [Listener] = []
        for text in list(name) {
            guard let listener = Listener(text) else {
                complain(name, "has \(quoted(text)), which is not NAME://host:port")
                continue
            }
            if result.contains(where: { $0.name == listener.name }) {
                complain(name, "has \(listener.name) twice")
            }
            result.append(listener)
        }
        return result
    }

    private func checkListeners(_ complain: (String, String) -> Void) {
        if isBroker {
            if !brokerListeners.contains(where: { $0.name == interBrokerListener }) {
                complain(
                    "inter.broker.listener.name",
                    "is \(interBrokerListener), which is not in listeners")
            }
        }
        if isController, controllerListeners.isEmpty {
            complain(
                "listeners",
                "must have one of controller.listener.names "
                    + "(\(controllerListenerNames.joined(separator: ", "))) on a controller")
        }
        for listener in advertised {
            if !listeners.contains(where: { $0.name == listener.name }) {
                complain("advertised.listeners", "has \(listener.name), which is not in listeners")
            }
            if listener.host.isEmpty || listener.host == "0.0.0.0" || listener.host == "::" {
                complain(
                    "advertised.listeners",
                    "has \(listener), and nobody can connect to every address; name one")
            }
        }
    }

    private static func unknown(_ name: String) -> String {
        if let why = ForeignProperties.reason(against: name) {
            return "\(name) is not supported: \(why)"
        }
        let near = BrokerProperty.all.map(\.name).filter {
            abs($0.utf8.count - name.utf8.count) <= 3 && distance($0, name) <= 3
        }
        let hint = near.isEmpty ? "" : "; did you mean \(near.joined(separator: " or "))?"
        return "\(quoted(name)) is not a property of this broker\(hint)"
    }

    private static let byName: [String: BrokerProperty] = Dictionary(
        uniqueKeysWithValues: BrokerProperty.all.map { ($0.name, $0) })
}

extension BrokerConfig {
    package static func property(_ name: String) -> BrokerProperty? { byName[name] }

    /// The property's text: as given, or its default. An unknown name has none.
    package func text(_ name: String) -> String {
        given[name] ?? Self.byName[name]?.defaultValue ?? ""
    }

    package func integer(_ name: String) -> Int64 { Int64(text(name)) ?? 0 }

    package func flag(_ name: String) -> Bool { text(name) == "true" }

    package func list(_ name: String) -> [String] {
        text(name).split(separator: ",").map { part in
            var part = part.drop { $0 == " " }
            while part.last == " " { part.removeLast() }
            return String(part)
        }.filter { !$0.isEmpty }
    }

    /// What topics that say nothing else have, under the topics' names.
    package var topicDefaults: [String: String] {
        var result: [String: String] = [:]
        for property in BrokerProperty.all {
            guard let topic = property.topicProperty, let value = given[property.name] else {
                continue
            }
            result[topic] = value
        }
        func alternative(_ name: String, _ milliseconds: Int64, for topic: String) {
            guard result[topic] == nil, let value = given[name].flatMap({ Int64($0) }) else {
                return
            }
            let (product, overflow) = value.multipliedReportingOverflow(by: milliseconds)
            result[topic] = value < 0 || overflow ? "-1" : String(product)
        }
        alternative("log.retention.minutes", 60_000, for: "retention.ms")
        alternative("log.retention.hours", 3_600_000, for: "retention.ms")
        alternative("log.roll.hours", 3_600_000, for: "segment.ms")
        return result
    }
}

/// Everything that is wrong with a configuration.
package struct BrokerConfigError: Error, Equatable, CustomStringConvertible {
    package var problems: [PropertiesError]

    package var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// Levenshtein's distance, for "did you mean".
private func distance(_ a: String, _ b: String) -> Int {
    let a = Array(a.utf8.prefix(128))
    let b = Array(b.utf8.prefix(128))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var previous = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let substituted = previous + (x == y ? 0 : 1)
            previous = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}
