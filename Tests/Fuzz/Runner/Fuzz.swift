import CFuzzDriver
import FuzzTargets
import Glibc

/// Set once, before the fuzzer starts.
nonisolated(unsafe) private var chosen = FuzzTarget.canary

/// `fuzz list` names the targets, `fuzz describe NAME DIRECTORY` writes its seeds, its
/// dictionary and its greatest length there; with FUZZ_TARGET=NAME in the environment all
/// arguments are libFuzzer's. (It starts itself again to merge: an argument would be lost.)
@main struct Fuzz {
    static func main() {
        let arguments = CommandLine.arguments
        if let name = getenv("FUZZ_TARGET") {
            fuzz(target(String(cString: name)))
        } else if arguments.count == 2, arguments[1] == "list" {
            for target in FuzzTarget.all { print(target.name) }
        } else if arguments.count == 4, arguments[1] == "describe" {
            describe(target(arguments[2]), in: arguments[3])
        } else {
            fail("fuzz list | fuzz describe NAME DIRECTORY | FUZZ_TARGET=NAME fuzz [libFuzzer's]")
        }
    }

    private static func target(_ name: String) -> FuzzTarget {
        guard let target = FuzzTarget.named(name) else { fail("there is no target \(name)") }
        return target
    }

    private static func fuzz(_ target: FuzzTarget) {
        chosen = target
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? =
            CommandLine.unsafeArgv
        let status = LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            chosen.run(UnsafeRawBufferPointer(start: data, count: size))
            return 0
        }
        exit(status)
    }

    private static func describe(_ target: FuzzTarget, in directory: String) {
        for (i, seed) in target.seeds().enumerated() { write(seed, to: "\(directory)/seed-\(i)") }
        let words = target.words.map { word in
            "\"" + word.utf8.map { "\\x" + String(0x100 + Int($0), radix: 16).dropFirst() }.joined()
                + "\"\n"
        }
        write(Array(words.joined().utf8), to: "\(directory)/words.dict")
        write(Array("\(target.maximumBytes)\n".utf8), to: "\(directory)/maximum")
    }

    private static func write(_ bytes: [UInt8], to path: String) {
        guard let file = fopen(path, "w") else {
            fail("\(path): \(String(cString: strerror(errno)))")
        }
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, written == bytes.count else { fail("\(path): not written") }
    }

    private static func fail(_ message: String) -> Never {
        let line = "fuzz: \(message)\n"
        _ = Glibc.write(STDERR_FILENO, line, line.utf8.count)
        exit(2)
    }
}
