import ConfigFile
import Glibc
import LinuxNet
import SliceModel

/// What is read from outside, bounded.
enum Input {
    /// A document, or standard input for `-`.
    static func text(_ path: String, limitBytes limit: Int = ConfigLimits().bytes) throws -> String
    {
        let bytes = path == "-" ? try read(limitBytes: limit) : try file(path, limit)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.invalid, "invalidFile", "\(path) is not UTF-8 text")
        }
        return text
    }

    /// A manifest, which may be much larger than other documents.
    static func manifest(_ path: String) throws -> String {
        try text(path, limitBytes: ManifestLimits.document.bytes)
    }

    private static func file(_ path: String, _ limit: Int) throws -> [UInt8] {
        var info = stat()
        if stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR {
            throw Failure(.invalid, "invalidFile", "\(path) is a directory: name a file in it")
        }
        return try File.read(path, limitBytes: limit)
    }

    static func read(limitBytes: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(0, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw LinuxError("read", "standard input", errno: errno)
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limitBytes else {
                throw Failure(
                    .invalid, "tooLarge", "standard input has more than \(limitBytes) bytes")
            }
        }
    }
}
