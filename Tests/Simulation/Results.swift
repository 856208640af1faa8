import Synchronization

/// What became of the seeds, told as they end.
final class Results: Sendable {
    private struct State {
        var passed = 0
        var failures: [String] = []
        /// Of all runs, in the order of their seeds: two equal ones did the same.
        var traces: [UInt64: UInt64] = [:]
    }

    private let state = Mutex(State())

    var hasFailure: Bool { state.withLock { !$0.failures.isEmpty } }

    func passed(_ seed: UInt64, _ trace: UInt64) {
        state.withLock {
            $0.passed += 1
            $0.traces[seed] = trace
        }
    }

    func failed(_ options: SimulationOptions, _ problem: String) {
        let canary = options.canary.map { " --canary \($0.rawValue)" } ?? ""
        let line =
            "seed \(options.seed): \(problem)\n    replay: simulate --first \(options.seed) "
            + "--seeds 1 --seconds \(options.seconds)\(canary) --verbose"
        print(line)
        state.withLock { $0.failures.append(line) }
    }

    /// True if every seed passed; with a canary, if one did not.
    func report(of seeds: UInt64, _ options: SimulationOptions) -> Bool {
        state.withLock { state in
            var all: UInt64 = 0
            for seed in state.traces.keys.sorted() {
                all = all &* 0x0000_0100_0000_01b3 ^ (state.traces[seed] ?? 0)
            }
            if let canary = options.canary {
                let isFound = !state.failures.isEmpty
                print("canary \(canary.rawValue): \(isFound ? "found" : "NOT FOUND")")
                return isFound
            }
            print(
                "\(state.passed) of \(seeds) seeds passed, \(options.seconds) simulated seconds "
                    + "each, trace \(String(all, radix: 16))")
            return state.failures.isEmpty
        }
    }
}
