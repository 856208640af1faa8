import Glibc

/// How many files and sockets the process may have open, and how they are shared out: a client that
/// connects must never take what a partition needs for its next segment.
struct OpenFiles: Equatable {
    let limit: Int

    /// Kept for partitions, and for this node's own connections to others.
    var reserved: Int { max(limit / 8, min(limit / 2, 512)) }
    /// For clients and other brokers.
    var forClients: Int { limit - reserved }
    /// For the nodes that talk to this controller.
    var forQuorum: Int { max(reserved / 4, 16) }

    /// Raises the limit as far as the process may, which is what LimitNOFILE and `ulimit -Hn` say.
    static func raised() -> OpenFiles {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return OpenFiles(limit: 1024) }
        if limit.rlim_cur < limit.rlim_max {
            var higher = limit
            higher.rlim_cur = limit.rlim_max
            if setrlimit(resource, &higher) == 0 { limit = higher }
        }
        return OpenFiles(limit: Int(clamping: min(limit.rlim_cur, 1 << 30)))
    }
}
