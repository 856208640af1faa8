import Addresses
import SliceModel

/// What one record is about. A service's members are records of their own, so that a change of one
/// costs as little as one, however large the service is.
package enum DirectoryKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    case endpoint(AddressBook.Key)
    case service(ServiceRecord.Key)
    case member(ServiceRecord.Key, EndpointName)

    /// Endpoints, services, members: a snapshot in this order never names what was not there.
    package static func < (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.endpoint(let a), .endpoint(let b)): a < b
        case (.service(let a), .service(let b)): a < b
        case (.member(let a, let c), .member(let b, let d)): (a, c) < (b, d)
        default: a.kind < b.kind
        }
    }

    var kind: UInt8 {
        switch self {
        case .endpoint: 1
        case .service: 2
        case .member: 3
        }
    }

    package var description: String {
        switch self {
        case .endpoint(let key): "endpoint \(key)"
        case .service(let key): "service \(key)"
        case .member(let key, let name): "member \(name) of service \(key)"
        }
    }
}

/// One record.
package enum DirectoryItem: Hashable, Sendable {
    /// `since`: the version of the writer at which it got these addresses. Of two that claim one
    /// address the older claim stands, for every reader alike.
    case endpoint(EndpointRecord, since: UInt64)
    case service(ServiceRecord.Key, ports: [ServicePort], importedBy: [Glob]?)
    case member(ServiceRecord.Key, ServiceRecord.Member)

    package var key: DirectoryKey {
        switch self {
        case .endpoint(let record, _): .endpoint(record.key)
        case .service(let key, _, _): .service(key)
        case .member(let key, let member): .member(key, member.endpoint)
        }
    }
}

package enum DirectoryChange: Hashable, Sendable {
    case put(DirectoryItem)
    case remove(DirectoryKey)
}

// MARK: On the wire

extension DirectoryKey {
    init(reading reader: inout WireReader) throws(WireProblem) {
        switch try reader.byte() {
        case 1: self = .endpoint(AddressBook.Key(try reader.name(), try reader.name()))
        case 2: self = .service(ServiceRecord.Key(try reader.name(), try reader.name()))
        case 3:
            let service = ServiceRecord.Key(try reader.name(), try reader.name())
            self = .member(service, try reader.name())
        case let kind: throw .unknownType(kind)
        }
    }

    func write(to writer: inout WireWriter) {
        writer.byte(kind)
        switch self {
        case .endpoint(let key):
            writer.text(key.namespace.text)
            writer.text(key.endpoint.text)
        case .service(let key):
            writer.text(key.namespace.text)
            writer.text(key.service.text)
        case .member(let key, let name):
            writer.text(key.namespace.text)
            writer.text(key.service.text)
            writer.text(name.text)
        }
    }
}

extension DirectoryItem {
    init(reading reader: inout WireReader) throws(WireProblem) {
        switch try DirectoryKey(reading: &reader) {
        case .endpoint(let key):
            let since: UInt64 = try reader.number()
            let record = EndpointRecord(
                key: key, addresses: try Self.addresses(&reader), labels: try Self.labels(&reader))
            self = .endpoint(record, since: since)
        case .service(let key):
            self = .service(
                key, ports: try Self.ports(&reader), importedBy: try Self.importers(&reader))
        case .member(let key, let name):
            let isHealthy = try reader.flag("health")
            self = .member(key, ServiceRecord.Member(endpoint: name, isHealthy: isHealthy))
        }
    }

    func write(to writer: inout WireWriter) {
        key.write(to: &writer)
        switch self {
        case .endpoint(let record, let since):
            writer.number(since)
            Self.write(record.addresses, to: &writer)
            Self.write(record.labels, to: &writer)
        case .service(_, let ports, let importedBy):
            writer.byte(UInt8(clamping: ports.count))
            for port in ports {
                writer.text(port.name)
                writer.byte(Self.number(of: port.transport))
                writer.number(port.port)
            }
            writer.flag(importedBy != nil)
            guard let importedBy else { return }
            writer.number(UInt16(clamping: importedBy.count))
            for glob in importedBy { writer.text(glob.text) }
        case .member(_, let member):
            writer.flag(member.isHealthy)
        }
    }

    /// Of an endpoint: bit 0 for IPv4, bit 1 for IPv6, then the addresses.
    private static func addresses(
        _ reader: inout WireReader
    ) throws(WireProblem) -> [IPAddress] {
        let families = try reader.byte()
        guard 1...3 ~= families else { throw .badValue("set of address families") }
        var addresses: [IPAddress] = []
        if families & 1 != 0 { addresses.append(try reader.address(isIPv4: true)) }
        if families & 2 != 0 { addresses.append(try reader.address(isIPv4: false)) }
        return addresses
    }

