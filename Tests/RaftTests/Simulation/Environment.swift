import Glibc

/// `RAFT_SEED=n` replays one seed, `RAFT_SEEDS=n` runs so many.
private func number(_ name: String) -> UInt64? {
    guard let value = getenv(name) else { return nil }
    return UInt64(String(cString: value))
}

let replayedSeed = number("RAFT_SEED")
/// `RAFT_TRACE=1` tells what every node does.
let tracesEveryStep = number("RAFT_TRACE") != nil
let seedCount = number("RAFT_SEEDS")
