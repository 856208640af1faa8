import CommitLog
import KafkaWire
import NIOCore
import Raft

/// The file `quorum-state` beside the metadata log: whom this node voted for, in Kafka's JSON
/// (QuorumStateData, versions 0 and 1).
struct QuorumStateFile {
    static let name = "quorum-state"
    private static let limit = 64 << 10

    let path: String
    let disk: any Disk

    init(directory: String, disk: any Disk) {
        path = DiskPath.join(directory, Self.name)
        self.disk = disk
    }

    /// - Returns: what was written last; the state of a node that never voted if there is no file.
    /// - Throws: a disk's error, or what is wrong with the file. A node that guessed could vote
    ///   twice.
    func read() throws(QuorumStateError) -> ElectionState {
        let bytes: ByteBuffer?
        do {
            bytes = try disk.readWhole(path, limit: Self.limit)
        } catch {
            if error.isNotFound { return ElectionState() }
            throw .disk(error)
        }
        guard let bytes else {
            // No file, or one that is far too large for what it has to say.
            do {
                _ = try disk.open(path, create: false)
            } catch {
                if error.isNotFound { return ElectionState() }
                throw .disk(error)
            }
            throw .malformed(path)
        }
        guard let fields = FlatJSON(String(buffer: bytes)), let epoch = fields.int32("leaderEpoch"),
            let version = fields.int32("data_version"), (0...1).contains(version)
        else { throw .malformed(path) }
        let leader = fields.int32("leaderId") ?? -1
        let voted = fields.int32("votedId") ?? -1
        let directory = fields.text("votedDirectoryId").flatMap { KafkaUUID($0) } ?? .zero
        return ElectionState(
            epoch: epoch, leaderID: leader < 0 ? nil : leader,
            votedKey: voted < 0 ? nil : ReplicaKey(id: voted, wireDirectory: directory))
    }

    /// Replaces the file, durably.
    func write(_ state: ElectionState) throws(DiskError) {
        let text = """
            {"leaderId":\(state.leaderID ?? -1),"leaderEpoch":\(state.epoch),\
            "votedId":\(state.votedKey?.id ?? -1),\
            "votedDirectoryId":"\(state.votedKey?.wireDirectory ?? .zero)","data_version":1}
            """
        try disk.replace(path, with: ByteBuffer(string: text))
    }
}

enum QuorumStateError: Error, CustomStringConvertible {
    case disk(DiskError)
    case malformed(String)

    var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .malformed(let path):
            "\(path) is damaged: it says for whom this controller voted, and without it the node "
                + "could vote twice. Restore it, or format the node anew as a new replica"
        }
    }
}

/// A JSON object of numbers and texts; arrays and objects in it are skipped.
struct FlatJSON {
    private var numbers: [String: Int64] = [:]
    private var texts: [String: String] = [:]

    func int32(_ name: String) -> Int32? { numbers[name].flatMap { Int32(exactly: $0) } }
    func text(_ name: String) -> String? { texts[name] }

    /// - Returns: nil if the text is not an object of that kind.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        var position = 0
        func skipBlanks() {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
                position += 1
            }
        }
        func take(_ character: Character) -> Bool {
            skipBlanks()
            guard position < bytes.count, bytes[position] == character.asciiValue else {
                return false
            }
            position += 1
            return true
        }
        func string() -> String? {
            guard take("\"") else { return nil }
            let start = position
            while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                guard bytes[position] != UInt8(ascii: "\\") else { return nil }
                position += 1
            }
            guard position < bytes.count else { return nil }
            position += 1
            return String(decoding: bytes[start..<(position - 1)], as: UTF8.self)
        }
        /// Past a value that does not matter here.
        func skipNested() -> Bool {
            var depth = 0
            while position < bytes.count {
                switch bytes[position] {
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
                default: break
                }
                position += 1
                if depth == 0 { return true }
            }
            return false
        }
        guard take("{") else { return nil }
        while !take("}") {
            guard let name = string(), take(":") else { return nil }
            skipBlanks()
            guard position < bytes.count else { return nil }
            switch bytes[position] {
            case UInt8(ascii: "\""):
                guard let value = string() else { return nil }
                texts[name] = value
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                guard skipNested() else { return nil }
            default:
                let start = position
                while position < bytes.count, bytes[position] != UInt8(ascii: ","),
                    bytes[position] != UInt8(ascii: "}"), bytes[position] > 0x20
                {
                    position += 1
                }
                let word = String(decoding: bytes[start..<position], as: UTF8.self)
                if let number = Int64(word) {
                    numbers[name] = number
                } else if word != "null" && word != "true" && word != "false" {
                    return nil
                }
            }
            if !take(",") {
                guard take("}") else { return nil }
                break
            }
        }
        skipBlanks()
        guard position == bytes.count else { return nil }
    }
}
