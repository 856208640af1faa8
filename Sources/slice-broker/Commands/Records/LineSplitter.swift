/// Lines out of chunks of any size. A line ends with a line feed, the last one perhaps with the
/// input.
package struct LineSplitter: Sendable {
    /// More than any topic takes by default, and little enough to hold.
    package static let limit = 128 << 20
    private var rest: [UInt8] = []

    package init() {}

    package mutating func lines(in chunk: [UInt8]) throws(Failure) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = chunk.startIndex
        while let end = chunk[start...].firstIndex(of: UInt8(ascii: "\n")) {
            if rest.isEmpty {
                lines.append(chunk[start..<end])
            } else {
                rest += chunk[start..<end]
                lines.append(rest[...])
                rest = []
            }
            start = end + 1
        }
        rest += chunk[start...]
        guard rest.count <= Self.limit else {
            throw Failure(.usage, "input", "a line has more than \(Self.limit) bytes")
        }
        return lines
    }

    /// What follows the last line feed, if anything does.
    package mutating func end() -> ArraySlice<UInt8>? {
        defer { rest = [] }
        return rest.isEmpty ? nil : rest[...]
    }
}

/// What a line says, as the options of `produce` want it read.
package struct LineFormat: Equatable, Sendable {
    /// Before it stands the key.
    package var keySeparator: [UInt8]?
    /// Stands for no value: a tombstone, where the topic is compacted.
    package var nullMarker: [UInt8]?

    package init(keySeparator: String? = nil, nullMarker: String? = nil) {
        self.keySeparator = keySeparator.map { Array($0.utf8) }
        self.nullMarker = nullMarker.map { Array($0.utf8) }
    }

    /// Nil where there should be a separator and is none.
    package func split(
        _ line: ArraySlice<UInt8>
    ) -> (key: ArraySlice<UInt8>?, value: ArraySlice<UInt8>?)? {
        var (key, value): (ArraySlice<UInt8>?, ArraySlice<UInt8>) = (nil, line)
        if let keySeparator {
            guard let range = line.firstRange(of: keySeparator) else { return nil }
            key = line[..<range.lowerBound]
            value = line[range.upperBound...]
        }
        if let nullMarker, value.elementsEqual(nullMarker) { return (key, nil) }
        return (key, value)
    }
}
