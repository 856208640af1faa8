import KafkaWire
import Timing

/// What a broker has asked of another node and not yet heard about.
enum Outstanding {
    case registration
    case heartbeat(controller: Int32)
    case alterPartition
    case directoryAssignment
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
    /// The epoch that a shutdown in order was under, or that was lost while this process ran: a
    /// controller that is told it believes the disk (KIP-966).
    var previousEpoch: Int64
    var isFenced = true
    var hasSaidReady = false
    /// When to register or to send the next heartbeat.
    var nextAttempt: Instant?
    /// The controller that owes an answer to the newest heartbeat.
    var heartbeatUnderWay: Int32?
    var registrationDeadline: Instant?
    var lastRefusal: ErrorCode?
    var shutdownDeadline: Instant?
    var saidShouldShutDown = false
    /// After the log directory failed: when to end, even if the controller has not heard of it.
    var storageDeadline: Instant?
    var hasToldOffline = false

    init(previousEpoch: Int64) { self.previousEpoch = previousEpoch }

    /// For the mark of a clean end. One that was never registered has changed nothing: the next
    /// start is as this one.
    var lastEpoch: Int64 { epoch >= 0 ? epoch : previousEpoch }
}
