import Glibc
import LinuxNet

/// Files that people keep and edit.
enum TextFile {
    /// A new file, whole or not at all.
    static func create(_ path: String, _ text: String, force: Bool) throws {
        if !force, access(path, F_OK) == 0 {
            throw Failure(
                .conflict, "conflict", "\(path) is there already, and was not touched",
                hint: "choose another name, or replace it with --force")
        }
        try replace(path, text)
    }

    /// Keeps the mode of what is replaced, and follows a link to it.
    static func replace(_ path: String, _ text: String) throws {
        var target = path
        if let real = realpath(path, nil) {
            target = String(cString: real)
            free(real)
        }
        var info = stat()
        let mode = stat(target, &info) == 0 ? info.st_mode & 0o777 : 0o644
        try AtomicFile.write(target, text: text, mode: mode)
    }
}
