/// Cuts a stream into lines. What has no end within the limit is not kept.
package struct AuditLines: Sendable {
    /// More than an entry may have: what a crash left behind may be as long as one write.
    package static let maximumBytes = 128 << 10
    /// The most that a writer may write at a time, for that reason.
    package static let maximumWriteBytes = 64 << 10

    package struct Line: Equatable, Sendable {
        package var bytes: [UInt8]
        /// The rest of it was dropped.
        package var isCut: Bool
    }

    private var rest: [UInt8] = []
    private var isCut = false

    package init() {}

    package mutating func feed(_ bytes: [UInt8], _ body: (Line) -> Void) {
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0a) {
            keep(bytes[start..<end])
            body(Line(bytes: rest, isCut: isCut))
            rest.removeAll(keepingCapacity: true)
            isCut = false
            start = end + 1
        }
        keep(bytes[start...])
    }

    /// What came after the last end of a line, or nil.
    package mutating func end() -> Line? {
        defer { self = AuditLines() }
        return rest.isEmpty && !isCut ? nil : Line(bytes: rest, isCut: isCut)
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        let room = Self.maximumBytes - rest.count
        rest += bytes.prefix(room)
        if bytes.count > room { isCut = true }
    }
}
