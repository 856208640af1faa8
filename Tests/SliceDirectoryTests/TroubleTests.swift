import SimulatedDirectory
import SliceDirectory
import Testing

/// Broken connections, partitions, restarts, old gateways that come back, one that claims what is
/// others', one that says anything; afterwards everybody agrees.
@Suite struct TroubleTests {
    @Test(arguments: 1...40) func viewsConverge(_ seed: UInt64) throws {
        _ = try DirectoryTrouble(seed: seed).run()
    }

    @Test func theSameSeedDoesTheSame() throws {
        #expect(
            try DirectoryTrouble(seed: 7).run() == DirectoryTrouble(seed: 7).run())
    }

    static let toBeFound = DirectoryCanary.allCases.filter { $0 != .tellsAnything }

    /// The harness's own test: bugs put in on purpose.
    @Test(arguments: toBeFound) func canariesAreFound(_ canary: DirectoryCanary) {
        let isFound = (1...60).contains { seed in
            do {
                _ = try DirectoryTrouble(seed: UInt64(seed), canary: canary).run()
                return false
            } catch {
                return true
            }
        }
        #expect(isFound, "\(canary.rawValue) was not found")
    }
}
