import Timing

/// What goes on going wrong is said at growing intervals: at once, after 5 s, 10 s, and so on up to
/// 5 minutes. What has not come for longer than its interval is new.
struct Reminders {
    private struct Said {
        var next: Instant
        var interval: Nanoseconds
    }

    static let shortest = Nanoseconds.seconds(5)
    static let longest = Nanoseconds.seconds(300)
    /// Others may choose the subjects (a topic's name): beyond so many all are forgotten.
    private static let maximumSubjects = 1000

    private var said: [String: Said] = [:]

    mutating func isDue(_ subject: String, _ now: Instant) -> Bool {
        guard let last = said[subject] else {
            if said.count >= Self.maximumSubjects { said.removeAll() }
            said[subject] = Said(next: now + Self.shortest, interval: Self.shortest)
            return true
        }
        guard last.next <= now else { return false }
        let isNew = last.next + last.interval < now
        let interval = isNew ? Self.shortest : min(last.interval * 2, Self.longest)
        said[subject] = Said(next: now + interval, interval: interval)
        return true
    }

    mutating func forget(_ subject: String) { said[subject] = nil }
}
