/// Under which name a slice's names are found, `slice.local` unless somebody says otherwise.
package struct ZoneName: Hashable, Sendable, CustomStringConvertible {
    package static let rule =
        "must be a domain name in lower case of at most 61 characters, such as slice.local"
    /// ENDPOINT.NAMESPACE.CLUSTER in front of it, each as long as can be, makes 255 bytes.
    package static let maximumWireBytes = MessageLimits.nameBytes - 3 * 64

    package static let standard = ZoneName(
        unchecked: [5] + Array("slice".utf8) + [5] + Array("local".utf8) + [0])

    let wire: [UInt8]

    private init(unchecked wire: [UInt8]) { self.wire = wire }

    /// Without a dot behind.
    package init?(_ text: String) {
        let units = Array(text.utf8)
        guard let name = DomainName(text), units.last != 46, name.wire.count > 1,
            name.wire.count <= Self.maximumWireBytes,
            units.allSatisfy({ 97...122 ~= $0 || 48...57 ~= $0 || $0 == 45 || $0 == 46 }),
            name.labels.allSatisfy({ $0.first != 45 && $0.last != 45 }),
            // Reverse names are found there.
            name.labels.last?.elementsEqual("arpa".utf8) == false
        else { return nil }
        wire = name.wire
    }

    package var description: String { String(DomainName(unchecked: wire).description.dropLast()) }
}
