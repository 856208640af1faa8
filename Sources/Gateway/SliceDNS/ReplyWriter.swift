import Addresses

/// Writes an answer: the question first, then records as long as there is room, and the OPT
/// record, for which room was kept. Names that are told once already are pointed at.
struct ReplyWriter {
    /// What an owner is.
    enum Owner {
        /// The name that was asked for, spelled as it was.
        case question
        /// What stands at this place of the message.
        case place(Int)
        /// A name of the zone, without the zone.
        case key(NameKey)
    }

    enum Section: Int {
        case answer
        case authority
        case additional
    }

    private(set) var bytes: [UInt8] = []
    private let query: Query
    private let zone: [UInt8]
    private let limit: Int
    private var counts = [0, 0, 0]
    /// Where the zone's own name stands, in lower case.
    private var zonePlace: Int?
    var flags: UInt16
    var code = ResponseCode.noError

    init(_ query: Query, zone: [UInt8], isStream: Bool, recurses: Bool) {
        self.query = query
        self.zone = zone
        // OPT without options has 11 bytes.
        limit = query.answerBytes(isStream: isStream) - (query.edns == nil ? 0 : 11)
        flags = Header.response | query.header.flags & Header.recursionDesired
        // RFC 4035 section 3.1.6: copied. AD is not: nothing here is signed (RFC 6840 5.8).
        flags |= query.header.flags & Header.checkingDisabled
        if recurses { flags |= Header.recursionAvailable }
        bytes.reserveCapacity(min(limit, 512))
        bytes += [UInt8](repeating: 0, count: MessageLimits.headerBytes)
        bytes += query.name.wire
        append(query.type.rawValue)
        append(query.recordClass.rawValue)
        if let place = query.name.place(of: zone) {
            zonePlace = MessageLimits.headerBytes + place
        }
    }

    // MARK: Pieces

    mutating func append(byte: UInt8) { bytes.append(byte) }

    mutating func append(_ value: UInt16) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(value & 0xff))
    }

    mutating func append(_ value: UInt32) {
        append(UInt16(value >> 16))
        append(UInt16(value & 0xffff))
    }

    /// `isWhole`: the types that came after RFC 1035 must not point (RFC 2782, RFC 3597).
    mutating func append(_ key: NameKey, isWhole: Bool = false) {
        bytes += key.bytes
        if !isWhole, let zonePlace {
            append(0xc000 | UInt16(zonePlace))
        } else {
            // 14 bits lead back.
            if zonePlace == nil, bytes.count < 0x4000 { zonePlace = bytes.count }
            bytes += zone
        }
    }

    // MARK: Records

    /// False, and nothing is written, if it does not fit.
    mutating func record(
        _ section: Section, _ owner: Owner, _ type: RecordType, ttl: UInt32,
        _ data: (inout ReplyWriter) -> Void
    ) -> Bool {
        let (start, zoneBefore) = (bytes.count, zonePlace)
        switch owner {
        case .question: append(0xc000 | UInt16(MessageLimits.headerBytes))
        case .place(let place): append(0xc000 | UInt16(place))
        case .key(let key): append(key)
        }
        append(type.rawValue)
        append(RecordClass.internet.rawValue)
        append(ttl)
        let place = bytes.count
        append(UInt16(0))
        data(&self)
        let length = bytes.count - place - 2
        guard bytes.count <= limit, length <= 0xffff, counts[section.rawValue] < 0xffff else {
            bytes.removeSubrange(start...)
            zonePlace = zoneBefore
            return false
        }
        bytes[place] = UInt8(length >> 8)
        bytes[place + 1] = UInt8(length & 0xff)
        counts[section.rawValue] += 1
        return true
    }

    mutating func address(
        _ section: Section, _ owner: Owner, _ address: IPAddress
    ) -> Bool {
        record(
            section, owner, address.isIPv4 ? .a : .aaaa, ttl: SliceZone.ttlSeconds
        ) { writer in
            switch address {
            case .v4(let v4): writer.append(v4.value)
            case .v6(let v6):
                for half in [v6.high, v6.low] {
                    writer.append(UInt32(half >> 32))
                    writer.append(UInt32(truncatingIfNeeded: half))
                }
            }
        }
    }

    // MARK: The end

    /// The whole message. `reason` goes with it if there is room, and somebody who reads it.
    mutating func finished(_ reason: Reason) -> [UInt8] {
        if let edns = query.edns { option(edns, reason) }
        let fields: [UInt16] = [
            query.header.id, flags | code.rawValue & 15, 1, UInt16(counts[0]), UInt16(counts[1]),
            UInt16(counts[2] + (query.edns == nil ? 0 : 1)),
        ]
        for (index, field) in fields.enumerated() {
            bytes[2 * index] = UInt8(field >> 8)
            bytes[2 * index + 1] = UInt8(field & 0xff)
        }
        return bytes
    }

    private mutating func option(_ edns: Query.Extension, _ reason: Reason) {
        bytes.append(0)
        append(RecordType.opt.rawValue)
        append(UInt16(MessageLimits.datagramBytes))
        bytes += [UInt8(code.rawValue >> 4), 0]
        // The DO bit comes back as it came (RFC 3225 section 3).
        append(edns.wantsSignatures ? EDNS.wantsSignatures : 0)
        guard let number = reason.extendedError else { return append(UInt16(0)) }
        let text = Array(reason.description.utf8.prefix(160))
        // The 11 bytes were kept free; those two of the length are among them.
        guard bytes.count + 2 + 6 + text.count <= limit + 11 else { return append(UInt16(0)) }
        append(UInt16(6 + text.count))
        append(EDNS.extendedError)
        append(UInt16(2 + text.count))
        append(number)
        bytes += text
    }
}
