/// Why bytes are not a DNS message.
package enum MessageProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case truncated
    case trailingBytes
    /// The upper bits of a length: 01 and 10 mean nothing any more (RFC 6891 section 5).
    case badLabel
    case nameTooLong
    /// A compression pointer that does not lead back to where a name may be.
    case badPointer
    case tooManyPointers
    /// Data of a known type whose length is not that of its fields.
    case badData
    case badOption
    /// RFC 6891 section 6.1.1: at most one, of the root, in the additional section.
    case misplacedOption

    package var description: String {
        switch self {
        case .truncated: "ends too early"
        case .trailingBytes: "bytes behind the message"
        case .badLabel: "a label of an unknown kind"
        case .nameTooLong: "a name of more than 255 bytes"
        case .badPointer: "a compression pointer that does not lead back"
        case .tooManyPointers: "too many compression pointers in one name"
        case .badData: "data that does not fit its type"
        case .badOption: "an EDNS option that is cut short"
        case .misplacedOption: "an OPT record where none may be"
        }
    }
}
