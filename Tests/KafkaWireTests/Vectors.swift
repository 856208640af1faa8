import Foundation
import KafkaWire
import NIOCore
import Testing

/// A message with a random value, written by the second implementation in Tests/KafkaWire.
struct Vector {
    let type: any KafkaMessage.Type
    let version: Int16
    let bytes: ByteBuffer

    static let all: [Vector] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../KafkaWire/vectors.txt")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
        var types: [String: any KafkaMessage.Type] = [:]
        for type in KafkaMessages.all { types["\(type)"] = type }
        var vectors: [Vector] = []
        var head: (type: any KafkaMessage.Type, version: Int16)?
        var bytes = ByteBuffer()
        for line in (text + "- 0").split(separator: "\n") where !line.hasPrefix("#") {
            if line.hasPrefix(" ") {
                bytes.writeBytes(hexadecimal(line.dropFirst(2)))
                continue
            }
            if let head {
                vectors.append(Vector(type: head.type, version: head.version, bytes: bytes))
            }
            bytes.clear()
            let words = line.split(separator: " ")
            head = types[String(words[0])].map { ($0, Int16(words[1]) ?? -1) }
        }
        return vectors
    }()
}

func hexadecimal(_ text: some StringProtocol) -> [UInt8] {
    let digits = text.utf8.compactMap { digit -> UInt8? in
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func buffer(_ hex: String) -> ByteBuffer { ByteBuffer(bytes: hexadecimal(hex)) }

/// Seeded, so that a failure can be seen again.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}
