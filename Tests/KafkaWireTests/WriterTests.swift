import KafkaWire
import NIOCore
import Testing

private final class File: Sendable {}

@Suite struct WriterTests {
    private static func response(_ records: [Records?]) -> FetchResponse {
        let partitions = records.enumerated().map { index, records in
            FetchResponse.PartitionData(partitionIndex: Int32(index), records: records)
        }
        return FetchResponse(responses: [.init(topic: "t", partitions: partitions)])
    }

    @Test func recordsInAFileArePiecesOfTheirOwn() throws {
        let file = File()
        let region = FileRegion(file: file, offset: 4096, length: 1_000_000)
        let long = ByteBuffer(repeating: 1, count: WireWriter.longRecords)
        let short = ByteBuffer(repeating: 2, count: WireWriter.longRecords - 1)
        let all: [Records?] = [.file(region), .bytes(long), .bytes(short), nil, .file(region)]
        var writer = WireWriter(frame: true)
        ResponseHeader(correlationId: 77).encode(to: &writer, version: 1)
        Self.response(all).encode(to: &writer, version: 12)
        let pieces = writer.finish()
        #expect(pieces.map(\.isFile) == [false, true, false, false, false, true, false])
        #expect(pieces[1] == .file(region))
        #expect(pieces[3] == .bytes(long))

        // With the same records in memory the bytes are the same.
        let stand = ByteBuffer(repeating: 9, count: 1_000_000)
        var whole = ByteBuffer()
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): whole.writeImmutableBuffer(bytes)
            case .file: whole.writeImmutableBuffer(stand)
            }
        }
        var reader = WireReader(whole)
        #expect(try Int(reader.int32()) == whole.readableBytes - 4)
        #expect(try ResponseHeader(from: &reader, version: 1).correlationId == 77)
        let read = try FetchResponse(from: &reader, version: 12)
        #expect(reader.remaining == 0)
        let expected: [Records?] = [.bytes(stand), .bytes(long), .bytes(short), nil, .bytes(stand)]
        #expect(read.responses[0].partitions.map(\.records) == expected)
    }

    @Test func longRecordsAreNotCopied() throws {
        let long = ByteBuffer(repeating: 1, count: 100_000)
        var writer = WireWriter()
        Self.response([.bytes(long)]).encode(to: &writer, version: 12)
        let pieces = writer.finish()
        #expect(pieces.count == 3)
        guard case .bytes(let piece) = pieces[1] else { return #expect(Bool(false)) }
        let addresses = [piece, long].map { buffer in
            buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        }
        #expect(addresses[0] == addresses[1])
    }

    @Test func aFrameSaysItsLength() {
        var writer = WireWriter(frame: true)
        writer.int16(5)
        #expect(writer.finish() == [.bytes(buffer("00000002 0005"))])
    }

    @Test func oneBufferHasEveryPiece() {
        let long = ByteBuffer(repeating: 1, count: 5000)
        var writer = WireWriter(frame: true)
        writer.records(.bytes(long))
        writer.int8(3)
        var whole = writer.finishInOneBuffer()
        #expect(whole.readInteger(as: Int32.self) == 5005)
        #expect(whole.readInteger(as: Int32.self) == 5000)
        #expect(whole.readSlice(length: 5000) == long)
        #expect(whole == buffer("03"))
    }

    @Test func regionsAreEqualByFile() {
        let (one, other) = (File(), File())
        let region = FileRegion(file: one, offset: 1, length: 2)
        #expect(region == FileRegion(file: one, offset: 1, length: 2))
        #expect(region != FileRegion(file: other, offset: 1, length: 2))
        #expect(region != FileRegion(file: one, offset: 1, length: 3))
        #expect(Records.file(region).count == 2)
        #expect(Records.file(region).bytes == nil)
    }
}

extension Piece {
    fileprivate var isFile: Bool {
        if case .file = self { true } else { false }
    }
}
