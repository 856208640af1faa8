/// A question to which somebody else may have the answer: what is asked of him, what of that
/// which arrives is his answer (RFC 5452 section 9), and what the client gets.
package struct ForwardedQuery: Sendable {
    package enum Verdict: Hashable, Sendable {
        /// For the client.
        case answer([UInt8], ResponseCode)
        /// The answer to what was asked, but of no use: the next resolver is asked.
        case unusable(ResponseCode)
        /// Not the answer: it is forgotten, and the answer waited for.
        case foreign
    }

    package let query: Query
    /// Drawn at random for each question.
    package let id: UInt16
    private let isStream: Bool

    package init(_ query: Query, id: UInt16, isStream: Bool) {
        self.query = query
        self.id = id
        self.isStream = isStream
    }

    /// Our own message, not the client's: options are between neighbours (RFC 6891 section
    /// 6.1.1), and so is the number.
    package var question: [UInt8] {
        let kept =
            Header.recursionDesired | Header.checkingDisabled | Header.authenticData
        let message = Message(
            header: Header(id: id, flags: query.header.flags & kept),
            questions: [Question(query.name, query.type, query.recordClass)],
            edns: query.edns.map {
                EDNS(
                    payloadBytes: UInt16(MessageLimits.datagramBytes),
                    flags: $0.wantsSignatures ? EDNS.wantsSignatures : 0)
            })
        return message.encoded() ?? []
    }

    package func judge(_ bytes: UnsafeRawBufferPointer) -> Verdict {
        // Before all the rest is read: a flood of guesses should cost little.
        guard bytes.count >= MessageLimits.headerBytes,
            UInt16(bytes[0]) << 8 | UInt16(bytes[1]) == id,
            let message = try? Message(decoding: bytes),
            message.header.has(Header.response), message.header.opcode == 0,
            message.questions.count == 1, let asked = message.questions.first,
            asked.name.lowercased == query.name.lowercased, asked.type == query.type,
            asked.recordClass == query.recordClass
        else { return .foreign }
        switch message.code {
        case .noError, .nameError: return .answer(forClient(bytes, asked), message.code)
        default: return .unusable(message.code)
        }
    }

    /// As it came, with the client's number and spelling. What is too long for him is cut to
    /// the question: he asks again over TCP.
    private func forClient(_ bytes: UnsafeRawBufferPointer, _ asked: Question) -> [UInt8] {
        var answer = Array(bytes)
        let limit = query.answerBytes(isStream: isStream)
        let head = MessageLimits.headerBytes
        // A question is never compressed by those who write it first; if it is, it stays.
        if answer.count >= head + query.name.wire.count,
            answer[head..<head + query.name.wire.count].elementsEqual(asked.name.wire)
        {
            answer.replaceSubrange(head..<head + query.name.wire.count, with: query.name.wire)
        }
        if answer.count > limit {
            answer.removeSubrange((head + query.name.wire.count + 4)...)
            for index in 6..<head { answer[index] = 0 }
            answer[2] |= UInt8(Header.truncated >> 8)
        }
        answer[0] = UInt8(query.header.id >> 8)
        answer[1] = UInt8(query.header.id & 0xff)
        // He speaks with authority, we pass it on; and validated nothing ourselves.
        answer[2] &= ~UInt8(Header.authoritative >> 8)
        answer[3] |= UInt8(Header.recursionAvailable)
        return answer
    }

    /// Nobody answered.
    package func failure(_ reason: Reason) -> [UInt8] {
        var writer = ReplyWriter(
            query, zone: ZoneName.standard.wire, isStream: isStream, recurses: true)
        writer.code = .serverFailure
        return writer.finished(reason)
    }
}
