import Timing

/// What one direction between two sites does to packets. The default is a perfect wire.
package struct LinkConditions: Hashable, Sendable {
    /// How the variable part of the delay is spread.
    package enum Spread: String, Hashable, Sendable, CaseIterable {
        /// Evenly over delay - jitter ... delay + jitter.
        case uniform
        /// Bell-shaped with jitter as its standard deviation (a sum of twelve uniform draws).
        case normal
        /// Only ever later, by jitter on average, with a long tail: what queues elsewhere do.
        case tail
    }

    /// Gilbert's burst model (E. N. Gilbert, "Capacity of a burst-noise channel", 1960): before
    /// every packet the link may enter or leave the bad state.
    package struct Burst: Hashable, Sendable {
        package var enter: Probability
        package var leave: Probability
        package var loss: Probability

        package init(enter: Probability, leave: Probability, loss: Probability = .always) {
            self.enter = enter
            self.leave = leave
            self.loss = loss
        }
    }

    package static let defaultQueueBytes = 256_000

    package var delay = Nanoseconds.zero
    package var jitter = Nanoseconds.zero
    package var spread = Spread.uniform
    package var loss = Probability.never
    package var burst: Burst?
    package var duplicate = Probability.never
    package var reorder = Probability.never
    /// A reordered packet is held up to this much longer than it would have been.
    package var reorderBy = Nanoseconds.zero
    /// Nil: no serialisation.
    package var bitsPerSecond: UInt64?
    /// What may wait for serialisation; a packet that does not fit is dropped at the tail.
    package var queueBytes = defaultQueueBytes

    package init() {}

    /// Whether chance has no say: packets that come together stay together, but for the queue.
    var treatsAllAlike: Bool {
        jitter == .zero && loss == .never && burst == nil && duplicate == .never
            && reorder == .never
    }
}

/// One word of a `set` statement.
package enum LinkChange: Hashable, Sendable {
    case delay(Nanoseconds)
    case jitter(Nanoseconds, LinkConditions.Spread)
    case loss(Probability)
    case burst(LinkConditions.Burst?)
    case duplicate(Probability)
    case reorder(Probability, by: Nanoseconds)
    case rate(UInt64?)
    case queue(Int)
}

extension LinkConditions {
    mutating func apply(_ change: LinkChange) {
        switch change {
        case .delay(let d): delay = d
        case .jitter(let j, let s): (jitter, spread) = (j, s)
        case .loss(let p): loss = p
        case .burst(let b): burst = b
        case .duplicate(let p): duplicate = p
        case .reorder(let p, let by): (reorder, reorderBy) = (p, by)
        case .rate(let r): bitsPerSecond = r
        case .queue(let q): queueBytes = q
        }
    }
}

extension LinkConditions: CustomStringConvertible {
    /// As a `set` statement would say it; what is at its default is left out, delay is not.
    package var description: String {
        var words = ["delay \(Quantity.text(delay))"]
        if jitter != .zero { words.append("jitter \(Quantity.text(jitter)) \(spread.rawValue)") }
        if loss != .never { words.append("loss \(loss)") }
        if let burst { words.append("burst \(burst.enter) \(burst.leave) \(burst.loss)") }
        if duplicate != .never { words.append("duplicate \(duplicate)") }
        if reorder != .never { words.append("reorder \(reorder) by \(Quantity.text(reorderBy))") }
        if let rate = bitsPerSecond { words.append("rate \(Quantity.text(bitsPerSecond: rate))") }
        if queueBytes != Self.defaultQueueBytes {
            words.append("queue \(Quantity.text(bytes: queueBytes))")
        }
        return words.joined(separator: " ")
    }
}
