import KafkaRecords
import NIOCore

/// Walks the record batches of a segment's file, header by header.
///
/// The file is read in pieces; of a batch that is not asked for in full only its header is.
struct BatchCursor {
    /// A batch's header, and where in the file it stands.
    struct Found {
        var header: RecordBatchHeader
        var position: Int64
        var end: Int64 { position + Int64(header.sizeInBytes) }
    }

    static let headerSize = RecordBatchHeader.size
    /// Enough for the batches between two index entries, mostly.
    static let searchPiece = 8 << 10
    static let scanPiece = 1 << 20
    static let cleanPiece = 256 << 10

    private let file: any DiskFile
    /// Where the file's batches end, as the log knows it.
    private let limit: Int64
    private let pieceSize: Int
    private var piece = ByteBuffer()
    private var pieceStart: Int64 = 0
    /// Of the next batch.
    private(set) var position: Int64

    init(file: any DiskFile, from position: Int64, to limit: Int64, pieceSize: Int) {
        self.file = file
        self.position = position
        self.limit = limit
        self.pieceSize = pieceSize
    }

    /// The next batch, nil at the end. What is cut off or no batch at all is `.corruptBatch`.
    mutating func next() throws(LogError) -> Found? {
        guard position < limit else { return nil }
        guard limit - position >= Int64(Self.headerSize) else {
            throw .corruptBatch("\(file.path) ends within a header at \(position)")
        }
        let bytes = try bytes(at: position, count: Self.headerSize)
        let header: RecordBatchHeader
        do {
            header = try RecordBatchHeader(at: bytes.readerIndex, in: bytes)
        } catch {
            throw .corruptBatch("\(file.path) at \(position): \(error)")
        }
        let size = Int64(header.sizeInBytes)
        guard size <= limit - position, header.baseOffset >= 0, header.lastOffsetDelta >= 0,
            header.baseOffset <= Int64.max - Int64(Int32.max) - 1
        else { throw .corruptBatch("\(file.path) at \(position): impossible size or offsets") }
        let found = Found(header: header, position: position)
        position = found.end
        return found
    }

    /// A whole batch.
    mutating func bytes(of found: Found) throws(LogError) -> ByteBuffer {
        try bytes(at: found.position, count: found.header.sizeInBytes)
    }

    private mutating func bytes(at offset: Int64, count: Int) throws(LogError) -> ByteBuffer {
        let pieceEnd = pieceStart + Int64(piece.readableBytes)
        if offset < pieceStart || offset + Int64(count) > pieceEnd {
            let wanted = min(Int64(max(count, pieceSize)), limit - offset)
            do {
                piece = try file.read(at: offset, count: Int(wanted))
            } catch {
                throw .storage(error)
            }
            pieceStart = offset
        }
        let index = piece.readerIndex + Int(offset - pieceStart)
        guard let slice = piece.getSlice(at: index, length: count) else {
            throw .corruptBatch("\(file.path) is shorter than it was, at \(offset)")
        }
        return slice
    }
}

/// Runs what may fail at the disk where the log's own errors are thrown.
@inline(__always)
func onDisk<Result>(_ body: () throws(DiskError) -> Result) throws(LogError) -> Result {
    do {
        return try body()
    } catch {
        throw .storage(error)
    }
}
