import Addresses
import SliceModel

// What a fuzzer calls: any bytes in, no trap, and rules that hold for whatever comes out.

package enum DNSFuzz {
    /// Whatever is understood is the same when it was written and read again.
    package static func message(_ bytes: UnsafeRawBufferPointer) {
        guard let message = try? Message(decoding: bytes), let again = message.encoded() else {
            return
        }
        let read = again.withUnsafeBytes { try? Message(decoding: $0) }
        precondition(read == message, "a message that does not come back")
        precondition(read?.encoded() == again, "two ways to write one message")
    }

    /// Every answer is a message, to this query, and no longer than it may be.
    package static func query(_ bytes: UnsafeRawBufferPointer) {
        for isStream in [false, true] {
            let reaction = zone.answer(
                bytes,
                SliceZone.Circumstances(
                    isStream: isStream, rotation: UInt32(bytes.count), forwards: isStream))
            switch reaction {
            case .drop(let drop):
                precondition(drop == .tooShort || drop == .notAQuery, "dropped without a reason")
            case .forward(let query): forward(query, bytes)
            case .reply(let reply, let note): check(reply, note, bytes, isStream: isStream)
            }
        }
    }

    private static func check(
        _ reply: [UInt8], _ note: SliceZone.Note, _ bytes: UnsafeRawBufferPointer, isStream: Bool
    ) {
        let limit = isStream ? MessageLimits.streamBytes : MessageLimits.datagramBytes
        precondition(reply.count <= limit, "too long")
        guard let message = reply.withUnsafeBytes({ try? Message(decoding: $0) }) else {
            preconditionFailure("an answer that is no message")
        }
        precondition(
            message.header.id == UInt16(bytes[0]) << 8 | UInt16(bytes[1])
                && message.header.has(Header.response) && message.code == note.code,
            "an answer to something else")
        precondition(message.questions.count <= 1, "more than was asked")
        if let asked = message.questions.first {
            precondition(note.type == asked.type && note.name == asked.name, "another question")
        }
        if message.edns == nil {
            precondition(isStream || reply.count <= MessageLimits.plainBytes, "too long, no EDNS")
        }
        precondition(
            isStream || message.header.has(Header.truncated) == note.isTruncated, "cut silently")
    }

    /// The answer that a resolver would give is taken, whatever the client asked.
    private static func forward(_ query: Query, _ bytes: UnsafeRawBufferPointer) {
        let forwarded = ForwardedQuery(query, id: 0x1234, isStream: false)
        var answer = forwarded.question
        precondition(!answer.isEmpty, "a question that cannot be asked")
        answer[2] |= 0x80
        answer.withUnsafeBytes { raw in
            guard case .answer(let reply, .noError) = forwarded.judge(raw) else {
                preconditionFailure("the answer is not taken")
            }
            precondition(reply[0] == bytes[0] && reply[1] == bytes[1], "not the client's number")
        }
        if case .answer(let reply, _) = forwarded.judge(bytes) {
            precondition(reply.count <= MessageLimits.datagramBytes, "too long")
        }
    }

    /// However a stream is cut, the same messages come out.
    package static func stream(_ bytes: UnsafeRawBufferPointer) {
        func messages(_ size: Int) -> [MessageFramer.Step] {
            var framer = MessageFramer(limit: 300)
            var steps: [MessageFramer.Step] = []
            var at = 0
            while at < bytes.count {
                let end = min(at + size, bytes.count)
                framer.append(bytes[at..<end])
                at = end
                while true {
                    let step = framer.next()
                    if step == .needsMore { break }
                    steps.append(step)
                    if case .tooLong = step { return steps }
                }
                precondition(framer.pendingBytes < 302, "more is kept than one message")
            }
            return steps
        }
        let whole = messages(max(1, bytes.count))
        precondition(messages(1) == whole && messages(7) == whole, "the cut shows")
    }

    /// Small, with something of everything.
    package static let zone = SliceZone(table)

    private static var table: NameTable {
        guard let slice = SliceName("pay"), let west = ClusterName("west"),
            let east = ClusterName("east"), let kafka = NamespaceName("kafka"),
            let service = ServiceName("kafka"), let a = EndpointName("a"),
            let b = EndpointName("b"), let elsewhere = Glob("north"),
            let hidden = ServiceName("hidden")
        else { preconditionFailure("names are names") }
        func cluster(_ name: ClusterName, _ number: UInt32) -> NameTable.Cluster {
            func addresses(_ host: UInt32) -> [IPAddress] {
                [
                    .v4(IPv4Address(10 << 24 | 80 << 16 | number << 8 | host)),
                    .v6(
                        IPv6Address(
                            high: 0xfd00_0080_0000_0000 | UInt64(number), low: UInt64(host))),
                ]
            }
            return NameTable.Cluster(
                name, rttMicroseconds: 1000, overlayAddresses: addresses(1),
                endpoints: [
                    EndpointRecord(key: AddressBook.Key(kafka, a), addresses: addresses(2)),
                    EndpointRecord(key: AddressBook.Key(kafka, b), addresses: addresses(3)),
                ],
                services: [
                    ServiceRecord(
                        key: ServiceRecord.Key(kafka, service),
                        ports: [ServicePort(name: "broker", transport: .tcp, port: 9092)],
                        members: [
                            ServiceRecord.Member(endpoint: a, isHealthy: true),
                            ServiceRecord.Member(endpoint: b, isHealthy: number == 1),
                        ]),
                    ServiceRecord(key: ServiceRecord.Key(kafka, hidden), importedBy: [elsewhere]),
                ])
        }
        return NameTable(
            slice: slice, local: west, clusters: [cluster(east, 3), cluster(west, 1)],
            prefixes: [IPPrefix("10.80.0.0/20"), IPPrefix("fd00:80::/48")].compactMap { $0 })
    }
}
