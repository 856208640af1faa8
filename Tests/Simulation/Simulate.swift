import Dispatch
import Glibc

/// Runs seeds of the cluster simulation, several at a time.
///
///     simulate [--seeds N] [--first SEED] [--seconds S] [--canary NAME] [--verbose]
@main
enum Simulate {
    static func main() {
        var options = SimulationOptions(seed: 1)
        var seeds: UInt64 = 10
        var words = CommandLine.arguments.dropFirst()
        while let word = words.popFirst() {
            switch word {
            case "--verbose": options.isVerbose = true
            case "--seeds": seeds = words.popFirst().flatMap { UInt64($0) } ?? seeds
            case "--first": options.seed = words.popFirst().flatMap { UInt64($0) } ?? 1
            case "--seconds": options.seconds = words.popFirst().flatMap { Int64($0) } ?? 60
            case "--canary":
                guard let canary = words.popFirst().flatMap({ Canary(rawValue: $0) }) else {
                    print("canaries: " + Canary.allCases.map(\.rawValue).joined(separator: " "))
                    exit(2)
                }
                options.canary = canary
            default:
                print(
                    "usage: simulate [--seeds N] [--first SEED] [--seconds S] "
                        + "[--canary NAME] [--verbose]")
                exit(2)
            }
        }
        exit(run(options, seeds: seeds) ? 0 : 1)
    }

    private static func run(_ options: SimulationOptions, seeds: UInt64) -> Bool {
        let results = Results()
        let first = options.seed
        DispatchQueue.concurrentPerform(iterations: Int(seeds)) { index in
            var options = options
            options.seed = first + UInt64(index)
            if options.canary != nil, results.hasFailure { return }
            do {
                let trace = try ClusterSimulation(options).run()
                results.passed(options.seed, trace)
            } catch {
                results.failed(options, "\(error)")
            }
        }
        return results.report(of: seeds, options)
    }
}
