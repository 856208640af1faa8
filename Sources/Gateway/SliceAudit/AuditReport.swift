/// The first thing wrong with a log.
package struct AuditBreak: Equatable, Sendable, CustomStringConvertible {
    package enum Reason: String, Equatable, Sendable {
        /// A line is not what it was when the next one, or a head, was written.
        case changed
        case missing, reordered
        /// An entry that was there before.
        case repeated
        /// A line of another log.
        case otherLog
        /// A line is no entry in the one form that entries have.
        case notAnEntry
        case tooLong
        /// The last line has no end.
        case torn
        /// The end is missing: a head names an entry behind it.
        case cutOff
        /// Files that the gateway would have kept are not there, or the beginning of a file.
        case noBeginning
        /// A head names an entry that is older than all that is kept.
        case tooOld
        case empty
    }

    package var reason: Reason
    /// Which file it is in, from the oldest, and the line there: from 1. 0: no line at all.
    package var file: Int
    package var line: Int
    package var detail: String

    package var description: String { detail }
}

/// What a walk over a whole log has found.
package struct AuditReport: Equatable, Sendable {
    /// Nil: nothing is wrong.
    package var problem: AuditBreak?
    /// Entries before the problem.
    package var entries: UInt64 = 0
    package var first: UInt64?
    /// Which file of the log the oldest that is kept is, from 1.
    package var firstFile: UInt64?
    package var head: AuditHead?
    /// The log's id, as its files say.
    package var id: String?
    /// Lines that a crash had cut off, and that were noted.
    package var repairs: UInt64 = 0
    /// Entries that the gateway itself says it could not write.
    package var lost: UInt64 = 0
    /// Refusals that the gateway itself says it left out, because there were too many of them.
    package var omitted: UInt64 = 0
}
