/// Why a request was refused: the body of every reply with a status of 400 or more.
package struct APIError: Error, Codable, Equatable, Sendable {
    /// Stable words that scripts may compare. A newer daemon may know more of them.
    package struct Code: RawRepresentable, Codable, Hashable, Sendable {
        package let rawValue: String
        package init(rawValue: String) { self.rawValue = rawValue }

        /// The request is malformed or asks for something that cannot be.
        package static let invalidRequest = Code(rawValue: "invalidRequest")
        package static let forbidden = Code(rawValue: "forbidden")
        package static let notFound = Code(rawValue: "notFound")
        package static let methodNotAllowed = Code(rawValue: "methodNotAllowed")
        /// It contradicts what is there: an older manifest, a name that is taken.
        package static let conflict = Code(rawValue: "conflict")
        package static let tooLarge = Code(rawValue: "tooLarge")
        /// A limit of the daemon is reached: endpoints, slices, connections.
        package static let limitReached = Code(rawValue: "limitReached")
        package static let internalError = Code(rawValue: "internalError")
        /// The daemon is starting or stopping.
        package static let unavailable = Code(rawValue: "unavailable")
        package static let timeout = Code(rawValue: "timeout")
    }

    package var code: Code
    /// One sentence: what is wrong, naming the object.
    package var message: String
    /// One sentence: what to do about it.
    package var hint: String?

    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// The HTTP status that goes with the code (RFC 9110 section 15).
    package var status: Int {
        switch code {
        case .invalidRequest: 400
        case .forbidden: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .conflict: 409
        case .tooLarge: 413
        case .limitReached: 429
        case .unavailable: 503
        case .timeout: 504
        default: 500
        }
    }
}
