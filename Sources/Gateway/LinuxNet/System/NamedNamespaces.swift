import CLinux
import Glibc

// Namespaces with a name, kept the way ip-netns(8) keeps them: a bind mount of the namespace on
// /run/netns/NAME, in a directory whose mounts are shared so that every mount namespace sees them.
extension NetworkNamespace {
    package static let directory = "/run/netns"

    package static func path(of name: String) -> String { "\(directory)/\(name)" }

    package static func isName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && !name.utf8.contains(0) && !name.utf8.contains(UInt8(ascii: "/"))
    }

    static func checkName(_ name: String, _ operation: String) throws(LinuxError) {
        guard isName(name) else {
            throw LinuxError(
                operation, "namespace \(name)", errno: EINVAL,
                detail: "a name is 1 to 255 bytes without `/`")
        }
    }

    /// Makes a namespace as `ip netns add` does, with its loopback up. EEXIST if there is one.
    @discardableResult
    package static func create(named name: String) throws(LinuxError) -> NetworkNamespace {
        try checkName(name, "create")
        let object = "namespace \(name)"
        try prepareDirectory()
        let path = path(of: name)
        let placeholder = Int32(
            try check(
                system { Int(Glibc.open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0)) },
                "create", object))
        close(placeholder)
        do {
            try onFreshThread { () throws(LinuxError) in
                try check(clinux_unshare_network(), "create", object)
                try bringLoopbackUp()
                try check(
                    clinux_mount_bind("/proc/thread-self/ns/net", path, false), "create", object,
                    "as \(path)")
            }
            return try named(name)
        } catch {
            _ = clinux_unmount_detach(path)
            unlink(path)
            throw error
        }
    }

    /// Takes the name away. The namespace ends when nothing else holds it. ENOENT if there is none.
    package static func remove(named name: String) throws(LinuxError) {
        try checkName(name, "remove")
        let path = path(of: name)
        let result = clinux_unmount_detach(path)
        // EINVAL: not a mount point, the litter of a creation that was killed half-way.
        if result < 0, result != -EINVAL { try check(result, "remove", "namespace \(name)") }
        try check(system { Int(unlink(path)) }, "remove", "namespace \(name)")
    }

    package static func exists(named name: String) -> Bool {
        (try? named(name)) != nil
    }

    /// The names in /run/netns, sorted; litter that is no namespace is left out.
    package static func list() throws(LinuxError) -> [String] {
        do {
            return try Directory.names(directory).filter { isName($0) && exists(named: $0) }
        } catch {
            if error.errno == ENOENT { return [] }
            throw error
        }
    }

    /// /run/netns as a mount point of its own with shared propagation.
    private static func prepareDirectory() throws(LinuxError) {
        let made = system { Int(mkdir(directory, 0o755)) }
        if made != -Int(EEXIST) { try check(made, "create", directory) }
        // Two that do this at once would stack mounts: one at a time, as ip-netns does.
        let fd = Int32(
            try check(
                system { Int(Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) }, "open",
                directory))
        defer { close(fd) }
        _ = clinux_flock_wait(fd)
        let shared = clinux_mount_make_shared(directory)
        guard shared == -EINVAL else {
            try check(shared, "share mounts under", directory, "for namespaces")
            return
        }
        try check(
            clinux_mount_bind(directory, directory, true), "mount", directory, "for namespaces")
        try check(
            clinux_mount_make_shared(directory), "share mounts under", directory, "for namespaces")
    }
}
