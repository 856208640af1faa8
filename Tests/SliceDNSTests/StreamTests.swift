import Addresses
import SliceDNS
import Testing
import Timing

/// What `#expect` calls may not mutate a value.
private final class Limiter {
    private var limiter: QueryLimiter

    init(perSecond: Int, burst: Int) { limiter = QueryLimiter(perSecond: perSecond, burst: burst) }

    var sourceCount: Int { limiter.sourceCount }
    func allows(_ source: IPAddress, now: Instant) -> Bool { limiter.allows(source, now: now) }
}

@Suite struct StreamTests {
    private func drain(_ framer: inout MessageFramer) -> [MessageFramer.Step] {
        var steps: [MessageFramer.Step] = []
        while true {
            let step = framer.next()
            if step == .needsMore { return steps }
            steps.append(step)
            if case .tooLong = step { return steps }
        }
    }

    /// In every size of piece the same messages come out, each as soon as it is whole.
    @Test(arguments: 1...40)
    func dripFeed(_ size: Int) {
        let messages = [query("A a.slice.local"), [], query("SRV b.slice.local do"), [1]]
        let stream = messages.flatMap { MessageFramer.framed($0) }
        var framer = MessageFramer()
        var steps: [MessageFramer.Step] = []
        var fed = 0
        while fed < stream.count {
            framer.append(stream[fed..<min(fed + size, stream.count)])
            fed += size
            steps += drain(&framer)
        }
        #expect(steps == messages.map { .message($0) })
        #expect(framer.pendingBytes == 0)
    }

    @Test func whatIsTooLongIsNotWaitedFor() {
        func first(_ bytes: [UInt8], limit: Int = MessageFramer.queryBytes) -> MessageFramer.Step {
            var framer = MessageFramer(limit: limit)
            framer.append(bytes)
            return framer.next()
        }
        #expect(first([0, 100], limit: 100) == .needsMore)
        #expect(first([0, 101], limit: 100) == .tooLong(101))
        #expect(first([0xff, 0xff]) == .tooLong(65_535))
    }

    @Test func lengthsAreInFront() {
        #expect(MessageFramer.framed([7, 8]) == [0, 2, 7, 8])
        #expect(MessageFramer.framed([UInt8](repeating: 1, count: 300)).prefix(2) == [1, 44])
    }
}

@Suite struct QueryLimiterTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private let a = IPAddress.v4(IPv4Address(1))
    private let b = IPAddress.v6(IPv6Address(high: 1, low: 2))

    @Test func burstThenRateForEachSource() {
        let limiter = Limiter(perSecond: 10, burst: 3)
        let burst = (0..<5).map { _ in limiter.allows(a, now: start) }
        #expect(burst == [true, true, true, false, false])
        #expect(limiter.allows(b, now: start))
        #expect(!limiter.allows(a, now: start + .milliseconds(99)))
        #expect(limiter.allows(a, now: start + .milliseconds(201)))
        #expect(limiter.allows(a, now: start + .milliseconds(201)))
        #expect(!limiter.allows(a, now: start + .milliseconds(201)))
    }

    @Test func tableIsBoundedAndForgets() {
        let limiter = Limiter(perSecond: 10, burst: 3)
        for index in 0..<QueryLimiter.maximumSources {
            #expect(limiter.allows(.v4(IPv4Address(UInt32(index))), now: start))
        }
        #expect(!limiter.allows(b, now: start))
        #expect(limiter.sourceCount == QueryLimiter.maximumSources)
        #expect(limiter.allows(b, now: start + .seconds(6)))
        #expect(limiter.sourceCount == 1)
    }

    @Test func oddNumbersDoNotTrap() {
        for (rate, burst) in [(0, 0), (-1, -1), (.max, .max)] {
            let limiter = Limiter(perSecond: rate, burst: burst)
            #expect(limiter.allows(a, now: start))
        }
    }
}

@Suite struct ForwardedQueryTests {
    private func forwarded(
        _ text: String = "A Example.COM rd edns", isStream: Bool = false
    ) throws -> ForwardedQuery {
        let reaction = query(text).withUnsafeBytes {
            zone.answer($0, SliceZone.Circumstances(isStream: isStream, forwards: true))
        }
        guard case .forward(let query) = reaction else { throw NotAReply(reaction: "\(reaction)") }
        return ForwardedQuery(query, id: 0xbeef, isStream: isStream)
    }

