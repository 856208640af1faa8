import Glibc
import LinuxNet
import Testing
import Timing

struct FileTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = "/tmp/\(uniqueName("linuxnet"))"
        try Directory.create(directory)
        defer { _ = try? output(["rm", "-rf", directory]) }
        try body(directory)
    }

    private func mode(_ path: String) -> mode_t {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & 0o7777 : 0
    }

    @Test func filesAreReplacedWhole() throws {
        try withDirectory { directory in
            let path = "\(directory)/state"
            try AtomicFile.write(path, text: "one")
            #expect(try File.read(path) == Array("one".utf8))
            #expect(mode(path) == 0o644)
            try AtomicFile.write(path, text: "two", mode: 0o600)
            #expect(try File.read(path) == Array("two".utf8))
            #expect(mode(path) == 0o600)
            let big = [UInt8](repeating: 7, count: 300_000)
            try AtomicFile.write(path, big)
            #expect(try File.read(path) == big)
            #expect(try Directory.names(directory) == ["state"])
            let tooLarge = failure { _ = try File.read(path, limitBytes: 1_000) }
            #expect(tooLarge?.errno == EFBIG && tooLarge?.object == path)
            #expect(
                failure { try AtomicFile.write("\(directory)/no/x", text: "") }?.errno == ENOENT)
            #expect(failure { try AtomicFile.write("\(directory)/", text: "") }?.errno == EISDIR)
        }
    }

    @Test func leftoversOfKilledWritersAreTakenAway() throws {
        try withDirectory { directory in
            for name in [".state.12.1.tmp", ".a.b.3.44.tmp", ".keep.tmp", "state", ".x.y.z.tmp"] {
                try AtomicFile.write("\(directory)/\(name)", text: "x")
            }
            #expect(
                try AtomicFile.removeLeftovers(in: directory)
                    == [".a.b.3.44.tmp", ".state.12.1.tmp"])
            #expect(try Directory.names(directory) == [".keep.tmp", ".x.y.z.tmp", "state"])
        }
    }

    @Test(.enabled(if: isRoot, "needs root: it mounts a tiny tmpfs"))
    func aFullDiskLeavesTheOldFile() throws {
        try withDirectory { directory in
            _ = try output(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory])
            defer { _ = try? output(["umount", directory]) }
            let path = "\(directory)/state"
            try AtomicFile.write(path, text: "old and good")
            let full = failure {
                try AtomicFile.write(path, [UInt8](repeating: 1, count: 1 << 20))
            }
            #expect(full?.errno == ENOSPC && full?.object == path)
            #expect(full?.description.contains("free some space") == true)
            #expect(try File.read(path) == Array("old and good".utf8))
            #expect(try Directory.names(directory) == ["state"], "no litter")
            try AtomicFile.write(path, text: "new")
            #expect(try File.read(path) == Array("new".utf8))
        }
    }

    @Test func secretsMustBePrivate() throws {
        try withDirectory { directory in
            let path = "\(directory)/key"
            try SecretFile.write(path, [1, 2, 3])
            #expect(mode(path) == 0o600)
            #expect(try SecretFile.read(path) == [1, 2, 3])
            for bits: mode_t in [0o644, 0o640, 0o604, 0o602, 0o610] {
                chmod(path, bits)
                let refused = failure { _ = try SecretFile.read(path) }
                #expect(refused?.errno == EACCES)
                #expect(refused?.description.contains("chmod 600 \(path)") == true)
            }
            chmod(path, 0o400)
            #expect(try SecretFile.read(path) == [1, 2, 3])
            #expect(failure { _ = try SecretFile.read(directory) }?.errno == EINVAL)
            #expect(failure { _ = try SecretFile.read("\(directory)/none") }?.errno == ENOENT)
            // In a user namespace there is no such user.
            if isRoot, chown(path, 12_345, 12_345) == 0 {
                let foreign = failure { _ = try SecretFile.read(path) }
                #expect(foreign?.description.contains("belongs to user 12345") == true)
            }
        }
    }

    @Test func oneHolderAtATime() throws {
        try withDirectory { directory in
            let path = "\(directory)/lock"
            var first: FileLock? = try FileLock(path)
            let second = failure { _ = try FileLock(path) }
            #expect(second?.errno == EWOULDBLOCK)
            #expect(second?.detail == "held by process \(getpid())")
            #expect(first?.path == path)
            first = nil
            // A program that another test is just starting may share the descriptor until it runs.
            #expect(eventually { failure { _ = try FileLock(path) } == nil })
        }
    }

    @Test func directoriesAreMadeWithTheirParents() throws {
        try withDirectory { directory in
            try Directory.create("\(directory)/a/b/c", mode: 0o700)
            try Directory.create("\(directory)/a/b/c", mode: 0o700)
            #expect(mode("\(directory)/a/b/c") == 0o700)
            try AtomicFile.write("\(directory)/f", text: "")
            #expect(failure { try Directory.create("\(directory)/f") }?.errno == ENOTDIR)
            #expect(failure { _ = try Directory.names("\(directory)/none") }?.errno == ENOENT)
        }
    }
}
