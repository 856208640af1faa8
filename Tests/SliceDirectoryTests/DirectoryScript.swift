import Addresses
import SliceDirectory
import SliceModel
import Testing
import Timing

/// Runs a conversation with one node, west's: lines that begin with `>` go in, the lines after
/// each are what must come out. Meant to be read. `hears` is what the peer says on the stream on
/// which it is followed, `asks` what it says on the one on which it follows.
struct DirectoryScript {
    private var node: DirectoryNode?
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var following: [String: DirectoryStream] = [:]
    private var serving: [String: DirectoryStream] = [:]
    private var names: [DirectoryStream: String] = [:]
    private var nextIncoming: UInt64 = 0
    private var own: [EndpointRecord] = []
    private var manifestVersion: UInt64 = 1
    private var out: [String] = []

    static let clusters = ["west": "10.80.1", "east": "10.80.2", "north": "10.80.3"]

    static func expect(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) {
        var runner = DirectoryScript()
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") || line.isEmpty {
                runner.out.append(String(line))
            } else if line.hasPrefix(">") {
                runner.out.append(String(line))
                do {
                    try runner.run(line.dropFirst().split(separator: " ").map(String.init))
                } catch {
                    runner.out.append("  not understood: \(error)")
                }
            }
        }
        let actual = runner.out.joined(separator: "\n")
        if actual != script {
            Issue.record("the conversation went:\n\(actual)", sourceLocation: sourceLocation)
        }
    }

    // MARK: In

    private mutating func run(_ words: [String]) throws {
        let name = words.count > 1 ? words[1] : ""
        switch words[0] {
        case "node": try start(incarnation: UInt64(name) ?? 1)
        case "own":
            own = try words.dropFirst().map(Self.record)
            step(.own(endpoints: own, services: []))
        case "wait": wait(Int64(name) ?? 0)
        case "connected": step(.connected(try #require(following[name])))
        case "accept":
            nextIncoming += 1
            let stream = DirectoryStream.incoming(nextIncoming)
            serving[name] = stream
            names[stream] = "\(name) as follower"
            let address = Self.clusters[name].map { "\($0).1" } ?? name
            step(.accepted(stream, from: try #require(IPAddress(address))))
        case "lost": step(.closed(try #require(following[name]), "reset"))
        case "hears": try receive(try #require(following[name]), Array(words.dropFirst(2)))
        case "asks": try receive(try #require(serving[name]), Array(words.dropFirst(2)))
        case "refuse-manifest":
            step(
                .manifestJudged(
                    from: try #require(ClusterName(name)), Self.digest(UInt64(words[2]) ?? 0),
                    isAccepted: false))
        case "manifest":
            manifestVersion = UInt64(name) ?? 1
            var slice = try Self.slice()
            if words.count > 2 {
                let place = try #require(slice.others.firstIndex { $0.name.text == words[2] })
                slice.others[place].prefixes = [try #require(IPPrefix(words[3]))]
            }
            step(
                .manifest(
                    slice, version: manifestVersion, digest: Self.digest(manifestVersion),
                    document: Self.document(manifestVersion)))
        case "view": describe()
        case "problems": for problem in node?.problems ?? [] { out.append("  \(problem)") }
        default: throw Unknown(word: words[0])
        }
    }

    private struct Unknown: Error { var word: String }

    private static func slice() throws -> DirectorySlice {
        let all = try clusters.sorted { $0.key < $1.key }.map { name, net in
            DirectorySlice.Cluster(
                name: try #require(ClusterName(name)),
                prefixes: [try #require(IPPrefix("\(net).0/24"))],
                addresses: [try #require(IPAddress("\(net).1"))])
        }
        return DirectorySlice(
            name: try #require(SliceName("pay")),
            local: try #require(all.first { $0.name.text == "west" }),
            others: all.filter { $0.name.text != "west" })
    }

    private static func document(_ version: UInt64) -> [UInt8] { Array("version \(version)".utf8) }
    private static func digest(_ version: UInt64) -> DirectoryDigest {
        Sample.digest(UInt8(truncatingIfNeeded: version))
    }

    private static func facts(_ version: String?) -> DirectoryFacts {
        let version = version.flatMap { UInt64($0) } ?? 1
        return DirectoryFacts(manifestVersion: version, manifestDigest: digest(version))
    }

    private mutating func start(incarnation: UInt64) throws {
        node = DirectoryNode(
            try Self.slice(), incarnation: incarnation, facts: Self.facts("1"),
            document: Self.document(1), seed: 1, now: now)
        step(.tick)
    }

    private mutating func wait(_ milliseconds: Int64) {
        let end = now + .milliseconds(milliseconds)
        while let deadline = node?.nextDeadline, deadline <= end {
            now = deadline
            step(.tick)
        }
        now = end
    }

    private mutating func step(_ event: DirectoryEvent) {
        for effect in node?.step(event, now: now) ?? [] { show(effect) }
    }

    /// NAMESPACE/NAME=ADDRESS
    private static func record(_ text: String) throws -> EndpointRecord {
        let parts = text.split(separator: "=").map(String.init)
        return try Sample.endpoint(parts[0], parts[1])
    }

    /// NAMESPACE/NAME=ADDRESS@SINCE
    private static func item(_ text: String) throws -> DirectoryItem {
        let parts = text.split(separator: "@").map(String.init)
        return .endpoint(try record(parts[0]), since: UInt64(parts[1]) ?? 0)
    }

    private mutating func receive(_ stream: DirectoryStream, _ words: [String]) throws {
        step(.received(stream, try Self.message(words).frame))
    }

    private static func message(_ words: [String]) throws -> DirectoryMessage {
        func number(after word: String) -> UInt64 {
            words.firstIndex(of: word).flatMap { UInt64(words[$0 + 1]) } ?? 0
        }
        let facts = facts(words.firstIndex(of: "manifest").map { words[$0 + 1] })
        switch words[0] {
        case "hello":
            return .hello(
                DirectoryMessage.Hello(
                    slice: try #require(SliceName(words[1])),
                    cluster: try #require(ClusterName(words[2])),
                    incarnation: number(after: "life"), knownIncarnation: number(after: "knows"),
                    knownVersion: number(after: "at"), facts: facts))
        case "welcome":
            return .welcome(
                DirectoryMessage.Welcome(
                    cluster: try #require(ClusterName(words[1])),
                    incarnation: number(after: "life"), version: number(after: "at"), facts: facts))
        case "begin": return .snapshotBegin(version: UInt64(words[1]) ?? 0)
        case "items": return .snapshotItems(try words.dropFirst().map(item))
        case "end": return .snapshotEnd(version: UInt64(words[1]) ?? 0)
        case "delta":
            let changes: [DirectoryChange] = try words.dropFirst(3).filter { $0 != "more" }.map {
                $0.hasPrefix("-")
                    ? .remove(.endpoint(try Sample.key(String($0.dropFirst()))))
                    : .put(try item(String($0.dropFirst())))
            }
            return .delta(
                DirectoryMessage.Delta(
                    from: UInt64(words[1]) ?? 0, to: UInt64(words[2]) ?? 0,
                    hasMore: words.contains("more"), changes: changes))
        case "heartbeat": return .heartbeat(version: UInt64(words[1]) ?? 0, facts)
        case "ask": return .manifestRequest
        case "offer":
            let version = UInt64(words[1]) ?? 0
            return .manifestBegin(
                version: version, digest(version), byteCount: UInt32(words[2]) ?? 0)
        case "bytes": return .manifestBytes(Array(words[1].utf8))
        case "refusal":
            return .refusal(words[1] == "slow" ? .slow : .olderIncarnation, "")
        default: throw Unknown(word: words[0])
        }
    }

    // MARK: Out

    private mutating func show(_ effect: DirectoryEffect) {
        switch effect {
        case .connect(let stream, let address, let cluster):
            following[cluster.text] = stream
            names[stream] = cluster.text
            out.append("  connect to \(cluster) at \(address)")
        case .send(let stream, let bytes):
            var decoder = DirectoryFrameDecoder()
            decoder.append(bytes)
            while let message = try? decoder.next() {
                out.append("  to \(names[stream] ?? "?"): \(Self.text(of: message))")
            }
        case .close(let stream): out.append("  close \(names[stream] ?? "?")")
        case .viewChanged(let clusters):
            out.append("  view: " + clusters.map(\.text).joined(separator: ", "))
        case .manifestReceived(let manifest):
            out.append(
                "  manifest \(manifest.version) from \(manifest.from): "
                    + String(decoding: manifest.document, as: UTF8.self))
        case .report(let problem): out.append("  report: \(problem)")
        }
    }

    private static func text(of item: DirectoryItem) -> String {
        guard case .endpoint(let record, let since) = item else { return "\(item.key)" }
        return "\(record.key)=\(record.addresses[0])@\(since)"
    }

    private static func text(of message: DirectoryMessage) -> String {
        switch message {
        case .hello(let hello):
            "hello \(hello.slice) \(hello.cluster) life \(hello.incarnation) knows "
                + "\(hello.knownIncarnation) at \(hello.knownVersion)"
        case .welcome(let welcome):
            "welcome \(welcome.cluster) life \(welcome.incarnation) at \(welcome.version)"
        case .snapshotBegin(let version): "begin \(version)"
        case .snapshotItems(let items): "items " + items.map(text).joined(separator: " ")
        case .snapshotEnd(let version): "end \(version)"
        case .delta(let delta):
            "delta \(delta.from) \(delta.to)\(delta.hasMore ? " more" : "")"
                + delta.changes.map { change in
                    switch change {
                    case .put(let item): " +\(text(of: item))"
                    case .remove(let key): " -\(key)"
                    }
                }.joined()
        case .heartbeat(let version, let facts):
            "heartbeat \(version) manifest \(facts.manifestVersion)"
        case .manifestRequest: "ask"
        case .manifestBegin(let version, _, let count): "offer \(version) \(count)"
        case .manifestBytes(let bytes): "bytes " + String(decoding: bytes, as: UTF8.self)
        case .refusal(let reason, _): "refusal: \(reason)"
        }
    }

    private mutating func describe() {
        for view in node?.view.inOrder ?? [] {
            let state =
                switch view.state {
                case .fresh: "fresh"
                case .stale(let since): "stale for \((now - since).count / 1_000_000) ms"
                case .absent: "absent"
                }
            let records = view.sortedEndpoints.map { " \($0.key)=\($0.addresses[0])" }.joined()
            out.append("  \(view.cluster) \(state):\(records)")
        }
    }
}