    private func upstream(
        _ forwarded: ForwardedQuery, _ change: (inout Message) -> Void = { _ in }
    ) throws -> [UInt8] {
        var message = try forwarded.question.withUnsafeBytes { try Message(decoding: $0) }
        message.header.flags |= Header.response | Header.authoritative
        message.answers = (1...3).map {
            ResourceRecord(
                owner: message.questions[0].name, type: .a, ttl: 60, data: .a(IPv4Address($0)))
        }
        change(&message)
        return try #require(message.encoded())
    }

    private func verdict(_ forwarded: ForwardedQuery, _ bytes: [UInt8]) -> ForwardedQuery.Verdict {
        bytes.withUnsafeBytes { forwarded.judge($0) }
    }

    @Test func theQuestionIsOurOwn() throws {
        let message = try forwarded("A Example.COM rd do cd ad size=4096").question
            .withUnsafeBytes { try Message(decoding: $0) }
        #expect(
            message.header.id == 0xbeef && message.questions[0].name == DomainName("Example.COM"))
        #expect(message.edns?.payloadBytes == 1232 && message.edns?.flags == 0x8000)
        #expect(
            message.header.flags
                == Header.recursionDesired | Header.checkingDisabled | Header.authenticData)
        #expect(
            try forwarded("A a.b rd").question.withUnsafeBytes { try Message(decoding: $0).edns }
                == nil)
    }

    @Test func theAnswerGetsTheClientsNumberAndSpelling() throws {
        let forwarded = try forwarded()
        let lower = try upstream(forwarded) {
            $0.questions[0].name = $0.questions[0].name.lowercased
        }
        guard case .answer(let bytes, .noError) = verdict(forwarded, lower) else {
            Issue.record("not taken")
            return
        }
        let message = try bytes.withUnsafeBytes { try Message(decoding: $0) }
        #expect(message.header.id == 0x4711 && message.answers.count == 3)
        #expect(message.questions[0].name == DomainName("Example.COM"))
        #expect(message.header.has(Header.recursionAvailable))
        #expect(!message.header.has(Header.authoritative))
    }

    /// RFC 5452 section 9: what does not fit is not the answer, however it came.
    @Test func whatIsNotTheAnswerIsForeign() throws {
        let forwarded = try forwarded()
        let changes: [(inout Message) -> Void] = [
            { $0.header.id ^= 1 },
            { $0.header.flags &= ~Header.response },
            { $0.header.flags |= 0x2800 },
            { $0.questions = [] },
            { $0.questions += $0.questions },
            { $0.questions[0].type = .aaaa },
            { $0.questions[0].recordClass = .chaos },
            { $0.questions[0].name = DomainName("example.net") ?? .root },
        ]
        for change in changes {
            #expect(verdict(forwarded, try upstream(forwarded, change)) == .foreign)
        }
        let whole = try upstream(forwarded)
        for count in 0..<whole.count {
            #expect(verdict(forwarded, Array(whole.prefix(count))) == .foreign)
        }
    }

    @Test func errorsLeadToTheNextResolver() throws {
        let forwarded = try forwarded()
        let failed = try upstream(forwarded) {
            $0.answers = []
            $0.header.flags |= 2
        }
        #expect(verdict(forwarded, failed) == .unusable(.serverFailure))
        let absent = try upstream(forwarded) { $0.header.flags |= 3 }
        guard case .answer(_, .nameError) = verdict(forwarded, absent) else {
            Issue.record("NXDOMAIN is an answer")
            return
        }
    }

    @Test func whatTheClientCannotTakeIsCut() throws {
        let forwarded = try forwarded("A Example.COM rd")
        let long = try upstream(forwarded) { message in
            let record = message.answers[0]
            message.answers = [ResourceRecord](repeating: record, count: 60)
        }
        guard case .answer(let bytes, .noError) = verdict(forwarded, long) else {
            Issue.record("not taken")
            return
        }
        let message = try bytes.withUnsafeBytes { try Message(decoding: $0) }
        #expect(message.header.has(Header.truncated) && message.answers.isEmpty)
        #expect(message.questions.count == 1)
        let stream = try self.forwarded("A Example.COM rd", isStream: true)
        guard case .answer(let whole, _) = verdict(stream, long) else { return }
        #expect(whole.count == long.count)
    }

    @Test func failureIsAMessage() throws {
        let bytes = try forwarded().failure(.noForwarderAnswered)
        let message = try bytes.withUnsafeBytes { try Message(decoding: $0) }
        #expect(message.code == .serverFailure && message.header.id == 0x4711)
        #expect(message.edns?.options.first?.data.prefix(2) == [0, 22])
    }
}
