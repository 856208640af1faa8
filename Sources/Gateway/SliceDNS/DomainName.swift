/// A domain name as it stands in a message that is not compressed: labels with their lengths in
/// front, and a zero (RFC 1035 section 3.1). Spelled as it came; compared by its bytes.
package struct DomainName: Hashable, Sendable {
    package let wire: [UInt8]

    package static let root = DomainName(unchecked: [0])

    /// The caller has seen that the labels are sound and that there are at most 255 bytes.
    init(unchecked wire: [UInt8]) { self.wire = wire }

    /// `a.b.c` with or without a dot behind, `.` for the root. Any bytes but dots may be in it.
    package init?(_ text: some StringProtocol) {
        var wire: [UInt8] = []
        var units = Array(text.utf8)
        if units.last == 46 { units.removeLast() }
        if !units.isEmpty {
            for label in units.split(separator: 46, omittingEmptySubsequences: false) {
                guard (1...MessageLimits.labelBytes).contains(label.count) else { return nil }
                wire.append(UInt8(label.count))
                wire += label
            }
        } else if text.utf8.isEmpty {
            return nil
        }
        wire.append(0)
        guard wire.count <= MessageLimits.nameBytes else { return nil }
        self.wire = wire
    }

    /// Upper and lower case are the same name (RFC 4343). No length byte is a letter.
    package var lowercased: DomainName { DomainName(unchecked: Self.lowercased(wire)) }

    static func lowercased(_ wire: [UInt8]) -> [UInt8] {
        wire.map { 65...90 ~= $0 ? $0 | 32 : $0 }
    }

    package var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var at = 0
        while wire[at] != 0 {
            let end = at + 1 + Int(wire[at])
            labels.append(wire[at + 1..<end])
            at = end
        }
        return labels
    }

    /// Where `ancestor` begins in this name, if this is it or lies below it.
    func place(of ancestor: [UInt8]) -> Int? {
        let place = wire.count - ancestor.count
        guard place >= 0, wire[place...].elementsEqual(ancestor) else { return nil }
        // The same bytes may stand in the middle of a label.
        var at = 0
        while at < place { at += 1 + Int(wire[at]) }
        return at == place ? place : nil
    }
}

extension DomainName: CustomStringConvertible {
    /// As in a zone file (RFC 1035 section 5.1): what is not printable as `\DDD`.
    package var description: String {
        if wire.count == 1 { return "." }
        var text = ""
        for label in labels {
            for byte in label {
                switch byte {
                case 46, 92: text += "\\" + String(UnicodeScalar(byte))
                case 33...126: text.unicodeScalars.append(UnicodeScalar(byte))
                default:
                    let digits = String(byte)
                    text += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
                }
            }
            text += "."
        }
        return text
    }
}

/// What zones are looked up by: labels in lower case, without what all of them share. Hashed as
/// one run of bytes, which an array is not.
struct NameKey: Hashable, Sendable {
    let bytes: [UInt8]

    func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
