/// What the kernel sends back, cut into messages (RFC 3549 section 2.3). Pure, and safe on any
/// bytes: lengths are checked before they are used.
package enum NetlinkReply {
    package struct Message: Hashable, Sendable {
        package let type: UInt16
        package let flags: UInt16
        package let sequence: UInt32
        package let port: UInt32
        package let payload: [UInt8]

        package init(
            type: UInt16, flags: UInt16, sequence: UInt32, port: UInt32, payload: [UInt8]
        ) {
            self.type = type
            self.flags = flags
            self.sequence = sequence
            self.port = port
            self.payload = payload
        }

        /// The dump ran over a change and may be wrong (NLM_F_DUMP_INTR).
        package var wasInterrupted: Bool { flags & NLM.dumpInterrupted != 0 }
    }

    /// NLMSG_ERROR or NLMSG_DONE: 0 or an errno, with the kernel's own words if it had some.
    package struct Verdict: Hashable, Sendable {
        package let errno: Int32
        package let text: String?

        package init(errno: Int32, text: String?) {
            self.errno = errno
            self.text = text
        }
    }

    /// Messages up to the first whose length does not fit. `isWhole` says whether that was the end.
    package static func messages(_ bytes: [UInt8]) -> (messages: [Message], isWhole: Bool) {
        var messages: [Message] = []
        var reader = NetlinkReader(bytes[...])
        while reader.remaining >= 16 {
            let start = reader
            guard let length = reader.u32(), let type = reader.u16(), let flags = reader.u16(),
                let sequence = reader.u32(), let port = reader.u32(), length >= 16,
                let payload = reader.take(Int(length) - 16)
            else { return (messages, false) }
            messages.append(
                Message(
                    type: type, flags: flags, sequence: sequence, port: port,
                    payload: Array(payload)))
            reader = start
            reader.skipAligned(Int(length))
        }
        return (messages, reader.remaining == 0)
    }

    /// Of an NLMSG_ERROR or NLMSG_DONE; nil if the message is too short to say anything.
    package static func verdict(_ message: Message) -> Verdict? {
        var reader = NetlinkReader(message.payload[...])
        guard let code = reader.i32() else { return nil }
        // The kernel sends negated errnos. Anything else is answered as EIO, never negated blindly.
        let errno: Int32 = (-4095...0).contains(code) ? -code : 5
        guard message.flags & NLM.ackAttributes != 0 else {
            return Verdict(errno: errno, text: nil)
        }
        if message.type == NLM.errorMessage {
            // The header of the request, and its payload unless capped, precede the attributes.
            guard let length = reader.peekU32() else { return Verdict(errno: errno, text: nil) }
            let isCapped = message.flags & NLM.capped != 0
            reader.skipAligned(isCapped ? 16 : Int(length))
        }
        var text: String?
        while let attribute = reader.attribute() {
            if attribute.type == NLM.errorText { text = attribute.text }
        }
        return Verdict(errno: errno, text: text)
    }

    /// Reads everything out of any bytes: for fuzzing.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        for message in messages(Array(bytes)).messages {
            _ = verdict(message)
            _ = Link(message)
            _ = InterfaceAddress(message)
            _ = Route(message)
            _ = Neighbour(message)
            _ = RoutingRule(message)
            _ = NetlinkReply.namespaceID(message)
            _ = NetlinkReply.rulesetGeneration(message)
            _ = MapElement.list(message)
            _ = ConnectionEntry(message)
            _ = Conntrack.Usage(message)
            _ = Conntrack.Statistics(message)
            _ = LoggedPacket(message)
        }
    }

    /// Of an RTM_NEWNSID. Negative ids mean "none yet".
    static func namespaceID(_ message: Message) -> Int32? {
        guard message.type == RTM.newNamespaceID else { return nil }
        var reader = NetlinkReader(message.payload[...])
        // rtgenmsg is one byte, padded.
        guard reader.take(4) != nil else { return nil }
        while let attribute = reader.attribute() {
            if attribute.type == NETNSA.id, let id = attribute.i32, id >= 0 { return id }
        }
        return nil
    }
}

/// A cursor over bytes in the host's order that answers nil past the end.
struct NetlinkReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var remaining: Int { rest.count }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= rest.count else { return nil }
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return taken
    }

    /// Moves on by `count` rounded up to four, or to the end.
    mutating func skipAligned(_ count: Int) {
        rest = rest.dropFirst((Swift.max(0, count) + 3) & ~3)
    }

    private mutating func number<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) -> T? {
        take(MemoryLayout<T>.size).map { Self.number($0) }
    }

    static func number<T: FixedWidthInteger & UnsignedInteger>(_ bytes: ArraySlice<UInt8>) -> T {
        var value: T = 0
        withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: bytes.prefix($0.count)) }
        return value
    }

    mutating func u8() -> UInt8? { number(UInt8.self) }
    mutating func u16() -> UInt16? { number(UInt16.self) }
    mutating func u32() -> UInt32? { number(UInt32.self) }
    mutating func i32() -> Int32? { number(UInt32.self).map(Int32.init(bitPattern:)) }
    func peekU32() -> UInt32? {
        var copy = self
        return copy.u32()
    }

    /// The next attribute, or nil at the end or at one whose length does not fit.
    mutating func attribute() -> NetlinkAttribute? {
        var head = self
        guard let length = head.u16(), let type = head.u16(), length >= 4,
            let payload = head.take(Int(length) - 4)
        else { return nil }
        skipAligned(Int(length))
        return NetlinkAttribute(type: type & NLM.typeMask, payload: payload)
    }
}

struct NetlinkAttribute {
    let type: UInt16
    let payload: ArraySlice<UInt8>

    var u16: UInt16? { payload.count >= 2 ? NetlinkReader.number(payload) : nil }
    var u32: UInt32? { payload.count >= 4 ? NetlinkReader.number(payload) : nil }
    var i32: Int32? { u32.map(Int32.init(bitPattern:)) }
    var u8: UInt8? { payload.first }

    // Netfilter's numbers are in network order.
    var be16: UInt16? { u16.map(UInt16.init(bigEndian:)) }
    var be32: UInt32? { u32.map(UInt32.init(bigEndian:)) }
    var be64: UInt64? {
        guard payload.count >= 8 else { return nil }
        return UInt64(bigEndian: NetlinkReader.number(payload))
    }

    /// Up to the NUL or the end, as UTF-8 with repairs.
    var text: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }

    var nested: NetlinkReader { NetlinkReader(payload) }
}
