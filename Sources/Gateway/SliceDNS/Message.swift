import Addresses

/// A whole DNS message (RFC 1035 section 4). The way of a query to its answer does not pass here:
/// this is for what others answer, and for tests.
package struct Message: Hashable, Sendable {
    package var header: Header
    package var questions: [Question]
    package var answers: [ResourceRecord]
    package var authority: [ResourceRecord]
    /// Without the OPT record.
    package var additional: [ResourceRecord]
    package var edns: EDNS?

    package init(
        header: Header, questions: [Question] = [], answers: [ResourceRecord] = [],
        authority: [ResourceRecord] = [], additional: [ResourceRecord] = [], edns: EDNS? = nil
    ) {
        self.header = header
        self.questions = questions
        self.answers = answers
        self.authority = authority
        self.additional = additional
        self.edns = edns
    }

    package var code: ResponseCode {
        ResponseCode(rawValue: UInt16(edns?.codeUpper ?? 0) << 4 | UInt16(header.codeLower))
    }
}

/// The first four bytes of a message.
package struct Header: Hashable, Sendable {
    package var id: UInt16
    package var flags: UInt16

    package init(id: UInt16, flags: UInt16 = 0) {
        self.id = id
        self.flags = flags
    }

    package static let response: UInt16 = 0x8000
    package static let authoritative: UInt16 = 0x0400
    package static let truncated: UInt16 = 0x0200
    package static let recursionDesired: UInt16 = 0x0100
    package static let recursionAvailable: UInt16 = 0x0080
    package static let authenticData: UInt16 = 0x0020
    package static let checkingDisabled: UInt16 = 0x0010

    package func has(_ flag: UInt16) -> Bool { flags & flag != 0 }
    package var opcode: UInt8 { UInt8(flags >> 11 & 15) }
    package var codeLower: UInt8 { UInt8(flags & 15) }
}

package struct Question: Hashable, Sendable {
    package var name: DomainName
    package var type: RecordType
    package var recordClass: RecordClass

    package init(_ name: DomainName, _ type: RecordType, _ recordClass: RecordClass = .internet) {
        self.name = name
        self.type = type
        self.recordClass = recordClass
    }
}

/// The OPT record (RFC 6891 section 6.1).
package struct EDNS: Hashable, Sendable {
    package struct Option: Hashable, Sendable {
        package var code: UInt16
        package var data: [UInt8]

        package init(code: UInt16, data: [UInt8]) {
            self.code = code
            self.data = data
        }
    }

    package var payloadBytes: UInt16
    package var version: UInt8
    package var codeUpper: UInt8
    /// The DO bit, and fifteen that mean nothing yet.
    package var flags: UInt16
    package var options: [Option]

    package init(
        payloadBytes: UInt16, version: UInt8 = 0, codeUpper: UInt8 = 0, flags: UInt16 = 0,
        options: [Option] = []
    ) {
        self.payloadBytes = payloadBytes
        self.version = version
        self.codeUpper = codeUpper
        self.flags = flags
        self.options = options
    }

    /// RFC 3225.
    package static let wantsSignatures: UInt16 = 0x8000
    /// RFC 8914.
    package static let extendedError: UInt16 = 15
}

package struct ResourceRecord: Hashable, Sendable {
    package enum Data: Hashable, Sendable {
        case a(IPv4Address)
        case aaaa(IPv6Address)
        case ns(DomainName)
        case ptr(DomainName)
        case cname(DomainName)
        case soa(SOA)
        case srv(SRV)
        case opaque([UInt8])
    }

    package struct SOA: Hashable, Sendable {
        package var primary: DomainName
        package var mailbox: DomainName
        package var serial: UInt32
        package var refresh: UInt32
        package var retry: UInt32
        package var expire: UInt32
        /// For how long a negative answer holds (RFC 2308 section 4).
        package var minimum: UInt32
    }

    package struct SRV: Hashable, Sendable {
        package var priority: UInt16
        package var weight: UInt16
        package var port: UInt16
        package var target: DomainName

        package init(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName) {
            self.priority = priority
            self.weight = weight
            self.port = port
            self.target = target
        }
    }

    package var owner: DomainName
    package var type: RecordType
    package var recordClass: RecordClass
    package var ttl: UInt32
    package var data: Data

    package init(
        owner: DomainName, type: RecordType, recordClass: RecordClass = .internet, ttl: UInt32,
        data: Data
    ) {
        self.owner = owner
        self.type = type
        self.recordClass = recordClass
        self.ttl = ttl
        self.data = data
    }
}
