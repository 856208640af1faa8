import Addresses
import SliceModel
import Timing

/// Why an endpoint's record is left out.
package enum ClaimRefusal: Hashable, Sendable {
    /// The address lies outside the prefixes of the cluster that claims it.
    case outside(IPAddress)
    /// It is the gateway's own, or no host's.
    case reserved(IPAddress)
    /// Another endpoint of the same cluster has it.
    case duplicate(IPAddress, holder: AddressBook.Key)
}

/// What one cluster says, and which of it is believed.
///
/// What is believed follows from all it says and from its prefixes alone, in whatever order it was
/// said: endpoints in the order of `since` and name, each if its addresses lie in the prefixes and
/// nobody before it has them. Clear cases are decided at once; where two dispute an address, the
/// newcomer waits for `judge`, which a caller runs now and then: it looks at everything.
struct ClusterEntries: Sendable {
    struct Refused: Hashable, Sendable {
        var record: EndpointRecord
        var since: UInt64
        var reason: ClaimRefusal
    }

    private(set) var view: ClusterView
    /// Claimed and not believed; they count against the limits all the same.
    private(set) var refused: [AddressBook.Key: Refused] = [:]
    /// Something may have to be decided otherwise.
    private(set) var isDisputed = false
    private(set) var bytes = 0
    private(set) var memberCount = 0
    /// Records that were dropped because there are too many; members of unknown services.
    private(set) var dropped = 0

    private let limits: DirectoryLimits
    private let canary: DirectoryCanary?
    private var prefixes: [IPPrefix]

    init(
        cluster: ClusterName, prefixes: [IPPrefix], limits: DirectoryLimits,
        canary: DirectoryCanary? = nil
    ) {
        view = ClusterView(cluster: cluster)
        self.prefixes = prefixes
        self.limits = limits
        self.canary = canary
    }

    var endpointCount: Int { view.endpoints.count + refused.count }
    var isEmpty: Bool { view.endpoints.isEmpty && refused.isEmpty && view.services.isEmpty }

    mutating func setState(_ state: ClusterView.State) { view.state = state }

    // MARK: Changes

    /// True if what is believed has changed.
    mutating func apply(_ change: DirectoryChange) -> Bool {
        switch change {
        case .put(let item): put(item)
        case .remove(let key): remove(key)
        }
    }

    mutating func put(_ item: DirectoryItem) -> Bool {
        switch item {
        case .endpoint(let record, let since): putEndpoint(record, since)
        case .service(let key, let ports, let importedBy): putService(key, ports, importedBy)
        case .member(let key, let member): putMember(key, member)
        }
    }

    mutating func remove(_ key: DirectoryKey) -> Bool {
        switch key {
        case .endpoint(let key): return removeEndpoint(key)
        case .service(let key):
            guard let record = view.services.removeValue(forKey: key) else { return false }
            memberCount -= record.members.count
            bytes -= Self.bytes(of: record)
            return true
        case .member(let key, let name):
            guard let service = view.services.index(forKey: key) else { return false }
            let members = view.services.values[service].members
            let place = Self.place(of: name, in: members)
            guard place < members.count, members[place].endpoint == name else { return false }
            let member = view.services.values[service].members.remove(at: place)
            memberCount -= 1
            bytes -= DirectoryItem.member(key, member).encodedBytes
            return true
        }
    }

    private mutating func fits(_ more: Int) -> Bool {
        guard bytes + more <= limits.recordBytes else {
            dropped += 1
            return false
        }
        bytes += more
        return true
    }

    // MARK: Endpoints

    private mutating func putEndpoint(_ record: EndpointRecord, _ since: UInt64) -> Bool {
        if let known = view.endpoints.index(forKey: record.key),
            view.endpoints.values[known].addresses == record.addresses,
            record.addresses.allSatisfy({ view.holders[$0]?.since == since })
        {
            // The usual change: labels.
            let old = view.endpoints.values[known]
            if old == record { return false }
            bytes -= DirectoryItem.encodedBytes(old)
            guard fits(DirectoryItem.encodedBytes(record)) else {
                forget(old)
                return true
            }
            view.endpoints.values[known] = record
            return true
        }
        let removed = removeEndpoint(record.key)
        guard endpointCount < limits.endpoints else {
            dropped += 1
            return removed
        }
        guard fits(DirectoryItem.encodedBytes(record)) else { return removed }
        if let reason = refusal(of: record) {
            refused[record.key] = Refused(record: record, since: since, reason: reason)
            if case .duplicate = reason { isDisputed = true }
            return removed
        }
        hold(record, since)
        return true
    }

    private mutating func removeEndpoint(_ key: AddressBook.Key) -> Bool {
        if let old = refused.removeValue(forKey: key) {
            bytes -= DirectoryItem.encodedBytes(old.record)
            return false
        }
        guard let old = view.endpoints[key] else { return false }
        bytes -= DirectoryItem.encodedBytes(old)
        forget(old)
        return true
    }

    private mutating func hold(_ record: EndpointRecord, _ since: UInt64) {
        view.endpoints[record.key] = record
        for address in record.addresses {
            view.holders[address] = ClusterView.Holder(key: record.key, since: since)
        }
    }

