import BrokerConfig
import BrokerCore
import Glibc

package enum BrokerConfigFile {
    /// - Parameter overrides: `name=value` each; they win over the file.
    /// - Throws: everything that is wrong with the file.
    package static func read(_ path: String, overrides: [String]) throws -> BrokerConfig {
        let text = try text(of: path)
        var file = try PropertiesFile(parsing: text)
        for override in overrides {
            for entry in try PropertiesFile(parsing: override).entries {
                file.entries.removeAll { $0.key == entry.key }
                file.entries.append(.init(key: entry.key, value: entry.value, line: 0))
            }
        }
        return try BrokerConfig(file)
    }

    private static func text(of path: String) throws -> String {
        guard let file = fopen(path, "r") else {
            throw NodeStartError("cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= PropertiesFile.maximumBytes {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk.prefix(count)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw NodeStartError("is not text in UTF-8")
        }
        return text
    }
}
