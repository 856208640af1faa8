import Foundation
import FuzzTargets
import Testing

/// Runs every fuzz target over what fuzzing has kept, whole, cut short and with single bits
/// turned: what crashed once, or is near to it, must not crash again. Each target traps where it
/// finds a law broken, so that a run which ends is the assertion.
@Suite struct FuzzReplayTests {
    /// Tests/Fuzz/corpus, beside this suite.
    static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz/corpus")

    static func files(of target: String) throws -> [URL] {
        let folder = corpus.appending(path: target)
        return try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func corpusOf(_ name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        var inputs = target.seeds()
        let files = try Self.files(of: name)
        #expect(!files.isEmpty, "nothing is kept: run `make fuzz`")
        for file in files { inputs.append(Array(try Data(contentsOf: file))) }
        var runs = 0
        for input in inputs { runs += replay(input, target) }
        #expect(runs > inputs.count)
    }

    /// How often the target ran.
    private func replay(_ input: [UInt8], _ target: FuzzTarget) -> Int {
        var runs = 1
        input.withUnsafeBytes(target.run)
        // At most this many of each kind, evenly spread: long inputs take long themselves.
        let most = target.replays
        for i in 0..<min(most, input.count) {
            let place = i * input.count / min(most, input.count)
            exactly(input[..<place], target)
            var flipped = input
            flipped[place] ^= 1 << UInt8((place &+ i) & 7)
            exactly(flipped[...], target)
            runs += 2
        }
        return runs
    }

    /// In a buffer of its own with no byte to spare.
    private func exactly(_ input: ArraySlice<UInt8>, _ target: FuzzTarget) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: input.count, alignment: 1)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: input)
        target.run(UnsafeRawBufferPointer(buffer))
    }

    @Test func corpusIsSmallAndKnown() throws {
        let names = Set(FuzzTarget.all.map(\.name))
        var count = 0
        var bytes = 0
        for folder in try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path) {
            #expect(names.contains(folder), "no target is called \(folder)")
            for file in try Self.files(of: folder) {
                count += 1
                bytes += try Data(contentsOf: file).count
            }
        }
        #expect(count < 420 && bytes < 480 * 1024)
    }

    @Test func targetsHaveSeedsAndNames() {
        #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
        for target in FuzzTarget.all {
            #expect(!target.seeds().isEmpty, "\(target.name) starts from nothing")
            for seed in target.seeds() {
                #expect(seed.count <= target.maximumBytes, "\(target.name): a seed is too long")
            }
        }
        #expect(FuzzTarget.named("no such target") == nil)
    }

    /// The harness's own canary: an input that the bug put in on purpose dies of.
    @Test func canaryDies() async {
        await #expect(processExitsWith: .failure) {
            let input: [UInt8] = [0x54, 0x4c, 0x56, 0, 9, 0]
            if let canary = FuzzTarget.named("canary") { input.withUnsafeBytes(canary.run) }
        }
        await #expect(processExitsWith: .success) {
            let input: [UInt8] = [0x54, 0x4c, 0x56, 0, 1, 0]
            if let canary = FuzzTarget.named("canary") { input.withUnsafeBytes(canary.run) }
        }
    }

    /// Ciphers that differ in one bit, that take a forgery or leave behind what they refused.
    @Test func cipherCanariesDie() async {
        await #expect(processExitsWith: .failure) { FuzzReplayTests.replaySeeds(.wrongBit) }
        await #expect(processExitsWith: .failure) { FuzzReplayTests.replaySeeds(.takesForgery) }
        await #expect(processExitsWith: .failure) { FuzzReplayTests.replaySeeds(.keepsRefused) }
        await #expect(processExitsWith: .success) { FuzzReplayTests.replaySeeds(nil) }
    }

    private static func replaySeeds(_ bug: CipherBug?) {
        let target = bug.map(FuzzTarget.cipherCanary) ?? FuzzTarget.named("ciphers")
        guard let target else { preconditionFailure("no such target") }
        for seed in target.seeds() { seed.withUnsafeBytes(target.run) }
    }
}
