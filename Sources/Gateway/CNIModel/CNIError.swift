import AdminAPI

/// What a plugin says when it cannot: the CNI specification's section 5, "Error".
package struct CNIError: Error, Equatable, Sendable {
    /// 1 to 99 are the specification's, from 100 on they are the plugin's own.
    package struct Code: RawRepresentable, Equatable, Sendable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }

        package static let incompatibleVersion = Code(rawValue: 1)
        package static let unsupportedField = Code(rawValue: 2)
        package static let unknownContainer = Code(rawValue: 3)
        package static let invalidEnvironment = Code(rawValue: 4)
        package static let inputOutput = Code(rawValue: 5)
        package static let decoding = Code(rawValue: 6)
        package static let invalidConfiguration = Code(rawValue: 7)
        package static let tryAgainLater = Code(rawValue: 11)
        package static let notAvailable = Code(rawValue: 50)
        package static let notAvailableAndLimited = Code(rawValue: 51)
        /// The gateway was asked and does not want to.
        package static let refused = Code(rawValue: 100)
        /// CHECK found something that is not as it was left.
        package static let checkFailed = Code(rawValue: 101)
    }

    package var code: Code
    /// What is wrong, in one sentence.
    package var message: String
    /// What to do about it.
    package var details: String?

    package init(_ code: Code, _ message: String, details: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
    }

    package func json(_ version: String) -> JSON {
        var object: JSONObject = [
            "cniVersion": .string(version), "code": .number(code.rawValue),
            "msg": .string(message),
        ]
        if let details { object["details"] = .string(details) }
        return .object(object)
    }

    /// What the gateway refused, in the specification's codes where it has one.
    package init(_ refusal: APIError, target: String? = nil) {
        let code: Code =
            switch refusal.code {
            case .unavailable, .timeout: .tryAgainLater
            case .invalidRequest: .invalidConfiguration
            // The slice, unless it is the container.
            case .notFound:
                target.map { refusal.message.contains($0) } ?? false
                    ? .unknownContainer : .invalidConfiguration
            default: .refused
            }
        self.init(code, "the slice gateway: \(refusal.message)", details: refusal.hint)
    }
}
