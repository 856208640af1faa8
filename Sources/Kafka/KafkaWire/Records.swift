import NIOCore

/// A part of a file, to be sent without passing through memory. Pure rooms carry `file` without
/// looking into it: only the shell that made it knows what it is.
package struct FileRegion: Sendable, Equatable {
    package let file: any AnyObject & Sendable
    package let offset: Int64
    package let length: Int

    package init(file: any AnyObject & Sendable, offset: Int64, length: Int) {
        self.file = file
        self.offset = offset
        self.length = length
    }

    package static func == (left: FileRegion, right: FileRegion) -> Bool {
        left.file === right.file && left.offset == right.offset && left.length == right.length
    }
}

/// The record batches of a message: never decoded here, in memory or still in their file.
package enum Records: Sendable, Equatable {
    case bytes(ByteBuffer)
    case file(FileRegion)

    package static let empty = Records.bytes(ByteBuffer())

    package var count: Int {
        switch self {
        case .bytes(let buffer): buffer.readableBytes
        case .file(let region): region.length
        }
    }

    /// The batches if they are in memory: what comes from the wire always is.
    package var bytes: ByteBuffer? {
        switch self {
        case .bytes(let buffer): buffer
        case .file: nil
        }
    }
}
