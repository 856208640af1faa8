import Addresses
import SliceModel
import Timing

/// One member of a service that is to be tried.
package struct HealthTarget: Hashable, Sendable {
    package struct ID: Hashable, Comparable, Sendable, CustomStringConvertible {
        package var service: ServiceRecord.Key
        package var endpoint: EndpointName

        package init(_ service: ServiceRecord.Key, _ endpoint: EndpointName) {
            self.service = service
            self.endpoint = endpoint
        }

        package static func < (a: Self, b: Self) -> Bool {
            (a.service, a.endpoint) < (b.service, b.endpoint)
        }

        package var description: String { "\(endpoint) of service \(service)" }
    }

    package var id: ID
    /// It is well if it answers at one of them.
    package var addresses: [IPAddress]
    package var check: HealthCheck

    package init(id: ID, addresses: [IPAddress], check: HealthCheck) {
        self.id = id
        self.addresses = addresses
        self.check = check
    }
}

/// Who is to be tried when, and what follows from how it went. Time and outcomes come in.
///
/// A member counts as healthy until it was tried the first time, which is at once: otherwise a
/// restart of the gateway would take every service out of the answers for a moment. Then one
/// answer makes it healthy, and so many failures in a row as the service says make it unhealthy;
/// for one that has never answered, the first is enough.
package struct HealthBook: Sendable {
    package enum Outcome: Hashable, Sendable {
        case answered
        case failed
        /// It was our own fault, such as too many open files: nothing is known.
        case inconclusive
    }

    package struct Change: Hashable, Sendable {
        package var id: HealthTarget.ID
        package var isHealthy: Bool

        package init(id: HealthTarget.ID, isHealthy: Bool) {
            self.id = id
            self.isHealthy = isHealthy
        }
    }

    /// A try that is to be made. Goes back with its outcome.
    package struct Attempt: Hashable, Sendable {
        package var target: HealthTarget
        fileprivate var generation: UInt64
    }

    private struct Entry: Sendable {
        var target: HealthTarget
        /// Tells tries of this target from those of an earlier one with its name.
        var generation: UInt64
        var due: Instant
        var isUnderway = false
        var hasAnswered = false
        var failures = 0
        var isHealthy = true
        var isTried = false
    }

    private struct Due: Comparable {
        var at: Instant
        var order: UInt64
        var id: HealthTarget.ID

        static func < (a: Self, b: Self) -> Bool { (a.at, a.order) < (b.at, b.order) }
    }

    private var entries: [HealthTarget.ID: Entry] = [:]
    /// A heap; what is in it and no longer in `entries` as it says is passed over.
    private var queue = MinimumHeap<Due>()
    private var serial: UInt64 = 0

    package init() {}

    package var count: Int { entries.count }

    /// True for whoever is not checked.
    package func isHealthy(_ id: HealthTarget.ID) -> Bool { entries[id]?.isHealthy ?? true }

    /// Whether everybody was tried at least once.
    package var isSettled: Bool { entries.values.allSatisfy(\.isTried) }

    /// From now on these are checked, and nobody else. Who stays keeps what is known of him,
    /// unless he is to be found elsewhere.
    package mutating func set(_ targets: [HealthTarget], now: Instant) {
        var kept: [HealthTarget.ID: Entry] = [:]
        kept.reserveCapacity(targets.count)
        for target in targets where kept[target.id] == nil {
            if var entry = entries[target.id], entry.target.addresses == target.addresses,
                entry.target.check.port == target.check.port
            {
                entry.target = target
                kept[target.id] = entry
                continue
            }
            serial += 1
            kept[target.id] = Entry(target: target, generation: serial, due: now)
            queue.insert(Due(at: now, order: serial, id: target.id))
        }
        entries = kept
        // What has gone stays in the queue until its time comes. Not for ever.
        if queue.count > 2 * entries.count + 64 { rebuildQueue(targets) }
    }

    private mutating func rebuildQueue(_ targets: [HealthTarget]) {
        queue = MinimumHeap()
        for target in targets {
            guard let entry = entries[target.id], !entry.isUnderway else { continue }
            serial += 1
            queue.insert(Due(at: entry.due, order: serial, id: target.id))
        }
    }

    /// When there is something to do again.
    package var nextDue: Instant? { queue.first?.at }

    /// Those whose time has come, at most `limit`: the others wait for room.
    package mutating func due(_ now: Instant, limit: Int) -> [Attempt] {
        var attempts: [Attempt] = []
        while attempts.count < limit, let first = queue.first, first.at <= now {
            queue.removeFirst()
            guard var entry = entries[first.id], !entry.isUnderway, entry.due == first.at else {
                continue
            }
            entry.isUnderway = true
            entry.due = now + max(entry.target.check.interval, .milliseconds(100))
            entries[first.id] = entry
            attempts.append(Attempt(target: entry.target, generation: entry.generation))
        }
        return attempts
    }

    package mutating func finished(
        _ attempt: Attempt, _ outcome: Outcome, now: Instant
    ) -> Change? {
        let id = attempt.target.id
        guard var entry = entries[id], entry.generation == attempt.generation, entry.isUnderway
        else { return nil }
        let before = entry.isHealthy
        entry.isUnderway = false
        switch outcome {
        case .answered:
            (entry.hasAnswered, entry.failures, entry.isHealthy) = (true, 0, true)
            entry.isTried = true
        case .failed:
            entry.failures += 1
            entry.isTried = true
            let enough = entry.hasAnswered ? max(1, entry.target.check.failures) : 1
            if entry.failures >= enough { entry.isHealthy = false }
        case .inconclusive: break
        }
        // A try that took longer than the interval is followed at once, not caught up with.
        entry.due = max(entry.due, now)
        entries[id] = entry
        serial += 1
        queue.insert(Due(at: entry.due, order: serial, id: id))
        return entry.isHealthy == before ? nil : Change(id: id, isHealthy: entry.isHealthy)
    }
}

/// The smallest first.
struct MinimumHeap<Element: Comparable> {
    private var elements: [Element] = []

    var count: Int { elements.count }
    var first: Element? { elements.first }

    mutating func insert(_ element: Element) {
        elements.append(element)
        var at = elements.count - 1
        while at > 0, elements[at] < elements[(at - 1) / 2] {
            elements.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    @discardableResult
    mutating func removeFirst() -> Element? {
        guard let last = elements.popLast() else { return nil }
        guard let first = elements.first else { return last }
        elements[0] = last
        var at = 0
        while true {
            var least = at
            for child in [2 * at + 1, 2 * at + 2]
            where child < elements.count && elements[child] < elements[least] {
                least = child
            }
            if least == at { return first }
            elements.swapAt(at, least)
            at = least
        }
    }
}

extension MinimumHeap: Sendable where Element: Sendable {}
