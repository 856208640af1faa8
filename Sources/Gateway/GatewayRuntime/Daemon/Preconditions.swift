import Glibc
import LinuxNet

/// What has to be so before the daemon touches anything.
enum Preconditions {
    static let capabilities: [Capabilities.Capability] = [.netAdmin, .sysAdmin, .netRaw]

    static func check() throws {
        var problems: [String] = []
        let missing = try Capabilities.effective().missing(capabilities)
        if !missing.isEmpty {
            problems.append(
                "this process lacks \(missing.map(\.name).joined(separator: ", ")): run it as "
                    + "root, or under the systemd unit")
        }
        if access(TunDevice.path, R_OK | W_OK) != 0 {
            let error = LinuxError("open", TunDevice.path, errno: errno)
            problems.append(
                "\(error)" + (error.hint == nil ? ": load it with `modprobe tun`" : ""))
        }
        if !problems.isEmpty { throw SliceFailure(problems) }
    }

    static func lock(_ stateDirectory: String) throws -> FileLock {
        do throws(LinuxError) {
            return try FileLock("\(stateDirectory)/lock")
        } catch {
            guard error.errno == EWOULDBLOCK else { throw error }
            throw SliceFailure(
                "another daemon uses the state directory \(stateDirectory) "
                    + "(\(error.detail ?? "")): stop it, or give this one a stateDirectory of "
                    + "its own")
        }
    }
}
