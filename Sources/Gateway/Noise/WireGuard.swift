import Timing

/// WireGuard's constants, by where they come from.
package enum WireGuard {
    // MARK: Paper, section 6.1

    /// Messages under one key after which the initiator makes a new one.
    @inlinable package static var rekeyAfterMessages: UInt64 { 1 << 60 }
    /// Counters from here on are neither sent nor taken: 2^64 - 2^13 - 1.
    @inlinable package static var rejectAfterMessages: UInt64 { UInt64.max - (1 << 13) }
    package static let rekeyAfterTime = Nanoseconds.seconds(120)
    package static let rejectAfterTime = Nanoseconds.seconds(180)
    package static let rekeyAttemptTime = Nanoseconds.seconds(90)
    package static let rekeyTimeout = Nanoseconds.seconds(5)
    package static let keepaliveTimeout = Nanoseconds.seconds(10)

    // MARK: Paper, section 6.2: an initiator that only receives renews a little before the end

    package static let rekeyAfterTimeReceiving =
        rejectAfterTime - keepaliveTimeout - rekeyTimeout

    // MARK: Paper, section 6.3: all keys are erased after this without a new session

    package static let eraseAfterTime = rejectAfterTime * 3

    // MARK: Paper, section 6.5: sent data and heard nothing for so long: begin a handshake

    package static let newHandshakeTime = keepaliveTimeout + rekeyTimeout

    // MARK: Paper, section 5.4.6

    /// Packets are padded with zeros to a multiple of this before they are sealed.
    @inlinable package static var paddingMultiple: Int { 16 }

    // MARK: Paper, section 5.4.7

    package static let cookieSecretLifetime = Nanoseconds.seconds(120)
    package static let cookieLifetime = Nanoseconds.seconds(120)

    // MARK: Practice of the existing implementations

    /// Retransmissions of an initiation are delayed by up to this much more, at random.
    package static let rekeyTimeoutJitter = Nanoseconds.milliseconds(334)
    /// Initiations taken from one peer are at least this far apart.
    package static let initiationInterval = Nanoseconds.milliseconds(20)
}
