import Timing

/// What was there before each record that is not committed yet.
struct Journal {
    private var entries = Queue<(offset: Int64, change: MetadataChange)>()

    mutating func add(_ changes: [MetadataChange], offset: Int64) {
        for change in changes { entries.append((offset, change)) }
    }

    mutating func forget(below offset: Int64) {
        while let first = entries.first, first.offset < offset { entries.removeFirst() }
    }

    /// Undoes records, the last first: all of them, or those from an offset on.
    mutating func takeBack(from offset: Int64 = .min, in image: inout MetadataImage) {
        while let last = entries.last, last.offset >= offset {
            image.revert(last.change)
            entries.removeLast()
        }
    }
}

/// First in, first out, over an array whose dead front is cut off now and then.
struct Queue<Element> {
    private var elements: [Element] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }
    var first: Element? { isEmpty ? nil : elements[head] }
    var last: Element? { isEmpty ? nil : elements[elements.count - 1] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func removeFirst() {
        guard !isEmpty else { return }
        head += 1
        if isEmpty {
            elements = []
            head = 0
        } else if head > 64, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
    }

    mutating func removeLast() {
        guard !isEmpty else { return }
        elements.removeLast()
    }

    mutating func popFirst() -> Element? {
        defer { removeFirst() }
        return first
    }
}

/// What the active controller does from time to time.
struct ControllerTimers {
    var balance: Instant?
    var uncleanElection: Instant?
    var idle: Instant?

    init() {}

    init(config: ControllerConfig, now: Instant) {
        balance = config.leaderBalanceInterval.map { now + $0 }
        uncleanElection = config.uncleanElectionInterval.map { now + $0 }
        idle = config.maximumIdle.map { now + $0 }
    }

    mutating func appended(now: Instant, config: ControllerConfig) {
        idle = config.maximumIdle.map { now + $0 }
    }

    func isDue(_ timer: KeyPath<Self, Instant?>, _ now: Instant) -> Bool {
        self[keyPath: timer].map { $0 <= now } ?? false
    }

    var next: Instant? {
        var soonest = balance
        for case let timer? in [uncleanElection, idle] {
            soonest = soonest.map { min($0, timer) } ?? timer
        }
        return soonest
    }
}