    private mutating func forget(_ record: EndpointRecord) {
        view.endpoints.removeValue(forKey: record.key)
        for address in record.addresses where view.holders[address]?.key == record.key {
            view.holders.removeValue(forKey: address)
        }
        // Somebody who was refused for its sake may have it now.
        if !refused.isEmpty { isDisputed = true }
    }

    private func refusal(of record: EndpointRecord) -> ClaimRefusal? {
        for address in record.addresses {
            if let reason = Self.refusal(of: address, prefixes), canary != .skipsPrefixCheck {
                return reason
            }
            if let holder = view.holders[address], holder.key != record.key,
                canary != .skipsDuplicateCheck
            {
                return .duplicate(address, holder: holder.key)
            }
        }
        return nil
    }

    /// Not the network's address, not the gateway's: neither is ever an endpoint's.
    static func refusal(of address: IPAddress, _ prefixes: [IPPrefix]) -> ClaimRefusal? {
        guard let prefix = prefixes.first(where: { $0.contains(address) }) else {
            return .outside(address)
        }
        let isReserved = address == prefix.address(at: 0) || address == prefix.address(at: 1)
        return isReserved ? .reserved(address) : nil
    }

    /// Decides everything anew. True if what is believed has changed.
    mutating func judge(prefixes newPrefixes: [IPPrefix]? = nil) -> Bool {
        isDisputed = false
        let old = view
        if let newPrefixes { prefixes = newPrefixes }
        var claims: [(record: EndpointRecord, since: UInt64)] = []
        claims.reserveCapacity(endpointCount)
        for record in view.endpoints.values { claims.append((record, since(of: record))) }
        for claim in refused.values { claims.append((claim.record, claim.since)) }
        claims.sort { ($0.since, $0.record.key) < ($1.since, $1.record.key) }
        view.endpoints.removeAll(keepingCapacity: true)
        view.holders.removeAll(keepingCapacity: true)
        refused.removeAll()
        for (record, since) in claims {
            if let reason = refusal(of: record) {
                refused[record.key] = Refused(record: record, since: since, reason: reason)
            } else {
                hold(record, since)
            }
        }
        return view.endpoints != old.endpoints
    }

    func since(of record: EndpointRecord) -> UInt64 {
        record.addresses.first.flatMap { view.holders[$0]?.since } ?? 0
    }

    // MARK: Services

    private mutating func putService(
        _ key: ServiceRecord.Key, _ ports: [ServicePort], _ importedBy: [Glob]?
    ) -> Bool {
        let more = DirectoryItem.service(key, ports: ports, importedBy: importedBy).encodedBytes
        guard let known = view.services.index(forKey: key) else {
            guard view.services.count < limits.services else {
                dropped += 1
                return false
            }
            guard fits(more) else { return false }
            view.services[key] = ServiceRecord(key: key, ports: ports, importedBy: importedBy)
            return true
        }
        let old = view.services.values[known]
        guard old.ports != ports || old.importedBy != importedBy else { return false }
        let before = DirectoryItem.service(key, ports: old.ports, importedBy: old.importedBy)
        guard fits(more - before.encodedBytes) else { return false }
        view.services.values[known].ports = ports
        view.services.values[known].importedBy = importedBy
        return true
    }

    private mutating func putMember(
        _ key: ServiceRecord.Key, _ member: ServiceRecord.Member
    ) -> Bool {
        guard let service = view.services.index(forKey: key) else {
            dropped += 1
            return false
        }
        let members = view.services.values[service].members
        let place = Self.place(of: member.endpoint, in: members)
        if place < members.count, members[place].endpoint == member.endpoint {
            guard members[place] != member else { return false }
            view.services.values[service].members[place] = member
            return true
        }
        guard memberCount < limits.members else {
            dropped += 1
            return false
        }
        guard fits(DirectoryItem.member(key, member).encodedBytes) else { return false }
        memberCount += 1
        view.services.values[service].members.insert(member, at: place)
        return true
    }

    private static func place(of name: EndpointName, in members: [ServiceRecord.Member]) -> Int {
        var (low, high) = (0, members.count)
        while low < high {
            let middle = (low + high) / 2
            if members[middle].endpoint < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func bytes(of record: ServiceRecord) -> Int {
        record.members.reduce(
            DirectoryItem.service(record.key, ports: record.ports, importedBy: record.importedBy)
                .encodedBytes
        ) { $0 + DirectoryItem.member(record.key, $1).encodedBytes }
    }

    // MARK: All of it

    /// In the order of a snapshot; what is refused is part of what was said.
    var items: [DirectoryItem] {
        let endpoints =
            view.endpoints.values.map { ($0, since(of: $0)) }
            + refused.values.map { ($0.record, $0.since) }
        var items: [DirectoryItem] = endpoints.sorted { $0.0.key < $1.0.key }
            .map { .endpoint($0.0, since: $0.1) }
        let services = view.sortedServices
        items += services.map { .service($0.key, ports: $0.ports, importedBy: $0.importedBy) }
        for service in services { items += service.members.map { .member(service.key, $0) } }
        return items
    }

    /// For the list of problems: of each reason as many as asked, by name.
    func namedRefusals(_ count: Int) -> [Refused] {
        Array(refused.values.sorted { $0.record.key < $1.record.key }.prefix(count))
    }
}