    private static func write(_ addresses: [IPAddress], to writer: inout WireWriter) {
        let families = addresses.reduce(0) { $0 | ($1.isIPv4 ? 1 : 2) }
        writer.byte(UInt8(families))
        for address in addresses { writer.address(address) }
    }

    private static func labels(_ reader: inout WireReader) throws(WireProblem) -> EndpointLabels {
        let count = Int(try reader.byte())
        guard count > 0 else { return .none }
        guard count <= EndpointLabels.limit else { throw .tooMany("labels") }
        var pairs: [String: String] = [:]
        var last = ""
        for _ in 0..<count {
            let key = try reader.text()
            // In order, so that one set of labels has one form, and no key twice.
            guard last.utf8.lexicographicallyPrecedes(key.utf8) else { throw .badValue("label") }
            pairs[key] = try reader.text()
            last = key
        }
        guard let labels = EndpointLabels(pairs) else { throw .badValue("label") }
        return labels
    }

    private static func write(_ labels: EndpointLabels, to writer: inout WireWriter) {
        writer.byte(UInt8(clamping: labels.pairs.count))
        for pair in labels.pairs {
            writer.text(pair.key)
            writer.text(pair.value)
        }
    }

    private static func ports(_ reader: inout WireReader) throws(WireProblem) -> [ServicePort] {
        let count = Int(try reader.byte())
        guard count <= DirectoryLimits.servicePorts else { throw .tooMany("ports") }
        var ports: [ServicePort] = []
        for _ in 0..<count {
            let name = try reader.text()
            guard isPortName(name) else { throw .badName("port name") }
            guard let transport = transport(try reader.byte()) else { throw .badValue("transport") }
            let port: UInt16 = try reader.number()
            guard port > 0 else { throw .badValue("port") }
            ports.append(ServicePort(name: name, transport: transport, port: port))
        }
        return ports
    }

    private static func importers(_ reader: inout WireReader) throws(WireProblem) -> [Glob]? {
        guard try reader.flag("list of importers") else { return nil }
        let count = Int(try reader.number(UInt16.self))
        guard count <= DirectoryLimits.importers else { throw .tooMany("importers") }
        var globs: [Glob] = []
        for _ in 0..<count {
            guard let glob = Glob(try reader.text()) else { throw .badName("importer") }
            globs.append(glob)
        }
        return globs
    }

    /// RFC 6335 section 5.1, in either case; one letter at least is left to the manifest.
    static func isPortName(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                97...122 ~= $0 || 65...90 ~= $0 || 48...57 ~= $0 || $0 == 45
            }
    }

    static func transport(_ number: UInt8) -> PortMatch.Transport? {
        switch number {
        case 0: .tcp
        case 1: .udp
        case 2: .sctp
        default: nil
        }
    }

    static func number(of transport: PortMatch.Transport) -> UInt8 {
        switch transport {
        case .tcp: 0
        case .udp: 1
        case .sctp: 2
        case .icmp: 255
        }
    }

    /// What it counts for against the limit of a cluster's records.
    var encodedBytes: Int {
        func length(_ texts: String...) -> Int { texts.reduce(0) { $0 + 1 + $1.utf8.count } }
        switch self {
        case .endpoint(let record, _):
            return Self.encodedBytes(record)
        case .service(let key, let ports, let importedBy):
            return 1 + length(key.namespace.text, key.service.text) + 2
                + ports.reduce(0) { $0 + length($1.name) + 3 }
                + (importedBy?.reduce(2) { $0 + length($1.text) } ?? 0)
        case .member(let key, let member):
            return 2 + length(key.namespace.text, key.service.text, member.endpoint.text)
        }
    }

    static func encodedBytes(_ record: EndpointRecord) -> Int {
        var count = 13 + record.key.namespace.text.utf8.count + record.key.endpoint.text.utf8.count
        for address in record.addresses { count += address.bitWidth / 8 }
        for pair in record.labels.pairs { count += 2 + pair.key.utf8.count + pair.value.utf8.count }
        return count
    }
}

extension DirectoryChange {
    init(reading reader: inout WireReader) throws(WireProblem) {
        if try reader.flag("change") {
            self = .put(try DirectoryItem(reading: &reader))
        } else {
            self = .remove(try DirectoryKey(reading: &reader))
        }
    }

    func write(to writer: inout WireWriter) {
        switch self {
        case .put(let item):
            writer.flag(true)
            item.write(to: &writer)
        case .remove(let key):
            writer.flag(false)
            key.write(to: &writer)
        }
    }
}
