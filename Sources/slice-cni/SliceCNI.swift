import CNIModel
import Glibc

/// A CNI plugin: called by a container runtime once for each thing to do, with the container in
/// the environment and the network on standard input. The answer goes to standard output.
@main
enum SliceCNI {
    static func main() {
        // A runtime that went away must not leave a half-done request behind it.
        signal(SIGPIPE, SIG_IGN)
        guard getenv("CNI_COMMAND") != nil else {
            about()
            return
        }
        var version = CNIVersion.newest.rawValue
        do throws(CNIError) {
            let input = try StandardStreams.input(limit: NetworkConfig.maximumBytes)
            version = NetworkConfig.versionText(input) ?? version
            let environment = try CNIEnvironment(variable)
            if let answer = try Plugin(environment, input).run() { StandardStreams.output(answer) }
        } catch {
            StandardStreams.output(error.json(version))
            exit(1)
        }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private static func about() {
        let versions = CNIVersion.allCases.map(\.rawValue).joined(separator: ", ")
        print("slice-cni: a CNI plugin that attaches containers to slices; speaks CNI \(versions).")
        print("It is called by container runtimes: see Docs/CNI.md.")
    }
}

enum StandardStreams {
    static func input(limit: Int) throws(CNIError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw CNIError(
                    .inputOutput, "cannot read standard input: \(String(cString: strerror(errno)))")
            }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw CNIError(.decoding, "the network configuration has more than \(limit) bytes")
            }
        }
    }

    static func output(_ value: JSON) {
        let bytes = value.bytes + [0x0a]
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody is there to be told.
            if count <= 0 { exit(1) }
            sent += count
        }
    }
}
