import SliceModel

/// Why an answer is what it is: for the log, and partly for whoever asks (RFC 8914).
package enum Reason: Hashable, Sendable {
    case answered
    /// The zone has no such name.
    case noSuchName
    /// The service is there, but not for this cluster.
    case notImported(ServiceRecord.Key)
    /// The name has no records of this type.
    case noSuchType
    /// There are names below it only.
    case emptyName
    /// The service has members, and none of them can be recommended now.
    case noHealthyMember(ServiceRecord.Key, unhealthy: Int, stale: Int)
    /// The service has no members anywhere.
    case noMember(ServiceRecord.Key)
    /// Members are healthy, and have addresses of the other family.
    case noAddressOfFamily
    /// RFC 8482.
    case minimalAny
    case outsideTheZone
    case notInternet(RecordClass)
    case transfer
    case metaType(RecordType)
    case opcode(UInt8)
    case questions(UInt16)
    case unexpectedRecords
    case malformed(MessageProblem)
    case ednsVersion(UInt8)
    /// Those who were asked did not answer.
    case noForwarderAnswered
    /// Too many questions to others are under way.
    case forwardersBusy
}

/// Why a message gets no answer at all.
package enum Drop: String, Hashable, CaseIterable, Sendable {
    /// No header, so no number to answer to.
    case tooShort
    /// It is an answer.
    case notAQuery
    /// Its sender asks too often.
    case rateLimited
    /// From where no answer can be sent to, such as port 0.
    case unanswerable
    /// The socket does not take more answers.
    case busy
}

extension Reason: CustomStringConvertible {
    package var description: String {
        switch self {
        case .answered: "answered"
        case .noSuchName: "no such name"
        case .notImported(let key): "service \(key) is not offered to this cluster (importedBy)"
        case .noSuchType: "the name has no records of this type"
        case .emptyName: "there are only names below this one"
        case .noHealthyMember(let key, let unhealthy, let stale):
            "service \(key) has no healthy member: \(unhealthy) fail their check, "
                + "\(stale) are in clusters that are not heard of"
        case .noMember(let key): "service \(key) has no members: nothing attached matches it"
        case .noAddressOfFamily: "there are addresses of the other family only"
        case .minimalAny: "any type was asked for"
        case .outsideTheZone: "not a name of this slice, and nothing is forwarded"
        case .notInternet(let recordClass): "class \(recordClass.rawValue) is not served"
        case .transfer: "the zone is not transferred"
        case .metaType(let type): "\(type) cannot be asked for"
        case .opcode(let code): "operation \(code) is not implemented"
        case .questions(let count): "\(count) questions in one message"
        case .unexpectedRecords: "a query with answers in it"
        case .malformed(let problem): "malformed: \(problem)"
        case .ednsVersion(let version): "EDNS version \(version) is not known"
        case .noForwarderAnswered: "no resolver answered"
        case .forwardersBusy: "too many questions are being forwarded"
        }
    }

    /// An operator wants to know, each time it begins.
    package var isNotable: Bool {
        switch self {
        case .noHealthyMember, .noMember, .noForwarderAnswered, .forwardersBusy: true
        default: false
        }
    }

    /// INFO-CODE of RFC 8914 section 4 for what whoever asks cannot know and should. What a
    /// cluster does not import is not told to it.
    var extendedError: UInt16? {
        switch self {
        // Other
        case .noHealthyMember, .noMember: 0
        // Prohibited
        case .transfer: 18
        // Not Authoritative
        case .outsideTheZone: 20
        // Not Supported
        case .notInternet, .metaType: 21
        // No Reachable Authority
        case .noForwarderAnswered, .forwardersBusy: 22
        default: nil
        }
    }
}
