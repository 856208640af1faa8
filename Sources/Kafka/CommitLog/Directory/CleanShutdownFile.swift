import NIOCore

/// The file `.kafka_cleanshutdown` that a clean end leaves behind: that there was one, and the
/// epoch of the broker's registration then (Kafka's CleanShutdownFileHandler, KIP-966).
enum CleanShutdownFile {
    static let limit = 4096

    static func encode(brokerEpoch: Int64) -> ByteBuffer {
        ByteBuffer(string: "{\"version\":0,\"brokerEpoch\":\(brokerEpoch)}")
    }

    /// - Returns: -1 where the file does not say, as before KIP-966, or is damaged.
    static func brokerEpoch(_ bytes: ByteBuffer?) -> Int64 {
        guard let bytes else { return -1 }
        // Flat, and written by machines: what is between the braces is told apart by commas.
        let text = String(buffer: bytes).filter { !$0.isWhitespace }
        guard text.hasPrefix("{"), text.hasSuffix("}") else { return -1 }
        var fields: [Substring: Substring] = [:]
        for field in text.dropFirst().dropLast().split(separator: ",") {
            let parts = field.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { return -1 }
            fields[parts[0]] = parts[1]
        }
        return fields["\"brokerEpoch\""].flatMap { Int64($0) }.map { max($0, -1) } ?? -1
    }
}
