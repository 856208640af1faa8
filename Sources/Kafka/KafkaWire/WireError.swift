/// Why bytes are not the message that they claim to be. `at` counts from the start of the buffer
/// that was read.
package enum WireError: Error, Equatable, Sendable {
    /// The value needs more bytes than there are.
    case truncated(needed: Int, left: Int, at: Int)
    /// A length or count below what its type allows, or above what Kafka allows it.
    case invalidLength(Int, at: Int)
    /// Null where this version of the message does not allow it.
    case unexpectedNull(at: Int)
    /// A variable-length integer of more bytes than its type can have.
    case varintTooLong(at: Int)
    case notUTF8(at: Int)
    /// A tagged field whose value does not take the bytes that its size says.
    case tagSize(tag: UInt32, said: Int, took: Int, at: Int)
    case unsupportedVersion(message: String, version: Int16)
}

extension WireError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated(let needed, let left, let at):
            "\(needed) bytes needed at byte \(at), \(left) left"
        case .invalidLength(let length, let at): "invalid length \(length) at byte \(at)"
        case .unexpectedNull(let at): "null at byte \(at), where none is allowed"
        case .varintTooLong(let at): "a variable-length integer too long at byte \(at)"
        case .notUTF8(let at): "text that is not UTF-8 at byte \(at)"
        case .tagSize(let tag, let said, let took, let at):
            "tag \(tag) at byte \(at) is said to have \(said) bytes and has \(took)"
        case .unsupportedVersion(let message, let version): "no \(message) of version \(version)"
        }
    }
}
