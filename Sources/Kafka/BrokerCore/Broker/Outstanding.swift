import KafkaWire
import Timing

/// What a broker has asked of another node and not yet heard about.
enum Outstanding {
    case registration
    case heartbeat
    case alterPartition
    case producerIds
    /// A client's request, passed on to the controller as it is.
    case forwarded(ReplyAddress)
    /// A topic that a client asked about and that is to be made unasked.
    case autoCreation([String])
    case replicaFetch(leader: Int32, correlation: UInt64)
    case replicaListOffsets(leader: Int32, correlation: UInt64)
}

/// Where a broker stands with the controller.
struct BrokerLifecycle {
    enum State: Equatable {
        /// Not registered, or the registration has been lost.
        case unregistered
        case registering
        case registered
        /// A controlled shutdown: leaders are moved away before the process ends.
        case shuttingDown
        case ended
    }

    var state = State.unregistered
    /// The epoch of this incarnation; -1 until it is registered.
    var epoch: Int64 = -1
    var previousEpoch: Int64 = -1
    var isFenced = true
    var hasSaidReady = false
    /// When to register or to send the next heartbeat.
    var nextAttempt: Instant?
    var isHeartbeatUnderWay = false
    var registrationDeadline: Instant?
    var lastRefusal: ErrorCode?
    var shutdownDeadline: Instant?
    var saidShouldShutDown = false
}
