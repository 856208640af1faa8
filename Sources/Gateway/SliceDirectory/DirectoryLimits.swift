import Timing

/// Where gateways' directories meet: TCP inside the tunnel, on gateways' overlay addresses.
package enum DirectoryPort {
    package static let number: UInt16 = 7946
}

/// What one cluster may say and one gateway remembers. A peer that says more is cut short, and it
/// is a problem in the status.
package struct DirectoryLimits: Hashable, Sendable {
    /// Of one cluster.
    package var endpoints = 65_536
    package var services = 4_096
    /// Of all services of one cluster together.
    package var members = 131_072
    /// Of all of one cluster's records as they are encoded; memory is a small multiple.
    package var recordBytes = 16 << 20
    /// Changes that are kept, for followers that were away.
    package var log = 4_096
    /// Other clusters.
    package var peers = 1_024
    package var manifestBytes = 1 << 20
    /// Bytes given to one stream's connection that it has not yet got rid of.
    package var window = 256 << 10
    /// Refused records that are named in the list of problems, for each cluster.
    package var namedProblems = 16

    package init() {}

    /// Length and content of a frame; records are far smaller.
    static let frameBytes = 64 << 10
    /// How much goes into one frame of many records.
    static let chunkBytes = 32 << 10
    static let servicePorts = 64
    static let importers = 256
    static let refusalText = 200
    /// The owner's numbers are below 2^63.
    static let largestManifestVersion = UInt64(Int64.max)
}

package struct DirectoryTiming: Hashable, Sendable {
    package var heartbeat = Nanoseconds.seconds(1)
    /// Without a word for so long a cluster's entries are stale.
    package var silence = Nanoseconds.seconds(3)
    /// Without a word for so long a stream is given up: by then the connection that replaces it is
    /// faster than what TCP still waits for.
    package var abandon = Nanoseconds.seconds(6)
    /// Stale entries are dropped after it.
    package var grace = Nanoseconds.seconds(600)
    package var connectTimeout = Nanoseconds.seconds(3)
    package var helloTimeout = Nanoseconds.seconds(3)
    package var shortestBackoff = Nanoseconds.milliseconds(250)
    package var longestBackoff = Nanoseconds.seconds(5)
    /// A connection that takes nothing for so long is closed.
    package var slowPeer = Nanoseconds.seconds(10)
    /// For each part of a manifest.
    package var manifestStall = Nanoseconds.seconds(5)
    /// For the verdict of whoever checks the signature.
    package var manifestVerdict = Nanoseconds.seconds(30)
    /// A peer whose manifest was refused is not asked for so long.
    package var manifestPause = Nanoseconds.seconds(60)
    /// How long a fault that is not repeated stays in the list of problems.
    package var faultMemory = Nanoseconds.seconds(60)
    /// How often timeouts are looked at, and disputed addresses judged again.
    package var tick = Nanoseconds.milliseconds(250)
    package var judging = Nanoseconds.seconds(1)

    package init() {}
}
