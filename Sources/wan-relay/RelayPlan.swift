import Glibc
import LinuxNet
import Timing
import WanModel

/// What the command line and its files ask for, before anything runs.
struct RelayPlan {
    struct Problem: Error, CustomStringConvertible {
        var description: String
    }

    private var sites: [Site]
    private var limits = WanModel.Limits()
    private var statements: [(place: String, statement: WanStatement)] = []

    init(sites: [Site], files: [String]) throws {
        self.sites = sites
        for file in files {
            let script: WanScript
            do {
                script = try WanScript(Self.read(file))
            } catch let failure as WanScript.Failure {
                let lines = failure.errors.map { "\(file): \($0)" }
                throw Problem(description: lines.joined(separator: "\n"))
            }
            for line in script.lines {
                let place = "\(file): line \(line.number)"
                switch line.statement {
                case .site(let site): self.sites.append(site)
                case .limit(let packets, let bytes):
                    limits.packets = packets ?? limits.packets
                    limits.bytes = bytes ?? limits.bytes
                case .show, .stats:
                    throw Problem(
                        description: "\(place): only the control socket can be asked that")
                default: statements.append((place, line.statement))
                }
            }
        }
    }

    /// The network at its start: everything without a time has happened.
    func model(seed: UInt64, start: Instant) throws -> WanModel {
        var model = try WanModel(sites: sites, seed: seed, limits: limits, start: start)
        for (place, statement) in statements {
            do {
                switch statement {
                case .now(let command): try model.apply(command, at: start)
                case .at(let time, let command), .after(let time, let command):
                    try model.schedule(command, at: start + time)
                default: break
                }
            } catch {
                throw Problem(description: "\(place): \(error)")
            }
        }
        return model
    }

    private static func read(_ path: String) throws -> String {
        guard let file = fopen(path, "re") else {
            throw LinuxError("read", path, errno: errno)
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[..<count]
            // One byte too many is enough for the parser to refuse it.
            if bytes.count > WanScript.mostBytes { break }
        }
        if ferror(file) != 0 { throw LinuxError("read", path, errno: errno) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
