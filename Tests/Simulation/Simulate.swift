import Dispatch
import Glibc

/// Runs seeds of the cluster simulation, several at a time.
///
///     simulate [--seeds N] [--first SEED] [--seconds S] [--jobs N] [--canary NAME] [--verbose]
@main
enum Simulate {
    static func main() {
        var options = SimulationOptions(seed: 1)
        var seeds: UInt64 = 10
        var jobs = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        var words = CommandLine.arguments.dropFirst()
        while let word = words.popFirst() {
            switch word {
            case "--verbose": options.isVerbose = true
            case "--seeds": seeds = words.popFirst().flatMap { UInt64($0) } ?? seeds
            case "--first": options.seed = words.popFirst().flatMap { UInt64($0) } ?? 1
            case "--seconds": options.seconds = words.popFirst().flatMap { Int64($0) } ?? 60
            case "--jobs": jobs = max(1, words.popFirst().flatMap { Int($0) } ?? 1)
            case "--canary":
                guard let canary = words.popFirst().flatMap({ Canary(rawValue: $0) }) else {
                    print("canaries: " + Canary.allCases.map(\.rawValue).joined(separator: " "))
                    exit(2)
                }
                options.canary = canary
            default:
                print(
                    "usage: simulate [--seeds N] [--first SEED] [--seconds S] [--jobs N] "
                        + "[--canary NAME] [--verbose]")
                exit(2)
            }
        }
        exit(run(options, seeds: seeds, jobs: jobs) ? 0 : 1)
    }

    private static func run(
        _ options: SimulationOptions, seeds: UInt64, jobs: Int
    ) -> Bool {
        let results = Results()
        let first = options.seed
        DispatchQueue.concurrentPerform(iterations: jobs) { job in
            for index in stride(from: UInt64(job), to: seeds, by: jobs) {
                var options = options
                options.seed = first + index
                if options.canary != nil, results.hasFailure { return }
                run(options, results)
            }
        }
        return results.report(of: seeds, options)
    }

    private static func run(_ options: SimulationOptions, _ results: Results) {
        var simulation: ClusterSimulation?
        let outcome: Result<UInt64, any Error>
        do {
            let cluster = try ClusterSimulation(options)
            simulation = cluster
            outcome = .success(try cluster.run())
        } catch {
            simulation?.tellReplicas()
            outcome = .failure(error)
        }
        let remains = simulation?.letGo() ?? []
        weak let cluster = simulation
        simulation = nil
        switch outcome {
        case .failure(let error): results.failed(options, "\(error)")
        // A bug that was put in must be found by what it does.
        case .success where options.canary == nil
            && (cluster != nil || remains.contains(where: \.isInMemory)):
            results.failed(options, "the run is over and a part of it is still in memory")
        case .success(let trace): results.passed(options.seed, trace)
        }
    }
}
