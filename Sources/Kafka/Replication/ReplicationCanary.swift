/// A bug that can be put in on purpose, so that a simulation can show that it would find it.
/// Nothing outside of tests names one.
package enum ReplicationCanary: Sendable {
    /// Acknowledges what the followers do not have yet.
    case acknowledgesEarly
}
