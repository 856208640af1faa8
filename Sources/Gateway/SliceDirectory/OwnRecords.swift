import Addresses
import SliceModel

/// This cluster's own records, which nobody else writes: each change has a number, and the last
/// changes are remembered for followers that were away.
struct OwnRecords: Sendable {
    /// Why a record of our own is not told.
    enum Problem: Hashable, Sendable {
        case claim(AddressBook.Key, ClaimRefusal)
        /// Outside the limits of the protocol, or said twice.
        case unsayable(DirectoryKey)
        case tooMany(Int)
    }

    private(set) var version: UInt64 = 0
    private(set) var items: [DirectoryKey: DirectoryItem] = [:]
    /// In order, for snapshots.
    private(set) var keys: [DirectoryKey] = []
    private(set) var problems: [Problem] = []
    /// The key of change `version` is the last one.
    private var log: [DirectoryKey] = []
    private let limits: DirectoryLimits
    private var prefixes: [IPPrefix]
    private var given: (endpoints: [EndpointRecord], services: [ServiceRecord]) = ([], [])

    private let canary: DirectoryCanary?

    init(prefixes: [IPPrefix], limits: DirectoryLimits, canary: DirectoryCanary? = nil) {
        self.prefixes = prefixes
        self.limits = limits
        self.canary = canary
    }

    /// The oldest version from which the changes are still known.
    var oldest: UInt64 { version - UInt64(log.count) }

    /// The keys of the changes after a version; nil if they are not known any more.
    func changes(after from: UInt64) -> ArraySlice<DirectoryKey>? {
        guard from <= version, from >= oldest else { return nil }
        return log[(log.count - Int(version - from))...]
    }

    /// The place of the first key behind one, in `keys`.
    func place(after key: DirectoryKey?) -> Int {
        guard let key else { return 0 }
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if key < keys[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// What is to be known of this cluster from now on. Returns what changes, in order.
    mutating func set(
        endpoints: [EndpointRecord], services: [ServiceRecord]
    ) -> [DirectoryChange] {
        given = (endpoints, services)
        return update()
    }

    mutating func set(prefixes: [IPPrefix]) -> [DirectoryChange] {
        guard prefixes != self.prefixes else { return [] }
        self.prefixes = prefixes
        return update()
    }

    private mutating func update() -> [DirectoryChange] {
        let wanted = wanted()
        var changes: [DirectoryChange] = []
        // Members before services before endpoints, so that no step has a name without a place.
        for key in keys.reversed() where wanted[key] == nil { changes.append(.remove(key)) }
        // Sorting only what differs: most of it does not.
        let differing = wanted.filter { items[$0.key] != $0.value }.keys.sorted()
        for key in differing {
            guard let item = wanted[key] else { continue }
            if let put = put(item, number: version + UInt64(changes.count) + 1) {
                changes.append(.put(put))
            }
        }
        guard !changes.isEmpty else { return [] }
        store(changes)
        version += UInt64(changes.count)
        log.append(contentsOf: changes.map(\.key))
        // Cut back now and then, not each time.
        if log.count > limits.log * 2 { log.removeFirst(log.count - limits.log) }
        return changes
    }

    /// Few are put in their places, many are sorted.
    private mutating func store(_ changes: [DirectoryChange]) {
        let fewEnough = changes.count <= 32
        for change in changes {
            switch change {
            case .put(let item):
                let isNew = items.updateValue(item, forKey: item.key) == nil
                if isNew, fewEnough { keys.insert(item.key, at: place(after: item.key)) }
            case .remove(let key):
                items.removeValue(forKey: key)
                let place = place(after: key) - 1
                if fewEnough, place >= 0, keys[place] == key { keys.remove(at: place) }
            }
        }
        if !fewEnough { keys = items.keys.sorted() }
    }

    /// The item as it is to be told, or nil if that is told already.
    private func put(_ item: DirectoryItem, number: UInt64) -> DirectoryItem? {
        guard case .endpoint(let record, _) = item else {
            return items[item.key] == item ? nil : item
        }
        guard case .endpoint(let old, let since) = items[item.key] else {
            return .endpoint(record, since: number)
        }
        if old == record { return nil }
        return .endpoint(record, since: old.addresses == record.addresses ? since : number)
    }

    // MARK: What may be told

    private mutating func wanted() -> [DirectoryKey: DirectoryItem] {
        problems = []
        var wanted: [DirectoryKey: DirectoryItem] = [:]
        var holders: [IPAddress: AddressBook.Key] = [:]
        var (bytes, members, left, services) = (0, 0, 0, 0)
        func take(_ item: DirectoryItem, _ fits: Bool) -> Bool {
            guard fits, bytes + item.encodedBytes <= limits.recordBytes else {
                left += 1
                return false
            }
            guard wanted[item.key] == nil, item.isSayable else {
                note(.unsayable(item.key))
                return false
            }
            bytes += item.encodedBytes
            wanted[item.key] = item
            return true
        }
        for record in given.endpoints {
            if let reason = refusal(of: record, holders), canary != .tellsAnything {
                note(.claim(record.key, reason))
                continue
            }
            guard take(.endpoint(record, since: 0), wanted.count < limits.endpoints) else {
                continue
            }
            for address in record.addresses { holders[address] = record.key }
        }
        for record in given.services {
            let item = DirectoryItem.service(
                record.key, ports: record.ports, importedBy: record.importedBy)
            guard take(item, services < limits.services) else { continue }
            services += 1
            for member in record.members
            where take(.member(record.key, member), members < limits.members) { members += 1 }
        }
        if left > 0 { problems.append(.tooMany(left)) }
        return wanted
    }

    private func refusal(
        of record: EndpointRecord, _ holders: [IPAddress: AddressBook.Key]
    ) -> ClaimRefusal? {
        for address in record.addresses {
            if let reason = ClusterEntries.refusal(of: address, prefixes) { return reason }
            if let holder = holders[address] { return .duplicate(address, holder: holder) }
        }
        return nil
    }

    private mutating func note(_ problem: Problem) {
        if problems.count < limits.namedProblems { problems.append(problem) }
    }
}

extension DirectoryChange {
    var key: DirectoryKey {
        switch self {
        case .put(let item): item.key
        case .remove(let key): key
        }
    }

    var isRemoval: Bool {
        if case .remove = self { true } else { false }
    }
}

extension DirectoryItem {
    /// Whether a peer would read what we write.
    var isSayable: Bool {
        var writer = WireWriter()
        write(to: &writer)
        var reader = WireReader(writer.bytes)
        return (try? DirectoryItem(reading: &reader)) == self && reader.remaining == 0
    }
}
