import Glibc
import SimulatedDirectory
import SliceDirectory

/// Figures of a large directory in simulated time, and seeds of small ones in trouble.
///
///     simulate-directory [--gateways N] [--endpoints N] [--seed SEED]
///     simulate-directory --seeds N [--first SEED] [--canary NAME]
@main
enum SimulateDirectory {
    static func main() {
        var (gateways, endpoints, seed) = (300, 10_000, UInt64(1))
        var seeds: UInt64?
        var canary: DirectoryCanary?
        var words = CommandLine.arguments.dropFirst()
        while let word = words.popFirst() {
            let value = words.popFirst() ?? ""
            switch word {
            case "--gateways": gateways = Int(value) ?? gateways
            case "--endpoints": endpoints = Int(value) ?? endpoints
            case "--seed", "--first": seed = UInt64(value) ?? seed
            case "--seeds": seeds = UInt64(value)
            case "--canary": canary = DirectoryCanary(rawValue: value)
            default:
                print(
                    "usage: simulate-directory [--gateways N] [--endpoints N] [--seed SEED]\n"
                        + "       simulate-directory --seeds N [--first SEED] [--canary NAME]")
                exit(2)
            }
        }
        if let seeds {
            exit(trouble(seed..<seed + seeds, canary) ? 0 : 1)
        }
        guard 2...512 ~= gateways, endpoints / gateways <= 200 else {
            print("2 to 512 gateways, and at most 200 endpoints for each")
            exit(2)
        }
        var figures = DirectoryFigures(gateways: gateways, endpoints: endpoints, seed: seed)
        figures.run()
    }

    /// With a canary: true if it was found.
    private static func trouble(_ seeds: Range<UInt64>, _ canary: DirectoryCanary?) -> Bool {
        for seed in seeds {
            do {
                _ = try DirectoryTrouble(seed: seed, canary: canary).run()
            } catch {
                print("seed \(seed): \(error)")
                return canary != nil
            }
        }
        print("\(seeds.count) seeds passed" + (canary.map { ": \($0.rawValue) NOT FOUND" } ?? ""))
        return canary == nil
    }
}
